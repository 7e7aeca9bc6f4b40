"""Checks of targets' NLL against what their places in the ranking, and the Semantic IDs, allow.

Items are ranked by their probability under the full vocabulary, and those of different Semantic IDs
sum to one at most. Where m Semantic IDs, a target's own among them, are at least as likely as the
target, its probability p is at most 1 / m and its NLL at least ln m. A target that the beam lost
stood behind as many beginnings of Semantic IDs as the beam holds, each as likely as it at least.
Normalised over the trie no item gets less than it had: the m - 1 others have p each at least,
which leaves 1 - (m - 1) p for the target.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from leaderboard.metrics.metrics import is_loss, relevance_of
from leaderboard.records.parts import CurvePoint
from leaderboard.records.ranks import LOSSES, Integers, Ranks, combined
from leaderboard.records.record import Record
from leaderboard.records.semantic_ids import SemanticIdsFile
from leaderboard.verify.findings import Report

Floats = npt.NDArray[np.float64]

SLACK = {"bfloat16": 1.0}
"""Nats by which a rank and an NLL of one model may disagree: beam search and teacher forcing take
sums in another order. In float32 they agree to some 1e-5."""
USUAL_SLACK = 1e-3
ROUNDING = 1e-6
"""Of means over the same rows."""
AGAINST = -6.0
"""Standard deviations of a rank correlation of none; below, good NLLs go with bad ranks."""
FEWEST_USERS = 30
WIDE_GAP = 1.0
"""Nats, far more than models leave off the trie on the way to targets that come first; a mean
beyond, and beyond ten times what `accounting.trie_mass` says, is to be looked at."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """How items share Semantic IDs, and these their prefixes.

    Attributes:
        held: [distinct] items of the largest Semantic ID, of the two largest, and so on.
        even: least and greatest NLL over the trie of an item where all codes are as likely; null
            where the Semantic IDs are not at hand.
    """

    held: Integers
    even: tuple[float, float] | None

    def least_nll(self, items: npt.ArrayLike) -> Floats:
        """[n] ln m, with m the fewest Semantic IDs that so many `items` [n] can have."""
        places = np.searchsorted(self.held, items)
        return np.log(np.minimum(places, len(self.held) - 1) + 1.0)


def catalogue_of(record: Record, artefact: SemanticIdsFile | None) -> Catalogue | None:
    """The catalogue of a cell: of its Semantic IDs, else as far as its accounting tells of them.

    Of names every item has its own.
    """
    if record.names is not None and record.names.num_items > 0:
        return Catalogue(np.arange(1, record.names.num_items + 1), None)
    if artefact is not None:
        return _catalogue(artefact)
    accounting = record.accounting
    if accounting is None or not 0 < accounting.distinct_sids <= accounting.num_items:
        return None
    shared = accounting.num_items - accounting.distinct_sids
    return Catalogue(shared + np.arange(1, accounting.distinct_sids + 1), None)


@functools.lru_cache(maxsize=4)
def _catalogue(artefact: SemanticIdsFile) -> Catalogue:
    """The catalogue of these Semantic IDs."""
    prefix = np.zeros(len(artefact.codes), dtype=np.int64)
    even = np.zeros(len(artefact.codes))
    for level in range(artefact.codes.shape[1]):
        edges = prefix * artefact.num_codes + artefact.codes[:, level]
        different, place = np.unique(edges, return_inverse=True)
        children = np.bincount(different // artefact.num_codes)
        even += np.log(children[prefix])
        prefix = place.astype(np.int64)
    sizes = np.sort(np.bincount(prefix))[::-1]
    return Catalogue(np.cumsum(sizes), (float(even.min()), float(even.max())))


def slack_of(record: Record) -> float:
    """Nats by which a rank and an NLL of the record's model may disagree."""
    return SLACK.get(record.environment.dtype, USUAL_SLACK)


