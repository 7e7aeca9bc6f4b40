"""`python -m benchmarks.lease pack|home`, and on the GPU machine `python lease.pyz run`."""

import argparse
import math
import sys
from pathlib import Path

from benchmarks.lease.pieces import MEBIBYTE
from benchmarks.lease.run import STEPS, run_lease


def _amount(text: str) -> float:
    """A number above 0, as minutes and sizes are: found out before any of the lease is spent."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"takes a number above 0, found {text!r}")
    return number


def _count(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"takes a whole number above 0, found {text!r}")
    return number


def parser() -> argparse.ArgumentParser:
    """The three verbs; by the standard library, since one of them runs where nothing else is."""
    top = argparse.ArgumentParser(prog="lease", description="See benchmarks/gpu.md.")
    verbs = top.add_subparsers(dest="verb", required=True)
    pack = verbs.add_parser("pack", help="at home: what to copy to the GPU machine, in pieces")
    pack.add_argument("settings", nargs="+", metavar="SETTING")
    pack.add_argument("--to", type=Path, required=True, help="folder for the pieces")
    pack.add_argument("--methods", default="core")
    pack.add_argument("--seeds", default=None, help="as 0,1,2; default: each setting's")
    pack.add_argument("--results", type=Path, help="of an earlier lease, to go on from")
    pack.add_argument("--wheels", type=Path, help="folder of wheels to install there")
    pack.add_argument("--mib", type=_amount, default=60, help="size of a piece, at most")
    run = verbs.add_parser("run", help="on the GPU machine: all that was prepared")
    run.add_argument("--pieces", type=Path, default=Path(sys.argv[0]).absolute().parent)
    run.add_argument("--out", type=Path, required=True, help="folder for what it leaves")
    run.add_argument("--minutes", type=_amount, required=True, help="of the lease that are left")
    run.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    run.add_argument("--workers", type=_count, default=None, help="cells side by side")
    run.add_argument("--steps", default=",".join(STEPS), help="less than all: some of these")
    home = verbs.add_parser("home", help="at home: merge what the run left")
    home.add_argument("folder", type=Path, help="pieces, or all that the run left")
    home.add_argument("--results", type=Path, help="default: leaderboard/results")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb: one line per error; exit codes as those of `gti-bench`."""
    asked = parser().parse_args(arguments)
    try:
        if asked.verb == "run":
            steps = asked.steps.split(",")
            return run_lease(
                asked.pieces, asked.out, asked.minutes, asked.device, asked.workers, steps
            )
        # These need the project's packages, which the GPU machine may lack.
        if asked.verb == "home":
            from benchmarks.lease.home import bring_home

            return bring_home(asked.folder, asked.results)
        from benchmarks.lease.pack import Wanted, pack

        wanted = Wanted(
            settings=asked.settings,
            methods=asked.methods,
            seeds=asked.seeds,
            results=asked.results,
            wheels=asked.wheels,
            piece_bytes=int(asked.mib * MEBIBYTE),
        )
        return pack(wanted, asked.to)
    except (RuntimeError, ValueError, OSError) as error:
        print(f"lease: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
