"""What all commands share: how common arguments are declared, and how a line is printed."""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from leaderboard.records.canonical import printable

RESULTS = Path("results")
RESULTS_PLAIN = Path("results-plain")
"""Where `run --plain` puts its records."""

Offline = Annotated[bool, Parameter(negative=(), help="Touch no network.")]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), help="JSON instead of a table.")]
Results = Annotated[Path, Parameter(help="Where records lie or go.")]
Device = Literal["auto", "cpu", "cuda"]
Methods = Annotated[str, Parameter(help="Keys and groups, comma-separated.")]
Seeds = Annotated[str | None, Parameter(help="As 0,1,2; default the setting's.")]
Workers = Annotated[int | None, Parameter(help="Cells side by side; default: cores, or GPUs.")]
AcceptLicence = Annotated[
    str | None,
    Parameter(
        help="Terms of a backbone that you have read and accept, as gemma; once for a cache."
    ),
]
Replace = Annotated[
    bool, Parameter(negative=(), help="Run anew what lies there with another hash.")
]
Debug = Annotated[bool, Parameter(negative=(), help="Full traces.")]
SettingName = Annotated[str, Parameter(help="A setting's name, or the path of a .toml file.")]


class ReaderGoneError(Exception):
    """Nobody reads our output any more, as after `| head`."""


def say(text: str) -> None:
    """Prints a line at once, without what a terminal would obey.

    Signs that the output's encoding does not have become "?".

    Raises:
        ReaderGoneError: nobody reads it; what is printed from then on is dropped.
    """
    text = printable(text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "replace").decode(encoding), flush=True)
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ReaderGoneError from error
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        raise ReaderGoneError from error
