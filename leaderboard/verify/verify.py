"""Checks records and trials without their author: schema, digest, sidecars, derivable figures."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from leaderboard.records.processes import share
from leaderboard.records.ranks import Ranks
from leaderboard.records.record import (
    Record,
    RecordError,
    diagnostics_path,
    find_records,
    parse_record,
    ranks_path,
    read_content,
    record_digest,
)
from leaderboard.records.reproductions import reproductions_path
from leaderboard.records.shipped import Shipped
from leaderboard.records.trial import find_trials
from leaderboard.verify.across import (
    Statement,
    compare_records,
    compare_with_shipped,
    statement_of,
)
from leaderboard.verify.complete import check_complete
from leaderboard.verify.curve import check_curve, check_steps, check_tasks
from leaderboard.verify.diagnostics import check_diagnostics
from leaderboard.verify.findings import Finding, Report
from leaderboard.verify.fits import check_fits
from leaderboard.verify.guard import guarded
from leaderboard.verify.inputs import check_artefact
from leaderboard.verify.likelihood import catalogue_of, check_curve_losses, check_losses
from leaderboard.verify.manifest import check_manifest
from leaderboard.verify.names import check_names
from leaderboard.verify.plausible import (
    check_code,
    check_curve_metrics,
    check_last_point,
    check_popularity,
    check_positions,
    check_speed,
)
from leaderboard.verify.record import (
    check_accounting,
    check_identity,
    check_inputs,
    check_parts,
    check_proofs,
    check_written,
)
from leaderboard.verify.reproductions import check_reproductions
from leaderboard.verify.sidecars import check_ranks
from leaderboard.verify.targets import TargetsHash
from leaderboard.verify.training import check_budget, check_cost, check_trainable
from leaderboard.verify.treatment import check_retention, check_treatment
from leaderboard.verify.trials import verify_trials

MEASURED = (
    "cost.*.seconds",
    "cost.*.peak_memory_bytes",
    "cost.*.device_flops",
    "fits.*.seconds",
    "learning_curve.*.seconds",
    "environment.threads",
)
"""Numbers that were measured and never come out the same; a change is found by the digest alone.

Their signs and the order of the curve's seconds are checked, that no stage is faster than its
device, and none smaller than the weights it holds.
"""

DIGEST_ALONE = {
    "accounting.trie_mass.*": "0 to 1",
    "accounting.beam_used_min": "bounded by the mean and the beam",
    "budget.extra_flops": "exact where the setting gives a share of SFT, else by what was spent",
    "cost.*.first_loss": "0 or more",
    "cost.*.last_loss": "of SFT the curve's last",
    "cost.grounding*.steps": "bounded by the examples",
    "cost.score.tokens": "0 or more",
    "cost.*.tokens": "bounded by FLOPs and examples, and by divisibility where rows are grounded",
    "diagnostics.*.cosine_*": "derived, to .00025, where a level has at most 64 used codes",
    "diagnostics.*.norm_mean": "bounded by the singular values; of the first rows the manifest's",
    "diagnostics.*.rsa_*": "-1 to 1; derived as the cosines, where those vary enough",
    "diagnostics.*.text_affinity": "at least that to the text rows that are stored",
    "fits.*": "epochs and the epoch kept; the library's own figures are not ours to derive",
    "learning_curve.*.metrics.*nll": "0 or more, trie_nll at most nll, nll as high as the recalls"
    " leave; the last of all validation ranks, the first of equal rows by the trie",
    "learning_curve.*.metrics.*": "0 to 1, rising with k, MRR up to NDCG up to recall, of whole"
    " targets; the last near the validation ranks'; no two cells' alike",
    "learning_curve.*.nominal_flops": "multiples of 6, rising; the last is SFT's",
    "learning_curve.*.train_loss": "the last is SFT's",
    "manifest.cosine_to_text_mean": "-1 to 1",
    "manifest.norm_*": "of first rows with codes that no item uses",
    "manifest.pairwise_cosine_mean": "of first rows with codes that no item uses",
    "manifest.rows_before": "exact unless the vocabulary is padded; one within a setting",
    "manifest.text_norm_mean": "0 or more; one within a setting",
    "method.facts.*": "of a shipped method the shipped ones; else how it is drawn and compared",
    "names.numbered": "bounded by the items, and by those without a title",
    "names.tokens_*": "2 or more; the mean of whole numbers, at most the longest",
    "names.untitled": "bounded by the items, and by those with a number",
    "proofs.*.*_changed": "at most the rows there are; text rows in grounding: none",
    "proofs.*.*_with_gradient": "at most the rows there are; text rows in grounding: none",
    "proofs.*.trainable_parameters": "divisible, at least all rows; one within a setting",
    "retention.after": "above 0",
    "retention.before": "above 0; one within a setting, on one kind of machine",
    "retention.characters": "above 0; one within a setting",
    "setting.semantic_ids.draws.*": "one within a setting, of a shipped setting the shipped ones;"
    " the seed's own is that of the inputs",
    "setting.seeds.*": "what a board runs by default; of a shipped setting among the shipped ones",
    "tasks.*": "bounded by steps and batches; R's is one within a setting",
    "treatment.found.*.recall*": "0 to 1; what was shown as it is, is found as it is",
    "treatment.pairs.*.tokens": "exact where the answer is a Semantic ID, else one a pair at least",
    "treatment.pairs.*.true": "what different Semantic IDs and the recall leave",
    "treatment.pairs.*.permuted": "what different Semantic IDs leave",
    "treatment.pairs.*.shown": "that of the true pairs, or in both directions another; the same of"
    " a method's seeds",
}
"""Figures of a record that do not follow from its other fields, sidecars and inputs alone → what
`verify` does check of them.

