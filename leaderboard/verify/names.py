"""Checks of a record's `names`: a reference that is a language model and names items in words."""

import math

from leaderboard.records.parts import NameAccounting
from leaderboard.records.record import Record
from leaderboard.verify.curve import check_examples, passes_over_r
from leaderboard.verify.findings import Report
from leaderboard.verify.record import check_stage
from leaderboard.verify.training import EXACT, check_counts, check_utilisation, track_task

LEAST_TOKENS = 2
"""Of a name: one and its end."""


def check_names(report: Report, record: Record) -> None:
    """Names stand in references alone; their numbers, and what was trained on them, add up."""
    names = record.names
    if names is None:
        return
    if record.kind != "reference":
        report.error("names", "something", f"nothing in a {record.kind}")
        return
    report.equal("inputs.semantic_ids", record.inputs.semantic_ids, None)
    for name in ("backbone", "tokenizer", "prompts"):
        if getattr(record.inputs, name) is None:
            report.error(f"inputs.{name}", None, "a sha256")
    _check_accounting(report, record, names)
    _check_proof(report, record)
    _check_cost(report, record)


def _check_accounting(report: Report, record: Record, names: NameAccounting) -> None:
    """Counts of names lie within the items; a beam holds as many items as fit into it."""
    report.equal("names.beam", names.beam, record.setting.decoding.beam)
    if names.num_items < 1:
        report.error("names.num_items", names.num_items, "1 or more")
        return
    if not 0 <= names.numbered < names.num_items:
        wanted = f"0 to {names.num_items - 1}: the first of a name has no number"
        report.error("names.numbered", names.numbered, wanted)
    if not 0 <= names.untitled <= names.num_items:
        report.error("names.untitled", names.untitled, f"0 to {names.num_items}")
    elif names.untitled > names.numbered + 1:
        wanted = f"at most {names.numbered + 1}: of those without title one has no number"
        report.error("names.untitled", names.untitled, wanted)
    total = names.tokens_mean * names.num_items
    if not math.isclose(total, round(total), rel_tol=1e-12):
        report.error("names.tokens_mean", names.tokens_mean, f"of {names.num_items} names")
    if not LEAST_TOKENS <= names.tokens_mean <= names.tokens_max:
        wanted = f"{LEAST_TOKENS} to {names.tokens_max} (names.tokens_max)"
        report.error("names.tokens_mean", names.tokens_mean, wanted)
    # A hypothesis never ends without an item, so a beam that all names fit into finds them all.
    filled = min(names.beam, names.num_items)
    report.equal("names.beam_used_min", names.beam_used_min, filled)
    report.equal("names.beam_used_mean", names.beam_used_mean, float(filled))


def _check_proof(report: Report, record: Record) -> None:
    """One stage, SFT, that moved text rows and, without adapters, the backbone; no row is new."""
    report.equal("proofs (stages)", [proof.stage for proof in record.proofs], ["sft"])
    for index, proof in enumerate(record.proofs):
        place = f"proofs.{index}"
        for name in ("new_rows_changed", "new_rows_with_gradient"):
            report.equal(f"{place}.{name}", getattr(proof, name), 0)
        for name in ("text_rows_changed", "text_rows_with_gradient", "trainable_parameters"):
            if getattr(proof, name) <= 0:
                report.error(f"{place}.{name}", getattr(proof, name), "above 0")
        if record.setting.backbone.lora is None:
            report.equal(f"{place}.backbone_changed", proof.backbone_changed, True)


def _check_cost(report: Report, record: Record) -> None:
    """SFT took the setting's steps, on examples of R alone, and its FLOPs are whole."""
    check_stage(report, record, "sft")
    cost, task = record.cost.get("sft"), track_task(record)
    report.equal("tasks (names)", sorted(record.tasks), [task])
    if cost is None or not cost.steps:
        return
    check_counts(report, record, "sft", cost)
    check_utilisation(report, "sft", cost)
    nominal, actual = cost.nominal_flops, cost.actual_flops
    if nominal is not None and nominal < EXACT:
        if nominal % 6:
            report.error("cost.sft.nominal_flops", nominal, "a multiple of 6")
        if actual is not None and (not 0 < actual <= nominal or (nominal - actual) % 6):
            wanted = f"above 0, {nominal!r} (cost.sft.nominal_flops) less a multiple of 6"
            report.error("cost.sft.actual_flops", actual, wanted)
    spec = record.setting.sft
    if spec.passes is None:
        report.equal("cost.sft.steps", cost.steps, spec.steps)
        batches = []
    else:
        batches = passes_over_r(record, cost.steps)
        if not batches:
            wanted = f"{spec.passes} passes (setting.sft.passes) of whole batches"
            report.error("cost.sft.steps", cost.steps, wanted)
    check_examples(report, record, cost.steps, batches, longer=False)
