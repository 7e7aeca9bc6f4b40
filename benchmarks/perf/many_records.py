"""Writes a results directory of many honest records, to time what reads records.

Settings × methods × seeds as large as those of `ml-100k-nano` but for their users, each setting
with users of its own. `python -m benchmarks.perf.many_records DIR` writes 1,000 records of 22,000
users.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmarks.perf.honest_records.settings import DATASET, Shape, setting_of
from benchmarks.perf.honest_records.sketches import BEFORE, Sketch
from benchmarks.perf.honest_records.writer import RecordWriter
from leaderboard.records.canonical import digest_of
from leaderboard.records.setting import Setting

FIRST_METHODS = ("mean", "random", "gti")
SHAPE = Shape(items=1682, levels=3, codes=64, width=192, shown_rows=16, batches=1341)


@dataclass(frozen=True)
class Size:
    """How much is written: settings × methods × seeds cells, and a reference per setting."""

    settings: int = 10
    methods: int = 20
    seeds: int = 5
    users: int = 22_000

    @property
    def cells(self) -> int:
        """The number of cells."""
        return self.settings * self.methods * self.seeds


def method_keys(count: int) -> list[str]:
    """The reference method, two known ones, and `method-04` … up to `count`."""
    return [*FIRST_METHODS, *(f"method-{n:02d}" for n in range(4, count + 1))][:count]


def sketches(count: int) -> dict[str, Sketch]:
    """What is made up of so many methods: each a little better than the last, some grounded."""
    found = {"popularity": Sketch(0.2, reference=True)}
    for place, key in enumerate(method_keys(count)):
        grounded = key == "gti" or (key not in FIRST_METHODS and place % 3 == 0)
        drawn, spends = key != "mean" and not grounded, BEFORE if grounded else {}
        found[key] = Sketch(0.3 + 0.004 * place, drawn, spends)
    return found


def write_many(root: Path, size: Size, first: int = 0) -> None:
    """Writes `size` records under `root`, the settings numbered from `first`."""
    methods = sketches(size.methods)
    for number in range(first, first + size.settings):
        writer = RecordWriter(root, size.users, SHAPE, _setting(number), methods)
        writer.board(list(methods), range(size.seeds))


def _setting(number: int) -> Setting:
    """A setting with data of its own, cut off and scored as far as `ml-100k-nano` is."""
    name = f"many-{number:02d}"
    return setting_of(
        SHAPE,
        name=name,
        dataset=DATASET | {"name": name, "sha256": digest_of(name)},
        decoding={"beam": 100},
        evaluation={
            "cutoffs": (1, 5, 10, 20, 50, 100),
            "wordings": 1,
            "validation_users": 100,
            "curve_points": 5,
        },
    )


def main(arguments: list[str] | None = None) -> None:
    """Writes as many records as the command line says."""
    parser = argparse.ArgumentParser(description="writes many honest records")
    parser.add_argument("root", type=Path)
    for name, value in vars(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    found = vars(parser.parse_args(arguments))
    root = found.pop("root")
    size = Size(**found)
    write_many(root, size)
    print(f"{size.cells} cells of {size.users} users under {root}")


if __name__ == "__main__":
    main()
