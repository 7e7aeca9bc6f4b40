"""One of several parts of a run's cells: what one task of an array of jobs has to do.

The parts are the same wherever they are worked out, whatever is done already, so that tasks that
see no common directory do no cell twice. Where they do see one, they need no parts: claims share
the cells between them, and nobody waits for the slowest part.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.run.options import CommandError
from benchmarks.run.plan import PlannedCell, length_key

SLURM = "slurm"
"""In the place of numbers: the part that SLURM's variables name."""
TASK, FIRST, LAST, STEP = (f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "MAX", "STEP"))


@dataclass(frozen=True)
class Shard:
    """Part `number`, from 1, of `count`."""

    number: int
    count: int

    def of(self, cells: Sequence[PlannedCell]) -> list[PlannedCell]:
        """The cells of this part, dealt out to and fro by length, so that all take as long."""
        own = []
        for place, cell in enumerate(sorted(cells, key=length_key)):
            turn, part = divmod(place, self.count)
            if (self.count - 1 - part if turn % 2 else part) == self.number - 1:
                own.append(cell)
        return own


def parse_shard(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
    """The part that `text` names, as "2/4" or "slurm"; null for null: all cells.

    Raises:
        CommandError: it is neither, there is no such part, or this is no task of an array.
    """
    if text is None:
        return None
    if text == SLURM:
        return _of_array(environment)
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if found is None:
        raise CommandError(f"--shard takes a part as 2/4, or {SLURM}; found {text!r}")
    number, count = int(found[1]), int(found[2])
    if not 1 <= number <= count:
        raise CommandError(
            f"--shard {text}: there is no such part; those of {count} are 1 to {count}"
        )
    return Shard(number, count)


def _of_array(environment: Mapping[str, str]) -> Shard:
    """The place of this task in its array, whose numbers may begin and go on as they like."""
    missing = [name for name in (TASK, FIRST, LAST) if not environment.get(name, "").isdecimal()]
    if missing:
        raise CommandError(
            f"--shard {SLURM}: {missing[0]} is not set, so this is no task of an array of jobs;"
            " start it with sbatch --array=1-N, or name a part as 2/4"
        )
    task, first, last = (int(environment[name]) for name in (TASK, FIRST, LAST))
    step = int(environment.get(STEP) or 1)
    if (task - first) % step or not first <= task <= last:
        raise CommandError(
            f"--shard {SLURM}: task {task} is none of {first} to {last} in steps of {step}; arrays"
            " with gaps have no parts: name one as 2/4"
        )
    return Shard((task - first) // step + 1, (last - first) // step + 1)
