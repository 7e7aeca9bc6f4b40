"""Checks of a record's learning curve and of how many examples its steps held."""

import math
from collections import Counter

from leaderboard.metrics.metrics import PEER_AUC, is_defined, is_loss, metric_names, relevance_of
from leaderboard.records.parts import CurvePoint
from leaderboard.records.record import Record
from leaderboard.verify.findings import Report
from leaderboard.verify.training import EXACT, examples_of, track_task

TASKS = {
    "text_to_sid": {"title_to_sid", "detail_to_sid", "both_to_sid"},
    "sid_to_text": {"sid_to_title", "sid_to_detail", "sid_to_both"},
    "retrieval": {"retrieval_before_sft", "query_before_sft"},
    "codes": {"prefix_to_code"},
    "states": {"sid_to_state"},
}
"""Direction → tasks of the stages before SFT."""
SURELY_EACH = 32
"""Examples before SFT, drawn from all directions alike, that hold some of each."""


def check_curve(report: Report, record: Record) -> None:
    """Scored at the setting's shares of SFT, from nothing spent to what the stage cost."""
    curve, sft = record.learning_curve, record.cost.get("sft")
    if not curve or sft is None or not sft.steps:
        return
    points = record.setting.evaluation.curve_points
    steps = sorted({round(sft.steps * point / points) for point in range(points + 1)})
    report.equal("learning_curve (points)", len(curve), len(steps))
    for index, (point, step) in enumerate(zip(curve, steps, strict=False)):
        place = f"learning_curve.{index}"
        if point.step != step:
            wanted = f"{step} (of cost.sft.steps {sft.steps}, evaluation.curve_points {points})"
            report.error(f"{place}.step", point.step, wanted)
        if point.nominal_flops < EXACT and point.nominal_flops % 6:
            report.error(f"{place}.nominal_flops", point.nominal_flops, "a multiple of 6")
        if not math.isclose(point.passes * sft.steps, curve[-1].passes * step, rel_tol=1e-12):
            wanted = f"{step} of {sft.steps} steps of learning_curve.{len(curve) - 1}.passes"
            report.error(f"{place}.passes", point.passes, wanted)
        _check_metrics(report, f"{place}.metrics", record, point)
    for index in range(1, len(curve)):
        for name in ("step", "passes", "nominal_flops", "seconds"):
            low, value = (getattr(curve[i], name) for i in (index - 1, index))
            if value < low or (name != "seconds" and value == low):
                report.error(f"learning_curve.{index}.{name}", value, f"more than {low}")
    for name in ("nominal_flops", "passes"):
        report.equal(f"learning_curve.0.{name}", getattr(curve[0], name), 0)
    for index, point in enumerate(curve[1:], 1):
        if point.train_loss is None or point.train_loss < 0:
            place = f"learning_curve.{index}.train_loss"
            report.error(place, point.train_loss, "a loss, 0 or more")
    if curve[0].seconds < 0:
        report.error("learning_curve.0.seconds", curve[0].seconds, "0 or more")
    report.equal("learning_curve.0.train_loss", curve[0].train_loss, None)
    last, place = curve[-1], f"learning_curve.{len(curve) - 1}"
    for name, own in (("nominal_flops", "nominal_flops"), ("train_loss", "last_loss")):
        if getattr(last, name) != getattr(sft, own):
            wanted = f"{getattr(sft, own)!r} (cost.sft.{own})"
            report.error(f"{place}.{name}", getattr(last, name), wanted)
    if last.seconds > sft.seconds:
        report.error(f"{place}.seconds", last.seconds, f"at most {sft.seconds} (cost.sft.seconds)")


def _check_metrics(report: Report, place: str, record: Record, point: CurvePoint) -> None:
    """The setting's metrics, each a share but for the losses (`leaderboard.verify.likelihood`)."""
    known = metric_names(record.setting.evaluation.cutoffs, relevance_of(record.setting))
    names = {*known} - {PEER_AUC}  # which is of the test split alone
    for name in sorted(point.metrics.keys() ^ names):
        found = "a figure" if name in point.metrics else "nothing"
        report.error(f"{place}.{name}", found, "the metrics at evaluation.cutoffs, no others")
    beam = record.setting.decoding.beam
    for name, value in point.metrics.items():
        if name in names and (value is not None) != is_defined(name, beam):
            wanted = "a figure" if value is None else f"nothing: the beam holds {beam} items"
            report.error(f"{place}.{name}", value, wanted)
        if value is not None and not is_loss(name) and not 0 <= value <= 1 + 1e-9:
            report.error(f"{place}.{name}", value, "0 to 1")


