"""What all commands share: how common arguments are declared, and how a line is printed."""

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


def say(text: str) -> None:
    """Prints a line at once."""
    print(text, flush=True)
