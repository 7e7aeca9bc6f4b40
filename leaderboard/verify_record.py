"""Checks of one record against itself: hashes, path, inputs, manifest, proofs, curve, cost."""

import math
from collections import Counter
from pathlib import Path

from leaderboard.findings import Report
from leaderboard.record import (
    PROTOCOL_VERSION,
    Record,
    cell_hash,
)

BUDGET_SLACK = 0.05
"""Share of a budget by which it may be missed, beside one whole step of each stage."""

STAGES = {
    **dict.fromkeys(("mean", "random", "random_matched", "hf_default", "gaussian"), ()),
    **dict.fromkeys(("description", "keywords", "codebook", "lc_rec", "mean_matched"), ()),
    **dict.fromkeys(("gti", "gti_from_description", "gti_shuffled"), ("grounding",)),
    **dict.fromkeys(("gti_text_to_sid", "gti_sid_to_text", "gti_lc_rec"), ("grounding",)),
    "gti_two_phase": ("grounding", "grounding_free"),
    "mean_two_phase": ("grounding_free",),
}
"""Method → its training stages before SFT; methods that are not here may have any."""

MEAN_ROWS = {"mean", "lc_rec", "mean_matched", "mean_two_phase"} | {
    key for key in STAGES if key.startswith("gti") and key != "gti_from_description"
}
"""Methods whose first rows are all equal."""
DRAWN_ROWS = {"random", "random_matched", "gaussian"}
"""Methods whose first rows are drawn one by one, hence differ."""

WRONG_DIRECTION = {
    "gti_text_to_sid": {"sid_to_title", "sid_to_detail", "sid_to_both"},
    "gti_sid_to_text": {"title_to_sid", "detail_to_sid", "both_to_sid"},
}
"""Method → grounding tasks that it must not have."""


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
    """The inputs are those the setting names; where it pins none, there are some."""
    pinned = record.setting.dataset.sha256
    if pinned != "unpinned":
        report.equal("inputs.dataset", record.inputs.dataset, pinned)
    queries = record.setting.queries
    if queries is None:
        report.equal("inputs.queries", record.inputs.queries, None)
    elif queries.sha256 != "unpinned":
        report.equal("inputs.queries", record.inputs.queries, queries.sha256)
    elif record.inputs.queries is None:
        report.error("inputs.queries", None, "a sha256")
    if record.kind == "cell":
        pinned = record.setting.semantic_ids.sha256
        if pinned != "unpinned":
            report.equal("inputs.semantic_ids", record.inputs.semantic_ids, pinned)
        for name in ("semantic_ids", "backbone", "tokenizer", "prompts"):
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
    own = f"{record.method.key} v{record.method.version}"
    if record.method.key == "hf_default":
        own += f" (transformers {record.environment.packages.get('transformers')})"
        report.equal("manifest.initializer", manifest.initializer, own)
    else:
        report.equal("manifest.initializer", manifest.initializer.partition(" (")[0], own)
    if record.method.key in MEAN_ROWS | DRAWN_ROWS:
        expected_same = record.method.key in MEAN_ROWS
        report.equal("manifest.identical_rows", manifest.identical_rows, expected_same)


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
    if record.method.key in STAGES:
        report.equal("proofs (stages)", stages, [*STAGES[record.method.key], "sft"])
    elif "before" in record.method.spends and stages == ["sft"]:
        report.warn("proofs", stages, "a stage before SFT, which the method spends on")


def check_tasks(report: Report, record: Record) -> None:
    """No example of the other direction; families of alignment tasks in the mixture's shares."""
    for task in sorted(WRONG_DIRECTION.get(record.method.key, set()) & record.tasks.keys()):
        report.error(f"tasks.{task}", record.tasks[task], "none (the other direction)")
    if "beside" not in record.method.spends:
        return
    families: Counter[str] = Counter()
    for task, count in record.tasks.items():
        if "." in task:  # FAMILY.WHAT, as alignment tasks are called
            families[task.partition(".")[0]] += count
    mixture = record.setting.auxiliary.mixture
    for family in sorted(mixture.keys() | families.keys()):
        share = mixture.get(family, 0.0) / sum(mixture.values())
        expected = share * families.total()
        if abs(families[family] - expected) > 1:
            wanted = f"{expected:.1f} to within one, by auxiliary.mixture"
            report.error(f"tasks ({family})", families[family], wanted)


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
    least = budget.extra_flops * (1 - BUDGET_SLACK) - one_step if record.method.spends else 0.0
    if not max(0.0, least) <= budget.extra_spent_flops <= most:
        expected = f"{'all' if record.method.spends else '0'} of {budget.extra_flops:.6g}"
        report.error("budget.extra_spent_flops", budget.extra_spent_flops, expected)
    if not record.method.spends:
        report.equal("budget.extra_spent_flops", budget.extra_spent_flops, 0)
    share = record.setting.extra.share_of_sft
    if share is not None and not math.isclose(
        budget.extra_flops, share * budget.sft_flops, rel_tol=1e-6
    ):
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
