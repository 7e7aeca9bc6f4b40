"""Checks of figures that nothing in a record derives, but that only some values are possible for.

A learning curve's metrics bound each other and are of whole targets; its last point was scored by
the model whose validation ranks lie beside the record. No device computes faster than it can, and
no process is smaller than the weights it holds. A target stands behind no more items than there
are; an item has one popularity, no less than the transitions to it that a row counts, and the
popularity reference ranks by it.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from leaderboard.metrics.metrics import num_users, relevance_of
from leaderboard.records.parts import Cost, CurvePoint, Metrics
from leaderboard.records.ranks import LOSSES, Ranks
from leaderboard.records.record import Record
from leaderboard.verify.findings import Report
from leaderboard.verify.training import FROZEN, width_of

ROUNDING = 1e-9
MOST_TIED = 16
"""A recall's parts are told from whole targets where at most so many share a place."""
SPREADS = 7
"""Standard deviations by which a sample's metric may lie off that of all: 1 in 10^11."""
UTILISATION = {"cpu": 1.25}
"""Most of what a device can do, by its kind: a CPU's rate is measured, beside whatever else ran."""
FASTER = 4
"""Times the device's rate at which scoring is refused: what prompts share is computed once."""
WORTH: dict[str, Callable[[int], float]] = {
    "mrr": lambda rank: 1 / rank,
    "ndcg": lambda rank: 1 / math.log2(rank + 1),
}
"""What a target at a rank, from 1, adds to a family where one item is relevant."""
NESTED = ("mrr", "ndcg", "recall")
"""Families in rising order where one item is relevant: 1 / r ≤ 1 / log2(1 + r) ≤ 1."""


def check_code(report: Report, record: Record) -> None:
    """Warns of code that nobody else has; a cell computes in its setting's dtype, or says why."""
    if record.code.commit is None or record.code.dirty is None:
        found = f"commit {record.code.commit}, uncommitted changes {record.code.dirty}"
        report.warn("code.commit", found, "a commit that others can run")
    if record.code.dirty:
        found = f"commit {record.code.commit}, with uncommitted changes"
        report.warn("code.dirty", found, "a commit that others can run")
    own, asked = record.environment.dtype, record.setting.backbone.dtype
    if record.kind != "cell" or own == asked:
        return
    if not any(own in warning and asked in warning for warning in record.warnings):
        wanted = f"{asked} (setting.backbone.dtype), or a warning that says why it is not"
        report.error("environment.dtype", own, wanted)


def check_curve_metrics(report: Report, record: Record) -> None:
    """Metrics of each point bound each other; recalls are of whole targets."""
    for index, point in enumerate(record.learning_curve):
        place = f"learning_curve.{index}.metrics"
        _check_rising(report, place, record, point.metrics)
        if relevance_of(record.setting) is None:
            _check_nested(report, place, record, point.metrics)
            _check_between(report, place, record, point.metrics)
            if index and record.manifest is not None and not record.manifest.identical_rows:
                # Rows that are equal tie until training parts them, however many there are.
                _check_whole(report, place, record, point, MOST_TIED)


def _cutoffs(record: Record, family: str, metrics: Metrics) -> list[tuple[int, float]]:
    """The cutoffs at which `family` is defined, rising, and its values."""
    pairs = ((k, metrics.get(f"{family}@{k}")) for k in sorted(record.setting.evaluation.cutoffs))
    return [(k, value) for k, value in pairs if value is not None]


def _check_rising(report: Report, place: str, record: Record, metrics: Metrics) -> None:
    """Checks that recall, MRR and ungraded NDCG do not fall as k grows."""
    families = ("recall", "mrr") if relevance_of(record.setting) else NESTED
    for family in families:
        values = _cutoffs(record, family, metrics)
        for (short, less), (long, more) in pairwise(values):
            if more < less - ROUNDING:
                wanted = f"at least {less!r} ({family}@{short})"
                report.error(f"{place}.{family}@{long}", more, wanted)


def _check_nested(report: Report, place: str, record: Record, metrics: Metrics) -> None:
    """MRR is at most NDCG, and that at most recall."""
    for low, high in pairwise(NESTED):
        most = dict(_cutoffs(record, high, metrics))
        for cutoff, value in _cutoffs(record, low, metrics):
            if cutoff in most and value > most[cutoff] + ROUNDING:
                wanted = f"at most {most[cutoff]!r} ({high}@{cutoff})"
                report.error(f"{place}.{low}@{cutoff}", value, wanted)


