"""Settings by name: those of this folder, or any TOML file by its path."""

import pkgutil
from importlib.metadata import entry_points
from pathlib import Path

import baselines
from benchmarks.machine.places import SETTINGS
from gti.data.warm_cold_new import KINDS
from gti.hints import did_you_mean
from gti.prompts.mixture import MixtureError, check_families
from leaderboard.metrics.metrics import PEER_AUC, metric_names, relevance_of
from leaderboard.metrics.slices import NEXT_ITEM_SLICES, QUERIES
from leaderboard.records.setting import Setting, SettingError, SettingFile, read_setting


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
        _check_primary(file.setting, setting_path(name))
        return file
    hint = did_you_mean(name, setting_names()) or "."
    raise SettingError(
        f"unknown setting {name!r}{hint} `gti-bench list settings` shows all; the path of a .toml"
        " file works too"
    )


def slices_of(setting: Setting) -> list[str]:
    """The slices that the setting's test users or queries fall into."""
    queries = setting.queries
    if queries is None:
        return list(NEXT_ITEM_SLICES)
    rule = queries.warm_cold_new
    if rule is not None:
        kinds = [kind for kind, share in zip(KINDS, rule.shares, strict=True) if share]
        return [f"{QUERIES}{kind}-{way}" for kind in kinds for way in rule.ways]
    return [f"{QUERIES}item", *([f"{QUERIES}category"] if queries.category_fields else [])]


def _check_primary(setting: Setting, path: Path) -> None:
    """Refuses primary contrasts of methods, slices and outcomes that the setting cannot have.

    Raises:
        SettingError: names the file, the contrast, and the nearest name.
    """
    if setting.primary is not None:
        _check_outcome(setting, setting.primary.outcome, path)
    for contrast in setting.primary.contrasts if setting.primary else ():
        where = f"{path}: primary contrast {contrast.a} − {contrast.b}"
        for key in (contrast.a, contrast.b):
            if not _is_method(key):
                hint = did_you_mean(key, _shipped_keys()) or ";"
                raise SettingError(
                    f"{where}: there is no method {key!r}{hint} `gti-bench list methods` shows all"
                )
        there = slices_of(setting)
        for name in contrast.on:
            if name not in there:
                hint = did_you_mean(name, there) or ";"
                raise SettingError(
                    f"{where}: the setting has no slice {name!r}{hint} it has {', '.join(there)}"
                )


def _check_outcome(setting: Setting, outcome: str, path: Path) -> None:
    """Refuses an outcome that the track does not score, or not on the slices declared.

    Raises:
        SettingError: names the file and what is scored there.
    """
    relevance, there = relevance_of(setting), slices_of(setting)
    scored = metric_names(setting.evaluation.cutoffs, relevance)
    if outcome not in scored:
        raise SettingError(
            f"{path}: primary.outcome {outcome} is not scored in this setting, which asks"
            f" {setting.asks}; {', '.join(scored)} are"
        )
    if outcome != PEER_AUC:
        return
    warm = f"{QUERIES}{KINDS[0]}-"
    rest = [name for name in there if not name.startswith(warm)]
    for contrast in setting.primary.contrasts if setting.primary else ():
        for name in contrast.on:
            if name.startswith(warm):
                raise SettingError(
                    f"{path}: primary contrast {contrast.a} − {contrast.b}: queries for warm items"
                    f" have no {outcome}, and {name!r} holds no others; take {', '.join(rest)}"
                )


def _shipped_keys() -> list[str]:
    """Keys of the methods in `baselines`, which are its files' names: torch is not needed."""
    return [found.name for found in pkgutil.iter_modules(baselines.__path__)]


def _is_method(key: str) -> bool:
    """Whether there is such a method; of packages of others the methods are loaded to know."""
    if key in _shipped_keys():
        return key != "registry"
    if not entry_points(group="gti.methods"):
        return False
    from baselines.registry import methods

    return key in methods()
