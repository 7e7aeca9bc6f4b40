"""Checks of one record against itself: hashes, path, inputs, manifest, proofs, curve, cost."""

import math
from pathlib import Path

from leaderboard.findings import Report
from leaderboard.record import (
    PROTOCOL_VERSION,
    Record,
    cell_hash,
)

BUDGET_SLACK = 0.05
"""Share of a budget by which it may be missed, beside one whole step of each stage."""


def check_identity(report: Report, record: Record, path: Path) -> None:
    """Protocol, hashes, and whether the record lies where its content says."""
    report.equal("protocol", record.protocol, PROTOCOL_VERSION)
    report.equal("setting_hash", record.setting_hash, record.setting.hash)
    report.equal("method_hash", record.method_hash, record.method.hash)
    expected = cell_hash(record.setting_hash, record.method_hash, record.seed)
    report.equal("cell_hash", record.cell_hash, expected)
    report.equal("setting.name", record.setting.name, path.parent.parent.name)
    report.equal("method.key", record.method.key, path.parent.name)
    report.equal("seed", f"seed-{record.seed}", path.stem)
    is_reference = record.method.group == "reference"
    report.equal("kind", record.kind, "reference" if is_reference else "cell")


def check_inputs(report: Report, record: Record) -> None:
    """The inputs are those the setting names."""
    report.equal("inputs.dataset", record.inputs.dataset, record.setting.dataset.sha256)
    if record.kind == "cell":
        expected = record.setting.semantic_ids.sha256
        report.equal("inputs.semantic_ids", record.inputs.semantic_ids, expected)
        for name in ("backbone", "tokenizer", "prompts"):
            if getattr(record.inputs, name) is None:
                report.error(f"inputs.{name}", None, "a sha256")


def check_parts(report: Report, record: Record) -> None:
    """A cell has accounting, manifest, proofs, curve, diagnostics and budget; a reference none."""
    present = {
        "accounting": record.accounting is not None,
        "manifest": record.manifest is not None,
        "proofs": bool(record.proofs),
        "learning_curve": bool(record.learning_curve),
        "diagnostics": bool(record.diagnostics),
        "budget": record.budget is not None,
        "files.diagnostics": record.files.diagnostics is not None,
    }
    expected = record.kind == "cell"
    for name, there in present.items():
        if there != expected:
            report.error(
                name,
                "something" if there else "nothing",
                f"{'something' if expected else 'nothing'} in a {record.kind}",
            )


def check_accounting(report: Report, record: Record) -> None:
    """The beam is the setting's, and the Semantic IDs' counts agree with each other."""
    accounting = record.accounting
    if accounting is None:
        return
    report.equal("accounting.beam", accounting.beam, record.setting.decoding.beam)
    spec = record.setting.semantic_ids
    report.equal("accounting.num_codes", accounting.num_codes, spec.codes)
    report.equal("accounting.used_codes (levels)", len(accounting.used_codes), spec.levels)
    for level, used in enumerate(accounting.used_codes):
        if not 0 < used <= accounting.num_codes:
            report.error(f"accounting.used_codes.{level}", used, f"1 to {accounting.num_codes}")
    if not 0 < accounting.distinct_sids <= accounting.num_items:
        report.error(
            "accounting.distinct_sids", accounting.distinct_sids, f"1 to {accounting.num_items}"
        )
    for level, mass in enumerate(accounting.trie_mass or ()):
        if not 0 <= mass <= 1 + 1e-6:
            report.error(f"accounting.trie_mass.{level}", mass, "0 to 1")
    if accounting.beam_used_min > accounting.beam_used_mean + 1e-9:
        found = accounting.beam_used_mean
        report.error("accounting.beam_used_mean", found, f"at least {accounting.beam_used_min}")


def check_manifest(report: Report, record: Record) -> None:
    """The rows that were written add up, and are what the method claims."""
    manifest = record.manifest
    if manifest is None:
        return
    spec = record.setting.semantic_ids
    report.equal("manifest.num_rows", manifest.num_rows, spec.levels * spec.codes)
    if manifest.rows_after < manifest.rows_before:
        expected = f"at least {manifest.rows_before} (a matrix never shrinks)"
        report.error("manifest.rows_after", manifest.rows_after, expected)
    padding = manifest.rows_after - manifest.num_rows - manifest.num_text_rows
    report.equal("manifest.padding_rows", manifest.padding_rows, padding)
    report.equal(
        "manifest.text_rows_sha256_after",
        manifest.text_rows_sha256_after,
        manifest.text_rows_sha256_before,
    )
    if record.method.key == "mean" or manifest.initializer == "mean":
        report.equal("manifest.identical_rows", manifest.identical_rows, True)