def _check_between(report: Report, place: str, record: Record, metrics: Metrics) -> None:
    """Targets found between two cutoffs add to MRR and NDCG what places between them are worth."""
    recall, last = dict(_cutoffs(record, "recall", metrics)), 0
    values = {family: dict(_cutoffs(record, family, metrics)) for family in WORTH}
    for cutoff in recall:
        found = recall[cutoff] - recall.get(last, 0.0)
        for family, of in WORTH.items():
            if cutoff not in values[family] or (last and last not in values[family]):
                continue
            before = values[family].get(last, 0.0)
            low, high = before + found * of(cutoff), before + found * of(last + 1)
            value = values[family][cutoff]
            if not low - ROUNDING <= value <= high + ROUNDING:
                wanted = f"{low:.9g} to {high:.9g} (recall@{last or 1}, recall@{cutoff})"
                report.error(f"{place}.{family}@{cutoff}", value, wanted)
        last = cutoff


def _sample(record: Record) -> int:
    """Rows of the sample that a learning curve is scored on, next-item recommendation."""
    size = min(record.setting.evaluation.validation_users, record.num_users["validation"])
    return size * record.setting.evaluation.wordings


def _check_whole(
    report: Report, place: str, record: Record, point: CurvePoint, most_tied: int
) -> None:
    """Recall times the sample is a whole number of targets, or of equal parts of tied ones."""
    parts, size = math.lcm(*range(1, most_tied + 1)), _sample(record)
    for cutoff, value in _cutoffs(record, "recall", point.metrics):
        count = value * size * parts
        if abs(count - round(count)) > max(1e-6, 1e-14 * count):
            wanted = f"a whole number of targets among {size} rows, ties shared"
            report.error(f"{place}.recall@{cutoff}", value, wanted)


def check_last_point(report: Report, record: Record, ranks: Ranks) -> None:
    """The curve's last point is of users whose validation ranks lie beside the record."""
    if not record.learning_curve:
        return
    index, point = len(record.learning_curve) - 1, record.learning_curve[-1]
    place = f"learning_curve.{index}.metrics"
    validation = ranks.of_split("validation")
    tied = int(validation.num_tied.max(initial=0)) + 1
    one_each = relevance_of(record.setting) is None
    if one_each and index and tied <= MOST_TIED:
        _check_whole(report, place, record, point, tied)
    everyone = num_users(validation)
    size = min(record.setting.evaluation.validation_users, everyone)
    shared = point.metrics.keys() & record.metrics["validation"].keys()
    for name in sorted(shared - {*LOSSES}):
        value, whole = point.metrics[name], record.metrics["validation"][name]
        if value is None or whole is None:
            continue
        # Each value lies between 0 and 1; ranks next to each other may change places in a batch.
        likely = (whole * everyone + 1) / (everyone + 2)
        left = 1 - (size - 1) / max(1, everyone - 1)
        off = SPREADS * math.sqrt(likely * (1 - likely) / size * left) + 2 / size
        inside = _possible(value * size, whole * everyone, size, everyone, slack=2.0)
        if abs(value - whole) > off or not inside:
            wanted = (
                f"{whole:.4f} to within {off:.4f} (metrics.validation.{name}, of {everyone} where"
                f" this is of {size})"
            )
            report.error(f"{place}.{name}", value, wanted)


def _possible(part: float, whole: float, size: int, everyone: int, slack: float) -> bool:
    """Whether `size` values of 0 to 1 can sum to `part` where all `everyone` sum to `whole`."""
    return part <= whole + slack and size - part <= everyone - whole + slack


def check_speed(report: Report, record: Record) -> None:
    """No stage is faster than its device, and none smaller than the weights it holds."""
    if record.kind != "cell":
        return
    kind = record.environment.device.partition(":")[0]
    most = UTILISATION.get(kind, 1.0) + ROUNDING
    for stage, cost in record.cost.items():
        if cost.utilisation is not None and cost.utilisation > most:
            wanted = f"at most {most:.2f}: no device computes faster than it can"
            report.error(f"cost.{stage}.utilisation", cost.utilisation, wanted)
        if cost.steps or stage == "score":
            _check_memory(report, record, stage, cost)
    _check_scoring(report, record)


def _check_memory(report: Report, record: Record, stage: str, cost: Cost) -> None:
    """The matrix, and what a stage trains, were in memory."""
    if cost.peak_memory_bytes is None or record.manifest is None:
        return
    trained = [p.trainable_parameters for p in record.proofs if p.stage == stage]
    values = max([record.manifest.rows_after * (width_of(record) or 1), *trained])
    least = values * (2 if "16" in record.environment.dtype else 4)
    if cost.peak_memory_bytes < least:
        wanted = f"at least {least}, of {values} weights of {record.environment.dtype}"
        report.error(f"cost.{stage}.peak_memory_bytes", cost.peak_memory_bytes, wanted)


