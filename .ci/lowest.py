"""Writes the lower bounds of pyproject.toml as pins, for `tox -e lowest`.

torch stays at the version of constraints.txt: an older one exists on the common index only as the
build for CUDA, whose libraries are several gigabytes.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("torch",)
BOUND = re.compile(r"([A-Za-z0-9._-]+)>=([0-9][0-9.]*)")


def lower_bounds() -> Iterator[tuple[str, str]]:
    """Each requirement's name and lower bound.

    Raises:
        SystemExit: a requirement is not of the form NAME>=VERSION.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for requirement in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        found = BOUND.fullmatch(requirement)
        if found is None:
            sys.exit(f"pyproject.toml: expected NAME>=VERSION, found {requirement!r}")
        yield found[1], found[2]


def main() -> None:
    """Writes the pins to the file named by the first argument."""
    exact = dict(
        line.split("==", 1)
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
        if "==" in line
    )
    pins = (
        f"{name}=={exact[name] if name in KEPT else version}\n" for name, version in lower_bounds()
    )
    Path(sys.argv[1]).write_text("".join(pins), encoding="utf-8")


if __name__ == "__main__":
    main()
