"""Checks of what training cost: steps, FLOPs, budgets, learning curve, examples per task.

FLOPs are sums of whole numbers (`gti.model.flops`): with N body parameters, V matrix rows, width d,
T tokens and S a stage's attention, a stage that trains all costs 6 (N + V d) T + 6 S and one that
trains new rows alone 4 N T + 6 V d T + 6 S. What was computed differs by the positions that need no
head, a multiple of V d, where prompts are questions by what these share, and where new rows alone
are trained by what is constant. Sums are exact where a float holds every whole number below them.
"""

import math

from leaderboard.records.parts import Budget, Cost
from leaderboard.records.record import Record
from leaderboard.verify.findings import Report

BUDGET_SLACK = 0.01
"""Share of a budget by which it may be overspent, beside one whole step of each stage."""
EXACT = 2.0**53
"""Whole numbers up to here are exact in a float."""
FROZEN = "grounding"
"""The stage that trains the new rows alone."""


def _same(found: float, expected: float) -> bool:
    """Equal to the last digit; sums too large for that, up to rounding."""
    if max(abs(found), abs(expected)) < EXACT:
        return found == expected
    return math.isclose(found, expected, rel_tol=1e-9)


def _trained(record: Record) -> dict[str, Cost]:
    """Training stage → cost."""
    return {stage: cost for stage, cost in record.cost.items() if cost.steps is not None}


def track_task(record: Record) -> str:
    """What the examples of R are called in `tasks`."""
    return "retrieval" if record.setting.queries is None else "query"


def examples_of(record: Record) -> dict[str, int]:
    """Examples of R, of grounding, and of alignment tasks (called FAMILY.WHAT)."""
    counts = {"sft": 0, "grounding": 0, "alignment": 0}
    for task, count in record.tasks.items():
        kind = "alignment" if "." in task else "grounding"
        counts["sft" if task == track_task(record) else kind] += count
    return counts


def check_cost(report: Report, record: Record) -> None:
    """Costs are not negative, stages have their proofs, and FLOPs fit tokens and parameters."""
    for stage, cost in record.cost.items():
        for name, value in cost.model_dump().items():
            if value is not None and value < 0:
                report.error(f"cost.{stage}.{name}", value, "0 or more")
    if record.kind != "cell":
        return
    stages = sorted(proof.stage for proof in record.proofs)
    report.equal("cost (training stages)", sorted(_trained(record)), stages)
    for stage, cost in _trained(record).items():
        check_counts(report, record, stage, cost)
        _check_flops(report, record, stage, cost)
        check_utilisation(report, stage, cost)


def check_utilisation(report: Report, stage: str, cost: Cost) -> None:
    """Checks that utilisation is actual FLOPs / (seconds × the device's FLOP/s), else null."""
    wanted = None
    if cost.device_flops and cost.seconds > 0 and cost.actual_flops is not None:
        wanted = cost.actual_flops / (cost.seconds * cost.device_flops)
    found = cost.utilisation
    same = found is not None and wanted is not None and math.isclose(found, wanted, rel_tol=1e-9)
    if not same and found != wanted:
        report.error(f"cost.{stage}.utilisation", found, f"{wanted!r} (from cost.{stage}.*)")


def check_counts(report: Report, record: Record, stage: str, cost: Cost) -> None:
    """A step has at most a batch of examples, an example at least two tokens."""
    counts = examples_of(record)
    if cost.tokens is None:
        report.error(f"cost.{stage}.tokens", None, "a number")
    elif stage == "sft":
        least = 2 * (counts["sft"] + counts["alignment"])
        if cost.tokens < least:
            report.error(f"cost.{stage}.tokens", cost.tokens, f"at least {least} (from tasks)")
    if cost.nominal_flops is None or not cost.steps:
        report.error(f"cost.{stage}.nominal_flops", cost.nominal_flops, "steps and FLOPs")


def width_of(record: Record) -> int | None:
    """Width of a row, from a stage that trains the new rows alone; None without one."""
    manifest = record.manifest
    if manifest is not None:
        for proof in record.proofs:
            if proof.stage == FROZEN:
                matrices = 1 if manifest.tied else 2
                return proof.trainable_parameters // (manifest.num_rows * matrices)
    return None


