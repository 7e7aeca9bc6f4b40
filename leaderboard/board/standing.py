"""How far a row can be trusted: claimed, verified or reproduced, seed by seed.

- *claimed*: there is a record. What a board shows of it is whole: its digest and its ranks' sha256
  were compared when it was loaded, and its intervals come from the ranks.
- *verified*: it also passed `verify`, here and now (`table --verify`). That is never stored: what
  was verified yesterday may have been changed today.
- *reproduced*: someone ran the cell again from its record (`rerun`), and it came out the same, bit
  for bit or as one more seed would. Reproductions of another record that once lay in its place do
  not count. A run that did not come out the same is told as well, whatever others found.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leaderboard.records.cells import Cell, named_seeds
from leaderboard.records.reproductions import Reproduction, read_reproductions

State = Literal["claimed", "verified", "reproduced"]

GOOD = ("exact", "equivalent")


@dataclass(frozen=True)
class Standing:
    """What is known of the records behind one row.

    Attributes:
        seeds: those that have a record.
        exactly: of these, those that a rerun gave again bit for bit.
        equivalently: those that a rerun gave again only as one more seed would come out.
        not_reproduced: those that at least one rerun did not give again.
        by: who reran, by name, sorted; those without a name are not in it.
        machines: instruction sets (else machines) of the reruns that gave it again, sorted.
        last: the moment of the last rerun that gave it again; null where there is none.
        verified: seeds whose records passed `verify` just now; null where that was not asked.
    """

    seeds: tuple[int, ...]
    exactly: tuple[int, ...]
    equivalently: tuple[int, ...]
    not_reproduced: tuple[int, ...]
    by: tuple[str, ...]
    machines: tuple[str, ...]
    last: str | None
    verified: tuple[int, ...] | None = None

    @property
    def reproduced(self) -> tuple[int, ...]:
        """Seeds that were given again, exactly or equivalently."""
        return tuple(sorted({*self.exactly, *self.equivalently}))

    @property
    def state(self) -> State:
        """The row's state: the least of its seeds'; a seed that fails `verify` is claimed."""
        if self.verified is not None and set(self.verified) != set(self.seeds):
            return "claimed"
        if set(self.reproduced) == set(self.seeds) and not self.not_reproduced:
            return "reproduced"
        return "claimed" if self.verified is None else "verified"


def standing_of(cells: Sequence[Cell]) -> Standing:
    """Summarises the reproductions beside the records of one row, seed by seed."""
    found = {cell.record.seed: read_reproductions(cell.path, cell.record.digest) for cell in cells}
    good = [each for lines in found.values() for each in lines if each.outcome in GOOD]
    exactly = _seeds_with(found, ("exact",))
    return Standing(
        seeds=tuple(sorted(found)),
        exactly=exactly,
        equivalently=tuple(s for s in _seeds_with(found, ("equivalent",)) if s not in exactly),
        not_reproduced=_seeds_with(found, ("different",)),
        by=tuple(sorted({each.who for each in good if each.who is not None})),
        machines=tuple(
            sorted({each.environment.instruction_set or each.environment.machine for each in good})
        ),
        last=max((each.when for each in good), default=None),
    )


def _seeds_with(found: dict[int, list[Reproduction]], outcomes: Collection[str]) -> tuple[int, ...]:
    """Seeds with a reproduction of one of the `outcomes`."""
    return tuple(
        seed
        for seed, lines in sorted(found.items())
        if any(each.outcome in outcomes for each in lines)
    )


def verified_seeds(paths: dict[int, Path], failing: Collection[str]) -> tuple[int, ...]:
    """Seeds whose record file is not among the `failing`."""
    return tuple(seed for seed, path in sorted(paths.items()) if str(path) not in failing)


def standing_line(key: str, standing: Standing) -> str | None:
    """What a board says of one row, as `gti 3 of 3 seeds exactly (AVX512, by A. Reader)`.

    None where nobody has run any of it again.
    """
    parts = []
    if standing.reproduced:
        ways = []
        if standing.exactly:
            ways.append(_count(standing.exactly, standing, "exactly"))
        if standing.equivalently:
            ways.append(_count(standing.equivalently, standing, "equivalently"))
        names = f", by {', '.join(standing.by)}" if standing.by else ""
        where = f"({', '.join(standing.machines)}{names})"
        parts.append(f"{', '.join(ways)} {where}")
    if standing.not_reproduced:
        parts.append(f"NOT in a rerun of {named_seeds(standing.not_reproduced)}")
    return f"{key} {', but '.join(parts)}" if parts else None


def _count(seeds: tuple[int, ...], standing: Standing, how: str) -> str:
    """`2 of 3 seeds exactly`."""
    count = len(standing.seeds)
    return f"{len(seeds)} of {count} seed{'s' if count > 1 else ''} {how}"


def standing_notes(standings: dict[str, Standing]) -> list[str]:
    """What a board says under its rows; nothing where nothing was verified or run again."""
    notes = []
    checked = {key: each for key, each in standings.items() if each.verified is not None}
    if checked:
        count = sum(len(each.seeds) for each in checked.values())
        bad = {
            key: tuple(seed for seed in each.seeds if seed not in (each.verified or ()))
            for key, each in checked.items()
        }
        failing = [f"{key}: {named_seeds(seeds)}" for key, seeds in bad.items() if seeds]
        notes.append(
            f"NOT VERIFIED: {'; '.join(failing)} fails `gti-bench verify`."
            if failing
            else f"Verified just now: all {count} records pass `gti-bench verify`."
        )
    lines = [standing_line(key, each) for key, each in standings.items()]
    told = [line for line in lines if line is not None]
    if told:
        notes.append(f"Reproduced by rerun: {'; '.join(told)}.")
    return notes
