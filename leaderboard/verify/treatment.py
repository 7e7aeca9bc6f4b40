"""Checks of what a cell measured of its model beside scores: its grounding, and what it forgot.

No pairs give every figure. The Semantic IDs that one text is set beside exclude each other: their
probabilities sum to one at most, and by Jensen's inequality so do the exponentials of minus their
mean NLLs. An item that is not among the first ten has at least ten others above it, so that its
NLL is that of its place (`leaderboard.verify.likelihood`).
"""

import math

from leaderboard.records.parts import Found, PairNll, Treatment
from leaderboard.records.record import Record
from leaderboard.verify.findings import Report
from leaderboard.verify.likelihood import Catalogue, slack_of

TEXTS = ("text_to_sid", "sid_to_text")
FOUND_AT = 10
"""The cutoff of `Found.recall`."""
SURELY_SOME = 20
"""Items that a setting holds out on average: by chance it then holds out two at least."""
WARNED = "treatment:"
"""Beginning of a record's warning that pairs of a share could not be permuted."""
ROUNDING = 1e-6


def _same(value: float, other: float) -> bool:
    """Equal up to rounding."""
    return math.isclose(value, other, rel_tol=ROUNDING)


def check_treatment(report: Report, record: Record, catalogue: Catalogue | None) -> None:
    """A cell says what its stage before SFT did, if it has one, and says what pairs can give."""
    facts, treatment = record.method.facts, record.treatment
    expected = record.kind == "cell" and facts is not None and bool(facts.stages)
    if (treatment is not None) != expected:
        found, wanted = ("something", "nothing") if treatment else ("nothing", "something")
        why = "a stage before SFT" if expected else "no stage before SFT"
        report.error("treatment", found, f"{wanted}: the method has {why}")
    if treatment is None or facts is None:
        return
    shows = any(direction in TEXTS for direction in facts.directions)
    _check_shares(report, record, treatment)
    for index, pair in enumerate(treatment.pairs):
        place = f"treatment.pairs.{index}"
        _check_pair(report, place, record, pair, shows and pair.share == "seen")
        if pair.direction == "text_to_sid":
            _check_exclusive(report, place, record, pair)
    _check_shown(report, treatment)
    for share, figures in treatment.found.items():
        place = f"treatment.found.{share}"
        _check_found(report, place, record, figures, shows and share == "seen")
        if catalogue is not None:
            _check_nll(report, record, treatment, share, catalogue)


def _check_shares(report: Report, record: Record, treatment: Treatment) -> None:
    """Both directions of pairs that were seen and, where the setting holds some out, of those."""
    setting, warned = record.setting, any(each.startswith(WARNED) for each in record.warnings)
    kinds = setting.queries and setting.queries.warm_cold_new
    there = {pair.share for pair in treatment.pairs}
    shares = ["seen"] if "seen" in there or not warned else []
    if "held_out" in there or (_holds_some_out(record) and not warned):
        shares.append("held_out")
    if "held_out" in there and not setting.grounding.held_out_share:
        report.error("treatment.pairs", "held_out", "seen alone: setting.grounding holds none out")
    named = [(pair.direction, pair.share) for pair in treatment.pairs]
    wanted = [(direction, share) for share in shares for direction in TEXTS]
    if sorted(named) != sorted(wanted):
        report.error("treatment.pairs", named, f"{wanted}, each once")
    asked = shares if setting.decoding.beam >= FOUND_AT else []
    known = ("seen", "held_out", *(("warm", "cold", "new") if kinds else ()))
    if not {*asked} <= treatment.found.keys() <= {*known}:
        report.error("treatment.found", [*treatment.found], f"{asked}, of {list(known)}")
    counts: dict[str, int] = {pair.share: pair.pairs for pair in treatment.pairs}
    for index, pair in enumerate(treatment.pairs):
        if pair.pairs != counts[pair.share]:
            other = f"{counts[pair.share]}, as in the other direction (treatment.pairs.*.pairs)"
            report.error(f"treatment.pairs.{index}.pairs", pair.pairs, other)
    for share in treatment.found.keys() & counts.keys():
        report.equal(f"treatment.found.{share}.asked", treatment.found[share].asked, counts[share])


def _holds_some_out(record: Record) -> bool:
    """Whether some items are surely held out: a hash draws them, and the share is of warm ones."""
    queries, accounting = record.setting.queries, record.accounting
    kinds = queries.warm_cold_new if queries is not None else None
    share = record.setting.grounding.held_out_share * (kinds.shares[0] if kinds else 1.0)
    return accounting is not None and share * accounting.num_items >= SURELY_SOME


