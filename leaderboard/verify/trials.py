"""Checks of the trials of `gti-bench tune`: each by itself, and that all methods had the same."""

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from leaderboard.metrics.metrics import metrics, num_users, relevance_of
from leaderboard.records.ranks import Ranks, read_ranks
from leaderboard.records.record import (
    PROTOCOL_VERSION,
    RecordError,
    cell_hash,
    ranks_path,
    read_content,
    record_digest,
)
from leaderboard.records.setting import Setting
from leaderboard.records.shipped import Shipped
from leaderboard.records.trial import (
    SCORES,
    TRIAL_SCHEMA_VERSION,
    Trial,
    held_out_nll,
    judged,
    parse_trial,
    setting_of_trials,
)
from leaderboard.verify.across import INPUTS
from leaderboard.verify.copies import Fingerprint, find_copies
from leaderboard.verify.findings import Finding, Report, shown
from leaderboard.verify.guard import guarded
from leaderboard.verify.record import check_written
from leaderboard.verify.said import Said
from leaderboard.verify.sidecars import check_figures, check_sha256
from leaderboard.verify.targets import TargetsHash

READ = ("semantic_ids", "backbone", "tokenizer", "prompts")
"""What every trial read, beside the dataset."""


def verify_trials(paths: Sequence[Path], shipped: Shipped | None = None) -> list[Finding]:
    """All findings about the trial files `paths`.

    Args:
        paths: the files.
        shipped: the settings that come with the code; None: unknown.
    """
    findings: list[Finding] = []
    read: list[tuple[Path, Trial]] = []
    cells: list[tuple[Path, str, Fingerprint]] = []
    said, targets, draw = Said(), TargetsHash(), secrets.randbits(64)
    for path in paths:
        report = Report(str(path), findings)
        trial = guarded(report, _read, report, path)
        if trial is not None:
            guarded(report, _check_identity, report, trial, path.resolve())
            guarded(report, _check_rates, report, trial)
            guarded(report, _check_run, report, trial)
            ranks = guarded(report, _check_score, report, trial, path)
            read.append((path, trial))
            guarded(report, _note, said, targets, path, trial, ranks)
            if ranks is not None:
                rows = targets.rows(ranks, draw)
                cells.append((path, trial.setting_hash, Fingerprint(None, trial.seed, rows, {})))
    said.compare(findings)
    find_copies(cells, findings, places_tell=False)
    if read:
        among = Report(str(read[0][0].parent.parent), findings)
        guarded(among, _check_equal_chances, read, findings)
        guarded(among, _check_settings, read, shipped, findings)
    return findings


def _note(said: Said, targets: TargetsHash, path: Path, trial: Trial, ranks: Ranks | None) -> None:
    """Notes what the trials of a setting have alike: inputs, who was scored, how long SFT was."""
    setting = trial.setting_hash
    for name in INPUTS:
        said.note(path, f"inputs.{name}", (setting,), getattr(trial.inputs, name))
    drawn = trial.seed if trial.setting.semantic_ids.seed == "cell" else None
    said.note(path, "inputs.semantic_ids", (setting, drawn), trial.inputs.semantic_ids)
    if ranks is not None:
        asked = f"users and targets of hash {targets.of(ranks)[:12]}"
        said.note(path, "ranks (targets)", (setting,), asked)
    if trial.stage == "sft" and trial.diverged is None and "sft" in trial.cost:
        more = trial.method.spends.get("after")
        said.note(path, "cost.sft.steps", (setting, more), trial.cost["sft"].steps)
    for stage in trial.cost.keys() - {"sft"}:
        if trial.diverged is None and trial.cost[stage].steps is not None:
            place = (setting, trial.method.key, trial.seed, stage)
            said.note(path, f"cost.{stage}.steps", place, trial.cost[stage].steps)


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
    check_written(report, trial, content)
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
    name = f"trial-{trial.stage}-{trial.number}-{trial.seed}"
    report.equal("stage, number and seed", name, path.stem)
    report.equal("cutoffs", trial.cutoffs, setting.evaluation.cutoffs)
    report.equal("beam", trial.beam, setting.decoding.beam)
    report.equal("metric", trial.metric, SCORES[trial.stage])


