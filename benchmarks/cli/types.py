"""What all commands share: how common arguments are declared, and how a line is printed."""

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

RESULTS = Path("results")
RESULTS_PLAIN = Path("results-plain")
"""Where `run --plain` puts its records."""

Offline = Annotated[bool, Parameter(negative=(), help="Touch no network.")]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), help="JSON instead of a table.")]
Results = Annotated[Path, Parameter(help="Where records lie or go.")]
SettingName = Annotated[str, Parameter(help="A setting's name, or the path of a .toml file.")]


class ReaderGoneError(Exception):
    """Nobody reads our output any more, as after `| head`."""


def say(text: str) -> None:
    """Prints a line at once.

    Raises:
        ReaderGoneError: nobody reads it; what is printed from then on is dropped.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ReaderGoneError from error