def _check_pair(report: Report, place: str, record: Record, pair: PairNll, shown: bool) -> None:
    """Counts that can be, and an NLL of what was shown where something was."""
    most = record.accounting.num_items if record.accounting is not None else pair.pairs
    if not 1 <= pair.pairs <= most:
        report.error(f"{place}.pairs", pair.pairs, f"1 to {most} (accounting.num_items)")
    levels = record.setting.semantic_ids.levels
    if pair.direction == "text_to_sid" and pair.tokens != pair.pairs * levels:
        wanted = f"{pair.pairs * levels} ({place}.pairs x {levels} levels)"
        report.error(f"{place}.tokens", pair.tokens, wanted)
    elif pair.tokens < pair.pairs:
        report.error(f"{place}.tokens", pair.tokens, f"at least {pair.pairs} ({place}.pairs)")
    for name in ("true", "permuted", "shown"):
        value = getattr(pair, name)
        if value is not None and value <= 0:
            report.error(f"{place}.{name}", value, "above 0: no model is sure of all")
    if (pair.shown is not None) != shown:
        wanted = "an NLL: the method shows texts" if shown else "nothing: no such text was shown"
        report.error(f"{place}.shown", pair.shown, wanted)


def _check_exclusive(report: Report, place: str, record: Record, pair: PairNll) -> None:
    """Different Semantic IDs behind one text have probabilities that sum to one at most.

    The permuted one is neither the text's own nor the one that was shown.
    """
    accounting, length = record.accounting, pair.tokens / max(1, pair.pairs)
    values = [pair.true, pair.permuted]
    different = accounting is not None and accounting.distinct_sids == accounting.num_items
    if different and pair.shown is not None and not _same(pair.shown, pair.true):
        values.append(pair.shown)
    total = math.fsum(math.exp(-value * length) for value in values)
    if total > math.exp(slack_of(record)):
        found = f"{values} for Semantic IDs that exclude each other"
        report.error(f"{place}.true", found, f"probabilities that sum to 1, not to {total:.6g}")


def _check_shown(report: Report, treatment: Treatment) -> None:
    """What was shown is each text's own Semantic ID everywhere, or nowhere."""
    same = {
        index: _same(pair.shown, pair.true)
        for index, pair in enumerate(treatment.pairs)
        if pair.shown is not None
    }
    if len({*same.values()}) > 1:
        index = next(index for index, own in same.items() if not own)
        wanted = "that of the true pairs, as in the other direction, or another in both"
        report.error(f"treatment.pairs.{index}.shown", treatment.pairs[index].shown, wanted)
    seen = treatment.found.get("seen")
    again = None if seen is None else seen.recall_shown
    own = bool(same) and all(same.values())
    if own and seen is not None and again is not None and not _same(seen.recall, again):
        wanted = f"{seen.recall!r} (treatment.found.seen.recall): the true pairs were shown"
        report.error("treatment.found.seen.recall_shown", again, wanted)


def shuffled(treatment: Treatment) -> bool | None:
    """Whether texts stood beside other items' Semantic IDs; null where none was shown."""
    for pair in treatment.pairs:
        if pair.shown is not None:
            return not _same(pair.shown, pair.true)
    return None


def _check_found(report: Report, place: str, record: Record, found: Found, shown: bool) -> None:
    """Recalls are shares of the texts, and chance is that of a random ranking."""
    if found.asked < 1:
        report.error(f"{place}.asked", found.asked, "1 or more")
    for name in ("recall", "recall_shown"):
        value = getattr(found, name)
        if value is not None and not 0 <= value <= 1 + ROUNDING:
            report.error(f"{place}.{name}", value, "0 to 1")
    if (found.recall_shown is not None) != shown:
        wanted = "a recall: the method shows texts" if shown else "nothing: no such text was shown"
        report.error(f"{place}.recall_shown", found.recall_shown, wanted)
    if record.accounting is not None:
        chance = min(1.0, FOUND_AT / max(1, record.accounting.num_items))
        if not _same(found.chance, chance):
            wanted = f"{chance!r} ({FOUND_AT} of accounting.num_items)"
            report.error(f"{place}.chance", found.chance, wanted)


def _check_nll(
    report: Report, record: Record, treatment: Treatment, share: str, catalogue: Catalogue
) -> None:
    """Items that are not found have the NLL that ten others above them leave."""
    found, least = treatment.found[share], float(catalogue.least_nll(FOUND_AT + 1))
    for index, pair in enumerate(treatment.pairs):
        if (pair.direction, pair.share) != ("text_to_sid", share) or pair.pairs != found.asked:
            continue
        whole = pair.tokens / max(1, pair.pairs)
        for nll, recall in (("true", "recall"), ("shown", "recall_shown")):
            value, share_found = getattr(pair, nll), getattr(found, recall)
            if value is None or share_found is None:
                continue
            bound = (1 - share_found) * least - slack_of(record)
            if value * whole < bound:
                wanted = f"at least {bound / whole:.6g}, by treatment.found.{share}.{recall}"
                report.error(f"treatment.pairs.{index}.{nll}", value, wanted)


def check_retention(report: Report, record: Record) -> None:
    """A cell says how well its model still reads English; bits and characters are positive."""
    retention = record.retention
    if (retention is not None) != (record.kind == "cell"):
        found, wanted = ("something", "nothing") if retention else ("nothing", "something")
        report.error("retention", found, f"{wanted} in a {record.kind}")
    if retention is None:
        return
    for name in ("characters", "before", "after"):
        if getattr(retention, name) <= 0:
            report.error(f"retention.{name}", getattr(retention, name), "above 0")