def check_losses(report: Report, record: Record, ranks: Ranks, catalogue: Catalogue | None) -> None:
    """Targets have the NLL that their ranks allow where a language model ranked, else none."""
    has_model = record.has_model
    if len(ranks) and ranks.has_nll != has_model:
        found, wanted = (
            "of all targets" if ranks.has_nll else "of none",
            "of all" if has_model else "",
        )
        report.error("files.ranks (nll)", found, wanted or "of none: there is no language model")
    if not ranks.has_nll or not has_model:
        return
    slack = slack_of(record)
    _check_rows(report, "trie_nll", ranks.trie_nll, ranks.nll, USUAL_SLACK, "at most nll", -1)
    if catalogue is not None:
        least = _least(record, ranks, catalogue)
        why = "by num_better and num_tied"
        _check_rows(report, "nll", ranks.nll, least, slack, f"at least {why}")
        left = 1 - np.expm1(least) * np.exp(-np.maximum(ranks.nll, least))
        _check_rows(report, "trie_nll", ranks.trie_nll, -np.log(left), slack, f"at least {why}")
        among = catalogue.least_nll(ranks.peers_better.astype(np.int64) + ranks.peers_tied + 1)
        _check_rows(report, "nll", ranks.nll, among, slack, "at least by peers_better")
    if relevance_of(record.setting) is not None:  # else a prompt has one target
        _check_order(report, ranks, slack)
    _check_association(report, record, ranks)
    _check_gap(report, record, ranks)


def _least(record: Record, ranks: Ranks, catalogue: Catalogue) -> Floats:
    """[n] the least NLL that each row's rank allows."""
    items = ranks.num_better.astype(np.int64) + ranks.num_tied + 1
    lost = math.log(record.setting.decoding.beam + 1)
    return np.where(ranks.in_beam, catalogue.least_nll(items), lost)


def _check_rows(
    report: Report,
    name: str,
    values: Floats,
    bound: Floats,
    slack: float,
    wanted: str,
    sign: int = 1,
) -> None:
    """Tells of the row that lies farthest below its bound (above it, with `sign` -1), if any."""
    short = sign * (bound - values) - slack
    if len(short) and short.max() > 0:
        row, rows = int(short.argmax()), int((short > 0).sum())
        many = f", and {rows - 1} other rows" if rows > 1 else ""
        place = f"files.ranks (row {row}, {name})"
        report.error(place, f"{float(values[row])!r}{many}", f"{wanted}: {bound[row]:.6g}")


def _check_order(report: Report, ranks: Ranks, slack: float) -> None:
    """Of two targets of one prompt the one with fewer items above it has the lower NLL."""
    inside = np.flatnonzero(ranks.in_beam)
    split, user = (ranks.coded(name).numbers[inside] for name in ("split", "user"))
    asked = combined(split, user, ranks.wording[inside])
    order = np.lexsort((ranks.nll[inside], ranks.num_better[inside], asked))
    rows = inside[order]
    same = asked[order][1:] == asked[order][:-1]
    less = ranks.nll[rows][1:] < ranks.nll[rows][:-1] - slack
    for place in np.flatnonzero(same & less)[:1]:
        row, other = int(rows[place + 1]), int(rows[place])
        above = f"{float(ranks.nll[other])!r}, of row {other} of the same prompt and above it"
        report.error(f"files.ranks (row {row}, nll)", float(ranks.nll[row]), f"at least {above}")


def _check_association(report: Report, record: Record, ranks: Ranks) -> None:
    """Over many test users a better NLL does not go with a worse rank."""
    test = ranks.of_split("test")
    rows = test.where(test.wording == 0)
    users = len(rows.coded("user").used)
    place = np.where(
        rows.in_beam, rows.num_better + rows.num_tied / 2, record.setting.decoding.beam
    )
    if users < FEWEST_USERS or not np.ptp(place):
        return
    ranked = rankdata(place)
    for name in LOSSES:
        values = getattr(rows, name)
        if np.ptp(values):
            found = float(np.corrcoef(rankdata(values), ranked)[0, 1])
            if found * math.sqrt(users - 1) < AGAINST:
                wanted = "above 0: targets with a lower NLL stand higher"
                report.error(f"files.ranks ({name})", f"rank correlation {found:.3f}", wanted)