def check_proofs(report: Report, record: Record) -> None:
    """What moved in each stage: in grounding the new rows and nothing else."""
    manifest = record.manifest
    if manifest is None:
        return
    for index, proof in enumerate(record.proofs):
        place = f"proofs.{index}"
        for name in ("new_rows_changed", "new_rows_with_gradient"):
            value = getattr(proof, name)
            if not 0 <= value <= manifest.num_rows:
                report.error(f"{place}.{name}", value, f"0 to {manifest.num_rows}")
        if proof.stage == "grounding":
            report.equal(f"{place}.text_rows_with_gradient", proof.text_rows_with_gradient, 0)
            report.equal(f"{place}.text_rows_changed", proof.text_rows_changed, 0)
            report.equal(f"{place}.backbone_changed", proof.backbone_changed, False)
            if index == 0:
                report.equal(
                    f"{place}.text_rows_sha256",
                    proof.text_rows_sha256,
                    manifest.text_rows_sha256_after,
                )
            if proof.new_rows_sha256 == manifest.new_rows_sha256_after:
                expected = "other rows than before grounding"
                report.error(f"{place}.new_rows_sha256", proof.new_rows_sha256, expected)
    stages = [proof.stage for proof in record.proofs]
    report.equal("proofs (stages)", len(set(stages)), len(stages))
    if "before" in record.method.spends and "grounding" not in stages:
        report.warn("proofs", stages, "a stage before SFT, which the method spends on")


def check_curve(report: Report, record: Record) -> None:
    """The curve starts at step 0 and goes forward."""
    curve = record.learning_curve
    if not curve:
        return
    report.equal("learning_curve.0.step", curve[0].step, 0)
    for index in range(1, len(curve)):
        before, after = curve[index - 1], curve[index]
        if after.step <= before.step:
            report.error(f"learning_curve.{index}.step", after.step, f"more than {before.step}")
        for name in ("passes", "nominal_flops", "seconds"):
            low, value = getattr(before, name), getattr(after, name)
            if value < low:
                report.error(f"learning_curve.{index}.{name}", value, f"at least {low}")


def check_cost(report: Report, record: Record) -> None:
    """Costs are not negative, and what training took is what the budget allows."""
    for stage, cost in record.cost.items():
        for name, value in cost.model_dump().items():
            if value is not None and "loss" not in name and value < 0:
                report.error(f"cost.{stage}.{name}", value, "0 or more")
    budget = record.budget
    if budget is None:
        return
    one_step = math.fsum(
        cost.nominal_flops / cost.steps
        for cost in record.cost.values()
        if cost.steps and cost.nominal_flops is not None
    )
    most = budget.extra_flops * (1 + BUDGET_SLACK) + one_step
    if not 0 <= budget.extra_spent_flops <= most:
        expected = f"0 to {budget.extra_flops:.6g}"
        report.error("budget.extra_spent_flops", budget.extra_spent_flops, expected)
    if not record.method.spends:
        report.equal("budget.extra_spent_flops", budget.extra_spent_flops, 0)
    share = record.setting.extra.share_of_sft
    if not math.isclose(budget.extra_flops, share * budget.sft_flops, rel_tol=1e-6):
        expected = f"{share * budget.sft_flops!r} ({share} of sft_flops)"
        report.error("budget.extra_flops", budget.extra_flops, expected)
    trained = math.fsum(
        cost.nominal_flops
        for cost in record.cost.values()
        if cost.steps is not None and cost.nominal_flops is not None
    )
    allowed = budget.sft_flops + budget.extra_spent_flops
    if trained and abs(trained - allowed) > BUDGET_SLACK * allowed + one_step:
        expected = f"{allowed:.6g} (SFT and what was spent of the extra budget)"
        report.error("cost (nominal FLOPs of training)", trained, expected)
