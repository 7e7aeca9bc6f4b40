"""What every run leaves: a figure that is left out is no pass of the checks that read it."""

from leaderboard.records.parts import Code, Cost, Environment
from leaderboard.records.record import Record
from leaderboard.verify.findings import Report

STAGES = ("init", "sft", "score")
"""Stages that every cell has; those before SFT follow from its proofs."""
ADDED_UP = ("torch", "transformers")
"""Packages that every cell computed with: sums are compared where these are the same."""
TEXTS = ("machine", "processor", "device", "dtype", "python", "platform")


def check_complete(report: Report, record: Record) -> None:
    """Where it ran, with what, and what each stage cost, as far as any machine can tell."""
    check_where(report, record.environment, record.code, computed=record.kind == "cell")
    if not record.cost:
        report.error("cost", "nothing", "seconds of at least one stage")
    for stage, cost in record.cost.items():
        if not cost.seconds > 0:
            report.error(f"cost.{stage}.seconds", cost.seconds, "above 0: every stage takes time")
    if record.kind == "cell":
        _check_cell(report, record)


def check_where(
    report: Report, environment: Environment, code: Code, *, computed: bool, place: str = ""
) -> None:
    """The machine, packages and code of a run; `computed` with torch, named behind `place`."""
    for name in TEXTS:
        if not getattr(environment, name).strip():
            report.error(f"{place}environment.{name}", "", "a text")
    if environment.threads < 1:
        report.error(f"{place}environment.threads", environment.threads, "1 or more")
    if not code.version.strip():
        report.error(f"{place}code.version", code.version, "the version that ran")
    for name in ADDED_UP if computed else ():
        if not environment.packages.get(name):
            report.error(f"{place}environment.packages.{name}", None, "the version that ran")


def _check_cell(report: Report, record: Record) -> None:
    """A cell's stages, probability mass and nearness to text."""
    for stage in STAGES:
        if stage not in record.cost:
            report.error(f"cost.{stage}", "nothing", "what the stage cost")
    for proof in record.proofs:
        if (cost := record.cost.get(proof.stage)) is not None:
            _check_trained(report, record, proof.stage, cost)
    mass = record.accounting.trie_mass if record.accounting is not None else None
    if record.accounting is not None:
        levels = record.setting.semantic_ids.levels
        report.equal("accounting.trie_mass (levels)", len(mass or ()), levels)
    for level, value in enumerate(mass or ()):
        if not value > 0:  # a softmax leaves something to every code
            report.error(f"accounting.trie_mass.{level}", value, "above 0")


def _check_trained(report: Report, record: Record, stage: str, cost: Cost) -> None:
    """Losses of a stage that trains; what a CPU could do and Linux held is always measured."""
    for name in ("first_loss", "last_loss"):
        if getattr(cost, name) is None:
            report.error(f"cost.{stage}.{name}", None, "a loss")
    if record.environment.device.partition(":")[0] == "cpu" and not cost.device_flops:
        wanted = "above 0: on a CPU it is measured"
        report.error(f"cost.{stage}.device_flops", cost.device_flops, wanted)
    if record.environment.platform.startswith("Linux") and not cost.peak_memory_bytes:
        wanted = "above 0: Linux tells it"
        report.error(f"cost.{stage}.peak_memory_bytes", cost.peak_memory_bytes, wanted)
