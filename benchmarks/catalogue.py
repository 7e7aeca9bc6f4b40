"""Settings by name: those of this folder, or any TOML file by its path."""

from difflib import get_close_matches
from pathlib import Path

from leaderboard.setting import SettingError, SettingFile, read_setting

SETTINGS = Path(__file__).parent / "settings"
COMMITTED_RESULTS = Path(__file__).parent.parent / "leaderboard" / "results"
"""The records in git; absent where only the wheel is installed."""


def setting_names() -> list[str]:
    """Names of the settings that come with gti-bench."""
    return sorted(path.stem for path in SETTINGS.glob("*.toml"))


def find_setting(name: str) -> SettingFile:
    """The setting called `name`, or the one in the TOML file at that path.

    Raises:
        SettingError: no such setting (the nearest name is given), or a file that cannot be used.
    """
    if name.endswith(".toml"):
        return read_setting(Path(name))
    if name in setting_names():
        return read_setting(SETTINGS / f"{name}.toml")
    close = get_close_matches(name, setting_names(), n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    raise SettingError(
        f"unknown setting {name!r}{hint} `gti-bench list settings` shows all; the path of a .toml"
        " file works too"
    )
