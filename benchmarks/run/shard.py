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
TASK, FIRST, LAST, STEP, COUNT = (
    f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "MAX", "STEP", "COUNT")
)


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
    """The part that `text` names, as "2/4", "slurm" or "slurm/4"; null for null: all cells.

    Raises:
        CommandError: it is none of these, there is no such part, this is no task of an array, or of
            one with gaps.
    """
    if text is None:
        return None
    if text == SLURM:
        return _of_array(environment)
    found = re.fullmatch(rf"([0-9]{{1,6}}|{SLURM})/([0-9]{{1,6}})", text)
    if found is None:
        raise CommandError(f"--shard takes a part as 2/4, or {SLURM}, or {SLURM}/4; found {text!r}")
    count = int(found[2])
    number = _numbers(environment, TASK)[0] if found[1] == SLURM else int(found[1])
    if not 1 <= number <= count:
        raise CommandError(
            f"--shard {text}: there is no part {number}; those of {count} are 1 to {count}"
        )
    return Shard(number, count)


def _numbers(environment: Mapping[str, str], *names: str) -> list[int]:
    """What SLURM's variables say."""
    missing = [name for name in names if not environment.get(name, "").isdecimal()]
    if missing:
        raise CommandError(
            f"--shard {SLURM}: {missing[0]} is not set, so this is no task of an array of jobs;"
            " start it with sbatch --array=1-N, or name a part as 2/4"
        )
    return [int(environment[name]) for name in names]


def _of_array(environment: Mapping[str, str]) -> Shard:
    """The place of this task in its array, whose numbers may begin and go on as they like."""
    task, first, last = _numbers(environment, TASK, FIRST, LAST)
    step = max(1, int(environment.get(STEP) or 1))
    number, count = (task - first) // step + 1, (last - first) // step + 1
    told = int(environment.get(COUNT) or count)
    way_out = f"say which part it is, as --shard 3/4, or {SLURM}/4 where task 3 is part 3 of 4"
    if (task - first) % step or not first <= task <= last or told != count:
        raise CommandError(
            f"--shard {SLURM}: task {task} is one of {told} between {first} and {last}: an array"
            f" with gaps does not tell what its parts are; {way_out}"
        )
    if count == 1:  # most likely one task of a larger array, submitted again
        raise CommandError(
            f"--shard {SLURM}: task {task} is alone in its array, and would do all cells; {way_out}"
        )
    return Shard(number, count)