A changed one is refused by the digest; whoever also computes the digest anew is found only where
the check named here is broken. `gti-bench rerun` computes the cell again and compares them all.
Every other number is derived: `verify` names it when a digit of it is changed, in arrays stored in
float32 as far as those reach: means and ranks to some six digits, RSA to some 1e-6 (Pearson) and
1e-5 (Spearman), less where the rows' cosines hardly vary.
"""


RECORDS_PER_TASK = 16
"""Read by one process in a row, so that it can use what the last record left."""


def verify(path: Path, processes: int = 1, shipped: Shipped | None = None) -> list[Finding]:
    """All findings about the records and trials under `path`; none if all is well.

    Of each record only what others must agree with is kept, so memory does not grow with them.

    Args:
        path: a results directory, one setting's or one method's directory in it or in its
            `tuning`, or one record or trial.
        processes: how many share the work where there is enough of it. With more than one the
            calling script must be importable (`if __name__ == "__main__":`), as `spawn` demands.
        shipped: settings and methods as they come with the code: records and trials of other ones
            under their names are warned of; None: unknown.
    """
    trials = _trials(path)
    records = [] if path in trials else list(_records(path))
    if not records and not trials:
        return [
            Finding("error", str(path), "", f"no records under {path}", "SETTING/METHOD/seed-N")
        ]
    findings: list[Finding] = []
    checked: list[Statement] = []
    draw = secrets.randbits(64)  # nobody knows beforehand which rows of many are compared
    for found, facts in _verify_all(records, processes, draw):
        findings += found
        checked += facts
    among = Report(str(path), findings)
    guarded(among, compare_records, checked, findings)
    if shipped is not None:
        guarded(among, compare_with_shipped, checked, shipped, findings)
    findings += verify_trials(trials, shipped)
    if path.is_dir():
        _find_orphans(path, findings)
    return findings


_OF_THE_RECORD: tuple[Callable[[Report, Record], None], ...] = (
    check_inputs,
    check_complete,
    check_code,
    check_parts,
    check_accounting,
    check_manifest,
    check_proofs,
    check_fits,
    check_names,
    check_tasks,
    check_curve,
    check_curve_metrics,
    check_steps,
    check_cost,
    check_speed,
    check_trainable,
    check_budget,
    check_retention,
)


def _verify_all(
    records: Sequence[Path], processes: int, draw: int
) -> Iterator[tuple[list[Finding], list[Statement]]]:
    """What is found in each run of `records`, in their order."""
    size = RECORDS_PER_TASK
    tasks = [records[start : start + size] for start in range(0, len(records), size)]
    # A process takes a second to start.
    work = partial(_verify_some, draw=draw)
    yield from share(work, tasks, min(processes, len(tasks) // 2))


def _verify_some(records: Sequence[Path], draw: int) -> tuple[list[Finding], list[Statement]]:
    """Checks each of `records` by itself; what is wrong, and what others must agree with."""
    findings: list[Finding] = []
    checked: list[Statement] = []
    targets = TargetsHash()
    for file in records:
        record, ranks = _verify_one(Report(str(file), findings), file)
        if record is not None:
            report = Report(str(file), findings)
            stated = guarded(report, statement_of, file, record, ranks, targets, draw)
            checked += [] if stated is None else [stated]
    return findings, checked


def _records(path: Path) -> Iterator[Path]:
    """The record files at or under `path`."""
    if path.is_file():
        yield path
        return
    found = list(find_records(path))
    found = found or sorted(path.glob("*/seed-*.json")) or sorted(path.glob("seed-*.json"))
    yield from found


def _trials(path: Path) -> list[Path]:
    """The trial files at or under `path`; of a results directory those in its `tuning`."""
    if path.is_file():
        return [path] if path.name.startswith("trial-") else []
    return list(find_trials(path / "tuning" if (path / "tuning").is_dir() else path))


def _verify_one(report: Report, path: Path) -> tuple[Record | None, Ranks | None]:
    """Checks one record; returns it and its ranks, as far as they can be read."""
    try:
        content = read_content(path)
    except RecordError as error:
        report.error("", str(error), "a readable record")
        return None, None
    try:
        report.equal("digest", content.get("digest"), record_digest(content))
    except ValueError as error:  # NaN or a broken character: no canonical form, so no digest
        report.error("digest", f"content without a canonical form ({error})", "a digest")
    try:
        record = parse_record(content, str(path))
    except RecordError as error:
        report.error("(schema)", str(error).removeprefix(f"{path}: "), "the record's schema")
        return None, None
    guarded(report, check_written, report, record, content)
    for check in _OF_THE_RECORD:
        guarded(report, check, report, record)
    guarded(report, check_identity, report, record, path.resolve())
    artefact = guarded(report, check_artefact, report, record, path)
    catalogue = guarded(report, catalogue_of, record, artefact)
    guarded(report, check_curve_losses, report, record, catalogue)
    guarded(report, check_treatment, report, record, catalogue)
    ranks = guarded(report, check_ranks, report, record, path)
    if ranks is not None:
        for of_ranks in (check_positions, check_popularity, check_last_point):
            guarded(report, of_ranks, report, record, ranks)
        guarded(report, check_losses, report, record, ranks, catalogue)
    guarded(report, check_diagnostics, report, record, path, artefact)
    guarded(report, check_reproductions, report, record, path, ranks)
    return record, ranks


def _find_orphans(path: Path, findings: list[Finding]) -> None:
    """Sidecars without a record: a cell that was interrupted, or whose record was removed."""
    for pattern, sidecar in (
        ("seed-*.ranks.parquet", ranks_path),
        ("seed-*.diagnostics.npz", diagnostics_path),
        ("seed-*.reproductions.jsonl", reproductions_path),
        ("trial-*.ranks.parquet", ranks_path),
    ):
        for file in sorted(path.rglob(pattern)):
            record = file.with_name(f"{file.name.partition('.')[0]}.json")
            if sidecar(record) == file and not record.exists():
                findings.append(
                    Finding("warning", str(file), "", "no record beside it", record.name)
                )
