"""Checks of one record against itself: hashes, path, inputs, accounting, proofs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from leaderboard.records.record import PROTOCOL_VERSION, SCHEMA_VERSION, Record, cell_hash
from leaderboard.records.specs import Frozen
from leaderboard.verify.findings import Report


def check_written(report: Report, record: Frozen, content: dict[str, Any]) -> None:
    """What is read is what stands there: a number written as a text is a text to other readers."""
    for place, found, read in _misread(content, record.model_dump(mode="json"), ""):
        report.error(place, repr(found), repr(read))


def _misread(content: Any, read: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """(dotted place, what stands there, what is read) where the two are of another kind."""
    if isinstance(content, dict) and isinstance(read, dict):
        for key in content.keys() & read.keys():
            yield from _misread(content[key], read[key], f"{place}.{key}" if place else key)
    elif isinstance(content, list) and isinstance(read, list):
        for number, pair in enumerate(zip(content, read, strict=False)):
            yield from _misread(*pair, f"{place}.{number}")
    elif any(isinstance(content, kind) != isinstance(read, kind) for kind in (str, bool)):
        yield place, content, read


def check_identity(report: Report, record: Record, path: Path) -> None:
    """Protocol, hashes, and whether the record lies where its content says."""
    report.equal("schema_version", record.schema_version, SCHEMA_VERSION)
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
        pinned = record.setting.semantic_ids.pin_at(record.seed)
        if pinned != "unpinned":
            report.equal("inputs.semantic_ids", record.inputs.semantic_ids, pinned)
        for name in ("semantic_ids", "backbone", "tokenizer", "prompts"):
            if getattr(record.inputs, name) is None:
                report.error(f"inputs.{name}", None, "a sha256")


def check_parts(report: Report, record: Record) -> None:
    """A cell has accounting, manifest, proofs, curve, diagnostics and budget; a reference none.

    One that is a language model has a proof of what was trained.
    """
    present = {
        "accounting": record.accounting is not None,
        "manifest": record.manifest is not None,
        "proofs": bool(record.proofs),
        "learning_curve": bool(record.learning_curve),
        "diagnostics": bool(record.diagnostics),
        "budget": record.budget is not None,
        "files.diagnostics": record.files.diagnostics is not None,
    }
    for name, there in present.items():
        expected = record.has_model if name == "proofs" else record.kind == "cell"
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


def check_proofs(report: Report, record: Record) -> None:
    """What moved in each stage: in grounding the new rows and nothing else."""
    manifest = record.manifest
    if manifest is None:
        return
    for index, proof in enumerate(record.proofs):
        place = f"proofs.{index}"
        for kind, most in (("new", manifest.num_rows), ("text", manifest.num_text_rows)):
            for what in ("changed", "with_gradient"):
                value = getattr(proof, f"{kind}_rows_{what}")
                if not 0 <= value <= most:
                    report.error(f"{place}.{kind}_rows_{what}", value, f"0 to {most}")
            before = getattr(
                record.proofs[index - 1] if index else manifest,
                f"{kind}_rows_sha256" if index else f"{kind}_rows_sha256_after",
            )
            moved = getattr(proof, f"{kind}_rows_sha256") != before
            if moved != (getattr(proof, f"{kind}_rows_changed") > 0):
                wanted = f"{'more than ' if moved else ''}0, by {place}.{kind}_rows_sha256"
                found = getattr(proof, f"{kind}_rows_changed")
                report.error(f"{place}.{kind}_rows_changed", found, wanted)
        if not proof.new_rows_with_gradient:
            wanted = "1 or more: every stage trains new rows"
            report.error(f"{place}.new_rows_with_gradient", 0, wanted)
        check_stage(report, record, proof.stage)
        if proof.stage != "grounding" and record.setting.backbone.lora is None:
            report.equal(f"{place}.backbone_changed", proof.backbone_changed, True)
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
    facts = record.method.facts
    if facts is not None:
        report.equal("proofs (stages)", stages, [*facts.stages, "sft"])
    elif "before" in record.method.spends and stages == ["sft"]:
        report.warn("proofs", stages, "a stage before SFT, which the method spends on")


def check_stage(report: Report, record: Record, stage: str) -> None:
    """A stage that proves something took steps, tokens and time."""
    cost = record.cost.get(stage)
    if cost is None:
        report.error(f"cost.{stage}", None, "what the stage cost")
        return
    for name in ("seconds", "steps", "tokens", "nominal_flops", "actual_flops"):
        value = getattr(cost, name)
        if value is None or value <= 0:
            report.error(f"cost.{stage}.{name}", value, "above 0")