def _check_gap(report: Report, record: Record, ranks: Ranks) -> None:
    """Warns where far more probability lies off the trie than `trie_mass` says.

    That is measured along the Semantic ID that comes first, so it is held against targets that do;
    behind the first code of one that the model does not expect it may well go on off the trie.
    """
    masses = record.accounting.trie_mass if record.accounting is not None else None
    test = ranks.of_split("test")
    first = test.where(test.in_beam & (test.num_better == 0))
    if not masses or not len(first):
        return
    gap = float((first.nll - first.trie_nll).mean())
    off = -math.fsum(math.log(min(mass, 1.0)) for mass in masses if mass > 0)
    if gap > WIDE_GAP + 10 * off:
        found = f"{gap:.3f} nats below nll on average, of targets that come first"
        report.warn("files.ranks (trie_nll)", found, f"some {off:.3f} by trie_mass")


def check_curve_losses(report: Report, record: Record, catalogue: Catalogue | None) -> None:
    """Losses of a curve's points bound each other; the last are those of validation."""
    for index, point in enumerate(record.learning_curve):
        place = f"learning_curve.{index}.metrics"
        values = {name: point.metrics.get(name) for name in LOSSES}
        for name, value in values.items():
            if value is None or value < 0:
                report.error(f"{place}.{name}", value, "an NLL, 0 or more")
        nll, over_trie = values["nll"], values["trie_nll"]
        if nll is None or over_trie is None:
            continue
        if over_trie > nll + USUAL_SLACK:
            report.error(f"{place}.trie_nll", over_trie, f"at most {nll!r} ({place}.nll)")
        if catalogue is not None:
            _check_found(report, place, record, point, nll, catalogue)
    _check_first_point(report, record, catalogue)
    if record.learning_curve:
        last = len(record.learning_curve) - 1
        for name in filter(is_loss, record.learning_curve[-1].metrics):
            found = record.learning_curve[-1].metrics[name]
            wanted = record.metrics["validation"].get(name)
            same = found is not None and wanted is not None
            if not same or not math.isclose(found, wanted, rel_tol=ROUNDING):  # type: ignore[arg-type]
                expected = f"{wanted!r} (metrics.validation.{name})"
                report.error(f"learning_curve.{last}.metrics.{name}", found, expected)


def _check_found(
    report: Report,
    place: str,
    record: Record,
    point: CurvePoint,
    nll: float,
    catalogue: Catalogue,
) -> None:
    """What of the sample is not among the first k has an NLL that k items above it allow."""
    everyone = record.num_users["validation"]
    share = min(record.setting.evaluation.validation_users, everyone) / max(1, everyone)
    for cutoff in record.setting.evaluation.cutoffs:
        recall = point.metrics.get(f"recall@{cutoff}")
        if recall is None:
            continue
        least = share * (1 - recall) * float(catalogue.least_nll(cutoff + 1))
        if nll < least - slack_of(record):
            wanted = f"at least {least:.6g}, by {place}.recall@{cutoff}"
            report.error(f"{place}.nll", nll, wanted)
            return


def _check_first_point(report: Report, record: Record, catalogue: Catalogue | None) -> None:
    """Before all training equal rows take all codes for equal: the trie alone decides."""
    manifest, facts = record.manifest, record.method.facts
    if not record.learning_curve or catalogue is None or catalogue.even is None:
        return
    if manifest is None or not (manifest.identical_rows and manifest.tied):
        return
    if facts is None or facts.stages:
        return
    value, (low, high) = record.learning_curve[0].metrics.get("trie_nll"), catalogue.even
    slack = slack_of(record)
    if value is not None and not low - slack <= value <= high + slack:
        wanted = f"{low:.6g} to {high:.6g}, as equal rows give on these Semantic IDs"
        report.error("learning_curve.0.metrics.trie_nll", value, wanted)