def _check_flops(report: Report, record: Record, stage: str, cost: Cost) -> None:
    """Positions that need no head, and what attention must have cost, come out possible."""
    manifest, nominal, actual = record.manifest, cost.nominal_flops, cost.actual_flops
    if manifest is None or nominal is None or cost.tokens is None or nominal >= EXACT:
        return
    place = f"cost.{stage}.nominal_flops"
    unit = 2 if stage == FROZEN else 6
    if nominal % unit:
        report.error(place, nominal, f"a multiple of {unit}")
    width = width_of(record)
    head = manifest.rows_after * (width or 1)
    if actual is not None and (stage == FROZEN or record.setting.prompts.style != "sequence"):
        # Tokens of the body are saved as well: prompts of one history share what they begin with,
        # and what stands before the first new token is run forward alone, and not every time.
        if not 0 < actual <= nominal or (nominal - actual) % unit:
            wanted = f"above 0, {nominal!r} (cost.{stage}.nominal_flops) less a multiple of {unit}"
            report.error(f"cost.{stage}.actual_flops", actual, wanted)
    elif actual is not None:
        # Trained in full: 6 V d (tokens - targets).
        most = cost.tokens
        parts, rest = divmod(nominal - actual, unit * head)
        if rest or parts < 0 or (width is not None and parts > most):
            wanted = (
                f"{nominal!r} (cost.{stage}.nominal_flops) less 0 to {most} times"
                f" {unit} x {manifest.rows_after} rows (manifest.rows_after) x width"
            )
            report.error(f"cost.{stage}.actual_flops", actual, wanted)
    facts = record.method.facts
    imitates = stage == FROZEN and facts is not None and facts.directions == ("states",)
    # States are imitated without a head, of teachers that are no examples.
    if width is not None and record.setting.backbone.lora is None and not imitates:
        _check_attention(report, record, stage, nominal, cost.tokens, width)


def _check_attention(
    report: Report, record: Record, stage: str, nominal: float, tokens: int, width: int
) -> None:
    """Attention costs what FLOPs remain: at least 12 per layer and unit of width and token."""
    manifest = record.manifest
    full = [p.trainable_parameters for p in record.proofs if p.stage != FROZEN]
    if manifest is None or not full:
        return
    matrix = manifest.rows_after * width
    body = full[-1] - matrix * (1 if manifest.tied else 2)
    rest = nominal - (4 if stage == FROZEN else 6) * body * tokens - 6 * matrix * tokens
    if body < 0 or rest < 12 * tokens or rest % 12:
        report.error(
            f"cost.{stage}.tokens",
            tokens,
            f"what cost.{stage}.nominal_flops {nominal:.0f} pays for at {body} parameters beside"
            f" the matrix (proofs, trainable_parameters)",
        )


def check_trainable(report: Report, record: Record) -> None:
    """Grounding trains new rows × width; stages that train all train the same."""
    manifest = record.manifest
    if manifest is None:
        return
    matrices = 1 if manifest.tied else 2
    whole: int | None = None
    for index, proof in enumerate(record.proofs):
        place, found = f"proofs.{index}.trainable_parameters", proof.trainable_parameters
        if proof.stage == FROZEN:
            if found <= 0 or found % (manifest.num_rows * matrices):
                wanted = f"{manifest.num_rows} rows x {matrices} matrices x width"
                report.error(place, found, wanted)
            continue
        least = matrices * manifest.rows_after * (width_of(record) or 1)
        if found < least:
            report.error(place, found, f"at least {least} (all rows)")
        if whole is not None and found != whole:
            report.error(place, found, f"{whole}, as in the stage before")
        whole = found


def check_budget(report: Report, record: Record) -> None:
    """What was spent is what the stages cost, and what the setting and the method allow."""
    budget, sft = record.budget, record.cost.get("sft")
    if budget is None or sft is None or sft.nominal_flops is None:
        return
    share = record.setting.extra.share_of_sft
    if share is not None and not math.isclose(
        budget.extra_flops, share * budget.sft_flops, rel_tol=1e-15
    ):
        wanted = f"{share * budget.sft_flops!r} ({share} of budget.sft_flops)"
        report.error("budget.extra_flops", budget.extra_flops, wanted)
    before = math.fsum(
        cost.nominal_flops or 0.0
        for stage, cost in record.cost.items()
        if stage.startswith("grounding")
    )
    more = sft.nominal_flops - budget.sft_flops
    if not _same(before + more, budget.extra_spent_flops):
        wanted = (
            f"{before + more!r} (cost.grounding*.nominal_flops + cost.sft.nominal_flops"
            " - budget.sft_flops)"
        )
        report.error("budget.extra_spent_flops", budget.extra_spent_flops, wanted)
    _check_shares(report, record, budget, before, more)


def _check_shares(
    report: Report, record: Record, budget: Budget, before: float, more: float
) -> None:
    """Each share of A is spent where the method says, no less and little more."""
    spends = record.method.spends
    if spends and not math.isclose(math.fsum(spends.values()), 1.0, rel_tol=1e-9):
        report.error("method.spends.*", dict(spends), "shares that sum to 1")
    one_step = math.fsum(
        (cost.nominal_flops or 0.0) / max(1, cost.steps or 1) for cost in _trained(record).values()
    )
    rounding = 0.0 if max(budget.sft_flops, budget.extra_flops) < EXACT else 1e-9
    for name, spent, share in (
        ("cost.grounding*.nominal_flops", before, spends.get("before", 0.0)),
        (
            "cost.sft.nominal_flops (less budget.sft_flops)",
            more,
            spends.get("beside", 0.0) + spends.get("after", 0.0),
        ),
    ):
        due = share * budget.extra_flops
        slack = rounding * (budget.sft_flops + budget.extra_flops)
        most = due * (1 + BUDGET_SLACK) + one_step if share else 0.0
        if not due * (1 - 1e-12) - slack <= spent <= most + slack:
            wanted = f"{due!r} (method.spends {share} of budget.extra_flops) or little more"
            report.error(name, spent, wanted)
