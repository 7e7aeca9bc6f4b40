"""Settings by name: those of this folder, or any TOML file by its path."""

from pathlib import Path

from benchmarks.machine.places import SETTINGS
from gti.hints import did_you_mean
from gti.prompts.mixture import MixtureError, check_families
from leaderboard.records.setting import SettingError, SettingFile, read_setting

"""The records in git; absent where only the wheel is installed."""


def setting_names() -> list[str]:
    """Names of the settings that come with gti-bench."""
    return sorted(path.stem for path in SETTINGS.glob("*.toml"))


def setting_path(name: str) -> Path:
    """Where the setting that `find_setting` takes for `name` is written."""
    return Path(name) if name.endswith(".toml") else SETTINGS / f"{name}.toml"


def find_setting(name: str) -> SettingFile:
    """The setting called `name`, or the one in the TOML file at that path.

    Raises:
        SettingError: no such setting (the nearest name is given), or a file that cannot be used.
    """
    if name.endswith(".toml") or name in setting_names():
        file = read_setting(setting_path(name))
        try:
            check_families(file.setting.auxiliary.mixture)
        except MixtureError as error:
            raise SettingError(f"{setting_path(name)}: {error}") from error
        return file
    hint = did_you_mean(name, setting_names()) or "."
    raise SettingError(
        f"unknown setting {name!r}{hint} `gti-bench list settings` shows all; the path of a .toml"
        " file works too"
    )
