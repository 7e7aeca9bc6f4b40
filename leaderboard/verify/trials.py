"""Checks of the trials of `gti-bench tune`: each by itself, and that all methods had the same."""

from collections.abc import Sequence
from pathlib import Path

from leaderboard.metrics.metrics import MAIN_METRIC, metrics, num_users, relevance_of
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import (
    PROTOCOL_VERSION,
    RecordError,
    cell_hash,
    ranks_path,
    read_content,
    record_digest,
)
from leaderboard.records.trial import TRIAL_SCHEMA_VERSION, Trial, parse_trial
from leaderboard.verify.findings import Finding, Report
from leaderboard.verify.sidecars import check_figures, check_sha256


def verify_trials(paths: Sequence[Path]) -> list[Finding]:
    """All findings about the trial files `paths`."""
    findings: list[Finding] = []
    read: list[tuple[Path, Trial]] = []
    for path in paths:
        report = Report(str(path), findings)
        trial = _read(report, path)
        if trial is not None:
            _check_identity(report, trial, path.resolve())
            _check_score(report, trial, path)
            read.append((path, trial))
    _check_equal_chances(read, findings)
    return findings


def _read(report: Report, path: Path) -> Trial | None:
    """The trial at `path`, as far as it can be read."""
    try:
        content = read_content(path)
        trial = parse_trial(content, str(path))
    except RecordError as error:
        report.error("", str(error).removeprefix(f"{path}: "), "a readable trial")
        return None
    try:
        report.equal("digest", trial.digest, record_digest(content))
    except ValueError as error:  # NaN or a broken character: no canonical form, so no digest
        report.error("digest", f"content without a canonical form ({error})", "a digest")
    return trial


def _check_identity(report: Report, trial: Trial, path: Path) -> None:
    """Versions, hashes, the place it lies in, and that it looked at no seed or data of a board."""
    setting = trial.setting
    report.equal("schema_version", trial.schema_version, TRIAL_SCHEMA_VERSION)
    report.equal("protocol", trial.protocol, PROTOCOL_VERSION)
    report.equal("setting_hash", trial.setting_hash, setting.hash)
    report.equal("method_hash", trial.method_hash, trial.method.hash)
    expected = cell_hash(trial.setting_hash, trial.method_hash, trial.seed)
    report.equal("cell_hash", trial.cell_hash, expected)
    report.equal("setting.name", setting.name, path.parent.parent.name)
    report.equal("method.key", trial.method.key, path.parent.name)
    report.equal("number", f"trial-{trial.number}", path.stem)
    report.equal("cutoffs", trial.cutoffs, setting.evaluation.cutoffs)
    report.equal("beam", trial.beam, setting.decoding.beam)
    if setting.tuning is not None:
        report.equal("seed", trial.seed, setting.tuning.seed)
    if trial.seed in setting.seeds:
        report.error("seed", trial.seed, f"none of the board's, {list(setting.seeds)}")


def _check_score(report: Report, trial: Trial, path: Path) -> None:
    """The score follows from validation ranks, to the last digit; one that diverged has none."""
    if trial.ranks is None:
        for name in ("score", "metrics", "num_users"):
            report.equal(name, getattr(trial, name), None)
        if not trial.diverged:
            report.error("diverged", trial.diverged, "why there are no ranks")
        return
    report.equal("diverged", trial.diverged, None)
    sidecar = ranks_path(path)
    check_sha256(report, "ranks", sidecar, trial.ranks)
    try:
        ranks = read_ranks(sidecar)
        found = metrics(ranks, trial.cutoffs, trial.beam, relevance_of(trial.setting))
    except RecordError as error:
        report.error("ranks", str(error), "ranks that this protocol scores")
        return
    splits = sorted(set(ranks.coded("split").names[ranks.coded("split").used].tolist()))
    report.equal("ranks (splits)", splits, [trial.split])
    report.equal("num_users", trial.num_users, num_users(ranks))
    report.equal("score", trial.score, found[MAIN_METRIC])
    check_figures(report, "metrics", trial.metrics, found)


def _check_equal_chances(read: Sequence[tuple[Path, Trial]], findings: list[Finding]) -> None:
    """Within a setting every method has as many trials, of the same SFT rates and users."""
    settings: dict[str, list[tuple[Path, Trial]]] = {}
    for path, trial in read:
        settings.setdefault(trial.setting_hash, []).append((path, trial))
    for trials in settings.values():
        numbers: dict[str, set[int]] = {}
        rates: dict[int, float | None] = {}
        scored = next((trial.num_users for _, trial in trials if trial.num_users), None)
        for path, trial in trials:
            report = Report(str(path), findings)
            numbers.setdefault(trial.method.key, set()).add(trial.number)
            rate = trial.method.parameters.sft_learning_rate
            report.equal(
                "method.parameters.sft_learning_rate", rate, rates.setdefault(trial.number, rate)
            )
            if trial.num_users is not None:
                report.equal("num_users", trial.num_users, scored)
        most = sorted(set[int]().union(*numbers.values()))
        for key, own in numbers.items():
            if sorted(own) != most:
                place = next(path for path, trial in trials if trial.method.key == key).parent
                Report(str(place), findings).warn("", f"trials {sorted(own)}", f"{most}, as others")