def _check_rates(report: Report, trial: Trial) -> None:
    """The rate tried stands in the setting's list, and the seed among those to tune at."""
    tuning, rates = trial.setting.tuning, trial.method.parameters
    if tuning is None:
        report.error("setting.tuning", None, "a table of the rates to try")
        return
    if trial.seed not in tuning.seeds:
        report.error("seed", trial.seed, f"one of the seeds to tune at, {list(tuning.seeds)}")
    same = setting_of_trials(trial.setting)
    for table in ("sft", "grounding"):
        found, wanted = getattr(trial.setting, table), getattr(same, table)
        report.equal(f"setting.{table}.learning_rate", found.learning_rate, wanted.learning_rate)
    tried = {"grounding": tuning.grounding_rates or (), "sft": tuning.sft_rates}[trial.stage]
    field = f"{trial.stage}_learning_rate"
    where, rate = f"method.parameters.{field}", getattr(rates, field)
    if not 1 <= trial.number <= len(tried):
        report.error("number", trial.number, f"the place of one of {list(tried)}")
    else:
        report.equal(where, rate, tried[trial.number - 1])
    if trial.stage == "grounding":
        report.equal("method.parameters.sft_learning_rate", rates.sft_learning_rate, None)
    elif rates.grounding_learning_rate not in (None, *(tuning.grounding_rates or ())):
        report.error(
            "method.parameters.grounding_learning_rate",
            rates.grounding_learning_rate,
            f"one of {list(tuning.grounding_rates or ())}",
        )


def _check_run(report: Report, trial: Trial) -> None:
    """What it read is named, and what it trained took time and, unless it diverged, steps."""
    pinned = trial.setting.dataset.sha256
    if pinned != "unpinned":
        report.equal("inputs.dataset", trial.inputs.dataset, pinned)
    for name in READ:
        if getattr(trial.inputs, name) is None:
            report.error(f"inputs.{name}", None, "a sha256")
    cost = trial.cost.get(trial.stage)
    if cost is None:
        if trial.diverged is None:
            report.error(f"cost.{trial.stage}", "nothing", "what the stage cost")
    elif not cost.seconds > 0 or (trial.diverged is None and not cost.steps):
        found = f"{cost.steps} steps in {cost.seconds} s"
        report.error(f"cost.{trial.stage}", found, "steps, and time for them")


def _check_score(report: Report, trial: Trial, path: Path) -> Ranks | None:
    """The score follows from what is kept, to the last digit; a trial that diverged has none.

    Returns:
        The ranks, where there are some that can be read.
    """
    if trial.stage == "grounding":
        for name in ("ranks", "metrics", "num_users"):
            report.equal(name, getattr(trial, name), None)
        found = None if trial.treatment is None else held_out_nll(trial.treatment)
        report.equal("score", trial.score, found)
        _check_diverged(report, trial, trial.treatment is None)
        return None
    report.equal("treatment", trial.treatment, None)
    _check_diverged(report, trial, trial.ranks is None)
    if trial.ranks is None:
        for name in ("score", "metrics", "num_users"):
            report.equal(name, getattr(trial, name), None)
        return None
    sidecar = ranks_path(path)
    check_sha256(report, "ranks", sidecar, trial.ranks)
    try:
        ranks = read_ranks(sidecar)
        relevance, by = relevance_of(trial.setting), judged(ranks, trial.setting)
        figures = metrics(ranks, trial.cutoffs, trial.beam, relevance)
        score = metrics(by, (), trial.beam, relevance)[SCORES["sft"]]
    except RecordError as error:
        report.error("ranks", str(error), "ranks that this protocol scores")
        return None
    splits = sorted(set(ranks.coded("split").names[ranks.coded("split").used].tolist()))
    report.equal("ranks (splits)", splits, ["validation"])
    report.equal("num_users", trial.num_users, num_users(ranks))
    report.equal("score", trial.score, score)
    check_figures(report, "metrics", trial.metrics, figures)
    return ranks


