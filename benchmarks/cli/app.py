"""The command line `gti-bench`. Commands are thin: the work is in the modules they call.

Exit codes: 0 done, 1 a check or a cell failed, 2 wrong usage or input, 130 interrupted; `compare`
has two of its own.
"""

import contextlib
import io
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from benchmarks.cli import reading as cli_reading
from benchmarks.cli import running as cli_running
from benchmarks.cli.types import AcceptLicence, AsJson, Offline, ReaderGoneError, SettingName, say
from leaderboard.records.canonical import printable


def installed_version() -> str:
    """The installed version; "unknown" in a clone that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gti-bench")
    except PackageNotFoundError:
        return "unknown"


app = App(
    name="gti-bench",
    version=installed_version,
    help="What should new tokens hold before fine-tuning? A benchmark of token initialization for"
    " generative recommendation.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)


@app.command(name="list")
def list_(
    what: Literal["settings", "methods", "datasets", "backbones"],
    *,
    as_json: AsJson = False,
    offline: Offline = False,
) -> int:
    """List settings, methods, datasets or backbones."""
    from benchmarks.cli import listing

    width = shutil.get_terminal_size().columns
    say(listing.listed(what, width, as_json=as_json, offline=offline))
    return 0


@app.command
def prepare(
    setting: SettingName,
    *,
    offline: Offline = False,
    recompute: Annotated[
        bool, Parameter(help="Encode the texts anew and compare the Semantic IDs.")
    ] = True,
    accept_licence: AcceptLicence = None,
) -> int:
    """Fetch and check every input of a setting; afterwards --offline touches no network."""
    from benchmarks.cli.preparing import prepare as prepare_setting
    from benchmarks.inputs.catalogue import find_setting
    from benchmarks.inputs.terms import accept

    if accept_licence is not None:
        accept(accept_licence, say)
    prepare_setting(find_setting(setting).setting, say, offline=offline, recompute=recompute)
    return 0


@app.command
def doctor() -> int:
    """Show what this machine has and which settings it can run."""
    from benchmarks.cli import doctor as checks

    for title, lines in (
        ("machine", checks.machine_lines()),
        ("assets", checks.asset_lines()),
        ("settings", checks.setting_lines()),
    ):
        say(title)
        for line in lines:
            say(f"  {line}")
    say("\n`gti-bench plan SETTING` estimates time, memory and disk.")
    return 0


for _verb in (
    cli_running.plan,
    cli_running.run,
    cli_running.tune,
    cli_running.references,
    cli_running.rerun,
    cli_reading.table,
    cli_reading.compare,
    cli_reading.contrasts,
    cli_reading.claims,
    cli_reading.diagnose,
    cli_reading.site,
    cli_reading.verify,
    cli_reading.check_results,
    cli_reading.structure,
    cli_reading.summary,
    cli_reading.export,
):
    app.command(_verb)


def exit_code(arguments: list[str]) -> int:
    """Runs one command: one clear line per error, and the documented exit codes."""
    debug = "--debug" in arguments
    if debug and arguments[0] not in ("run", "tune", "rerun"):  # these hand it on to their workers
        arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        return _complain(str(error), 2)
    except KeyboardInterrupt:
        return _complain("interrupted; finished cells are kept", 130)
    except ReaderGoneError:
        return 141  # as a shell has it of a program that SIGPIPE ends
    except ModuleNotFoundError as error:
        if debug:
            raise
        return _complain(
            f"this command needs the package {error.name!r}, which is not installed; install"
            " gti-bench[run]",
            2,
        )
    except (RuntimeError, ValueError, OSError) as error:
        if debug:
            raise
        return _complain(str(error), 2)


def _complain(message: str, code: int) -> int:
    print(f"gti-bench: {printable(message)}", file=sys.stderr)
    return code


def _open_outputs() -> None:
    """Gives closed output and errors somewhere to go; what an encoding does not have is "?"."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # as Python has it where the file descriptor was closed
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def main() -> None:
    """Entry point of the console script."""
    _open_outputs()
    code = exit_code(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it: the exit code says the rest
            stream.flush()
    # All work is done and on disk. The interpreter's teardown is skipped: a library's thread was
    # once seen to abort the process there, and with it the exit code.
    os._exit(code)


if __name__ == "__main__":
    main()
