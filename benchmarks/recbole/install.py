"""Makes the environment of RecBole: `python -m benchmarks.recbole.install DIRECTORY`.

About a minute and 1.4 GB with the CPU build of torch. An environment that was made from the same
pins by the same Python is left as it is.
"""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.recbole.models import RECBOLE_VERSION

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
STAMP = "gti-bench.sha256"
PYTHONS = ((3, 11), (3, 12))
"""What RecBole's pins have wheels for: numpy 1.26 ends with 3.12."""


def wanted_stamp() -> str:
    """A hash of all that makes the environment: pins, RecBole's version, Python's."""
    content = f"{RECBOLE_VERSION}\n{sys.version}\n{REQUIREMENTS.read_text(encoding='utf-8')}"
    return hashlib.sha256(content.encode()).hexdigest()


def interpreter(environment: Path) -> Path:
    """The Python of the virtual environment in `environment`."""
    scripts = environment / "Scripts" / "python.exe"
    return scripts if scripts.exists() else environment / "bin" / "python"


def install(environment: Path) -> bool:
    """Makes the environment in `environment`; False where it stood already.

    Raises:
        SystemExit: a Python without wheels for the pins, or pip could not install them.
    """
    if sys.version_info[:2] not in PYTHONS:
        found = ".".join(map(str, sys.version_info[:2]))
        sys.exit(f"RecBole's environment needs Python 3.11 or 3.12, found {found}")
    stamp = environment / STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted_stamp():
        return False
    # No pip in it: ours installs into it, and ensurepip is missing on some systems.
    venv.create(environment, with_pip=False, clear=True)
    into = [sys.executable, "-m", "pip", "--python", str(interpreter(environment)), "install"]
    for what in (["-r", str(REQUIREMENTS)], ["--no-deps", f"recbole=={RECBOLE_VERSION}"]):
        done = subprocess.run([*into, "--quiet", *what], check=False)
        if done.returncode:
            sys.exit(f"pip could not install {' '.join(what)} into {environment}; see above")
    stamp.write_text(wanted_stamp(), encoding="utf-8")
    return True


def main() -> None:
    """Installs into the directory named by the only argument."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.recbole.install DIRECTORY")
    environment = Path(sys.argv[1])
    made = install(environment)
    print(f"{environment}: {'made' if made else 'stands already'}")


if __name__ == "__main__":
    main()