def _check_diverged(report: Report, trial: Trial, nothing: bool) -> None:
    """A trial with nothing to score says why, and no other does."""
    if not nothing:
        report.equal("diverged", trial.diverged, None)
    elif not trial.diverged:
        report.error("diverged", trial.diverged, "why there is nothing to score")


def _check_equal_chances(read: Sequence[tuple[Path, Trial]], findings: list[Finding]) -> None:
    """Within a setting every method has trials of the same rates, seeds and users."""
    settings: dict[str, list[tuple[Path, Trial]]] = {}
    said = Said()
    for path, trial in read:
        if trial.stage == "sft":
            place = (trial.setting_hash,)
            settings.setdefault(trial.setting_hash, []).append((path, trial))
            if trial.num_users is not None:
                said.note(path, "num_users", place, trial.num_users)
            if (rate := trial.method.parameters.grounding_learning_rate) is not None:
                said.note(path, "method.parameters.grounding_learning_rate", place, rate)
    said.compare(findings)
    for trials in settings.values():
        names: dict[str, set[str]] = {}
        for path, trial in trials:
            names.setdefault(trial.method.key, set()).add(path.stem)
        most = sorted(set[str]().union(*names.values()))
        for key, own in names.items():
            if missing := [name for name in most if name not in own]:
                place_of = next(path for path, trial in trials if trial.method.key == key).parent
                report = Report(str(place_of), findings)
                report.warn("", f"no {', '.join(missing)}", "as of others")


def _check_settings(
    read: Sequence[tuple[Path, Trial]], shipped: Shipped | None, findings: list[Finding]
) -> None:
    """Warns, once for each, of settings that trials are of and their name does not stand for now.

    That is the setting as it is shipped, rates aside; of other names the one that most trials have.
    Rates that were found under another budget were not found for this setting.
    """
    by_name: dict[str, list[tuple[Path, Trial]]] = {}
    for path, trial in read:
        by_name.setdefault(trial.setting.name, []).append((path, trial))
    for name, trials in by_name.items():
        counts = Counter(trial.setting_hash for _, trial in trials)
        known = None if shipped is None else shipped.settings.get(name)
        usual = counts.most_common(1)[0][0]
        of_most = next(trial.setting for _, trial in trials if trial.setting_hash == usual)
        wanted = of_most if known is None else setting_of_trials(known)
        whose = "as most trials have it" if known is None else "as it is shipped, rates aside"
        for own, count in counts.items():
            if own == wanted.hash:
                continue
            place, trial = next(each for each in trials if each[1].setting_hash == own)
            fields = list(_unlike(trial.setting, wanted))
            here, there = (
                "; ".join(f"{field} {shown(values[side])}" for field, values in fields)
                for side in (0, 1)
            )
            Report(str(place.parent.parent), findings).warn(
                "setting_hash",
                f"{count} trials of {own[:12]} ({here})",
                f"{wanted.hash[:12]} ({there}), the setting {name} {whose}",
            )


def _unlike(one: Setting, other: Setting) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """(field, its two values) where two settings differ in what their hash covers."""
    left, right = one.hashed, other.hashed
    for name in dict.fromkeys((*left, *right)):
        a, b = left.get(name), right.get(name)
        if not (isinstance(a, dict) and isinstance(b, dict)):
            a, b, place = {name: a}, {name: b}, ""
        else:
            place = f"{name}."
        for key in dict.fromkeys((*a, *b)):
            if a.get(key) != b.get(key):
                yield f"{place}{key}", (a.get(key), b.get(key))