def passes_over_r(record: Record, own: int) -> list[int]:
    """Batches in one pass over R that make `own` steps, by the setting's budget of SFT."""
    sft = record.setting.sft
    if sft.passes is None:
        ended = record.learning_curve[-1].passes
        near = round(own / ended) if ended > 0 else 0
        return [near] if near > 0 and math.isclose(near * ended, own, rel_tol=1e-9) else []
    near = int(own / sft.passes)
    return [n for n in range(max(1, near - 1), near + 3) if max(1, round(sft.passes * n)) == own]


def check_steps(report: Report, record: Record) -> None:
    """Steps, passes over R and examples of R fit each other and the setting."""
    curve, sft = record.learning_curve, record.cost.get("sft")
    if not curve or sft is None or not sft.steps:
        return
    spec, longer, ended = record.setting.sft, "after" in record.method.spends, curve[-1].passes
    own = sft.steps
    if spec.passes is not None:
        own = round(spec.passes * sft.steps / ended) if ended > 0 else 0
        exact = own > 0 and math.isclose(ended, spec.passes * sft.steps / own, rel_tol=1e-9)
        if not exact or (own > sft.steps if longer else own != sft.steps):
            wanted = f"{spec.passes} (setting.sft.passes){' and more' if longer else ''}"
            report.error(f"learning_curve.{len(curve) - 1}.passes", ended, wanted)
    elif spec.steps is not None:
        if sft.steps < spec.steps or (not longer and sft.steps != spec.steps):
            report.error("cost.sft.steps", sft.steps, f"{spec.steps} (setting.sft.steps)")
        own = sft.steps
    batches = passes_over_r(record, own)
    if not batches:
        wanted = "steps of whole batches of passes over R (learning_curve.*.passes)"
        report.error("cost.sft.steps", sft.steps, wanted)
    check_examples(report, record, sft.steps, batches, longer)


def check_examples(
    report: Report, record: Record, steps: int, batches: list[int], longer: bool
) -> None:
    """Each batch of R is full but the last of a pass; stages before SFT have no larger batches."""
    count, size = examples_of(record)["sft"], record.setting.sft.batch_size
    task = f"tasks.{track_task(record)}"
    short = [steps // per_pass for per_pass in batches]
    wanted = f"examples of {steps} steps (cost.sft.steps) with {size} each, the last of a pass less"
    possible = longer or not batches or any(_fits(count, steps, k, size) for k in short)
    if not possible or not steps <= count <= steps * size:
        report.error(task, count, wanted)
    counts, facts = examples_of(record), record.method.facts
    least = sum(
        cost.steps or 0 for stage, cost in record.cost.items() if stage.startswith("grounding")
    )
    on_r = facts is not None and facts.directions == ("retrieval",)
    most = least * (record.setting.sft if on_r else record.setting.grounding).batch_size
    if not least <= counts["grounding"] <= most:
        wanted = f"{least} to {most}, by cost.grounding*.steps"
        report.error("tasks.* (grounding)", counts["grounding"], wanted)
    if counts["alignment"] and "beside" not in record.method.spends:
        report.error("tasks.* (alignment)", counts["alignment"], "none: nothing stands beside R")


def _fits(count: int, steps: int, short: int, size: int) -> bool:
    """Whether `steps` batches of `size`, `short` of them of one smaller size, hold `count`."""
    rest = count - (steps - short) * size
    return rest == 0 if short == 0 else rest % short == 0 and 1 <= rest // short <= size


def check_tasks(report: Report, record: Record) -> None:
    """Before SFT only what the method trains on; alignment tasks in the mixture's shares."""
    for task, count in record.tasks.items():
        if count <= 0:
            report.error(f"tasks.{task}", count, "1 or more")
    facts = record.method.facts
    trained = facts.directions if facts is not None else ()
    wrong = {task for other in TASKS if trained and other not in trained for task in TASKS[other]}
    for task in sorted(wrong & record.tasks.keys()):
        wanted = f"none (before SFT the method trains on {', '.join(trained)})"
        report.error(f"tasks.{task}", record.tasks[task], wanted)
    shown = {task for task in record.tasks if "." not in task}
    if examples_of(record)["grounding"] >= SURELY_EACH:
        for direction in trained:
            if not shown & TASKS.get(direction, shown):
                wanted = f"examples: before SFT the method trains on {direction}"
                report.error(f"tasks ({direction})", "none", wanted)
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