def _check_scoring(report: Report, record: Record) -> None:
    """Reading the prompts costs 2 FLOPs a body's parameter and token, at the rate SFT names."""
    score, sft, width = record.cost.get("score"), record.cost.get("sft"), width_of(record)
    if score is None or sft is None or width is None or record.manifest is None:
        return
    if score.tokens is None or not sft.device_flops or record.setting.prompts.style != "sequence":
        return  # what questions share is computed once
    whole = [p.trainable_parameters for p in record.proofs if p.stage != FROZEN]
    if not whole or record.setting.backbone.lora is not None:
        return
    matrices = 1 if record.manifest.tied else 2
    body = whole[-1] - matrices * record.manifest.rows_after * width
    least = 2 * body * score.tokens / (sft.device_flops * FASTER)
    if score.seconds < least:
        wanted = f"at least {least:.3g} for {score.tokens} tokens through {body} parameters"
        report.error("cost.score.seconds", score.seconds, wanted)


def last_position(ranks: Ranks) -> int:
    """The last position that a ranked target may stand on, from 1; 0 where none is ranked."""
    last = np.where(ranks.in_beam, ranks.num_better.astype(np.int64) + ranks.num_tied + 1, 0)
    return int(last.max(initial=0))


def check_positions(report: Report, record: Record, ranks: Ranks) -> None:
    """No target stands behind more items than there are, nor found by a beam behind more than fit.

    A beam holds Semantic IDs: where each item has its own, they are as many items.
    """
    accounting, names = record.accounting, record.names
    if accounting is not None:
        most, why = accounting.num_items, "accounting.num_items"
        if accounting.distinct_sids == most and accounting.beam < most:
            most, why = accounting.beam, "accounting.beam"
    elif names is not None:
        most, why = min((names.num_items, "names.num_items"), (names.beam, "names.beam"))
    else:
        return
    if last_position(ranks) <= most:
        return
    last = ranks.num_better.astype(np.int64) + ranks.num_tied + 1
    row = int(np.argmax(np.where(ranks.in_beam, last, 0)))
    found = f"a target at position {int(last[row])}"
    wanted = f"at most {most} ({why})"
    report.error(f"files.ranks (row {row}, num_better)", found, wanted)


def check_popularity(report: Report, record: Record, ranks: Ranks) -> None:
    """An item has one popularity, and the reference of that name ranks by it.

    Each transition to an item in training is one of its training interactions.
    """
    queries = relevance_of(record.setting) is not None
    most = np.zeros_like(ranks.transitions) if queries else ranks.target_popularity
    for row in np.flatnonzero(ranks.transitions > most)[:1]:
        place = f"files.ranks (row {row}, transitions)"
        wanted = "0: queries have no history" if queries else f"at most {most[row]}, its popularity"
        report.error(place, int(ranks.transitions[row]), wanted)
    items = ranks.coded("item")
    known = np.zeros(len(items.names), dtype=np.int64)
    known[items.numbers] = ranks.target_popularity
    wrong = known[items.numbers] != ranks.target_popularity
    for row in np.flatnonzero(wrong)[:1]:
        place = f"files.ranks (row {row}, target_popularity)"
        item = items.names[items.numbers[row]]
        wanted = f"{known[items.numbers[row]]}, as item {item} has elsewhere"
        report.error(place, int(ranks.target_popularity[row]), wanted)
    if record.method.key == "popularity" and record.setting.dataset.seen_items == "keep":
        _check_ranking(report, ranks.of_split("validation"))


def _check_ranking(report: Report, validation: Ranks) -> None:
    """Before validation popularity counts training alone: more of it, fewer items above."""
    order = np.argsort(validation.target_popularity, kind="stable")
    popularity = validation.target_popularity[order]
    better, tied = validation.num_better[order], validation.num_tied[order]
    same = popularity[1:] == popularity[:-1]
    apart = (better[1:] != better[:-1]) | (tied[1:] != tied[:-1])
    # All items of the less popular target's popularity stand below the more popular one.
    above = better[1:] + tied[1:] + 1 > better[:-1]
    for place in np.flatnonzero(np.where(same, apart, above))[:1]:
        found, wanted = (
            f"{int(better[i])} above and {int(tied[i])} beside item {validation.item[order[i]]} of"
            f" popularity {int(popularity[i])}"
            for i in (place + 1, place)
        )
        wanted = f"what goes with {wanted}"
        report.error("files.ranks (validation, num_better)", found, wanted)
