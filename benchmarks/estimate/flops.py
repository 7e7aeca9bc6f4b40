"""The FLOPs that one cell will really take, by formulas that a reader can follow.

    forward(tokens, heads) = 2 (N tokens + V d heads)

with N parameters of the body and a matrix of V rows of width d, which meets as many positions as
there are `heads`: in training, and where NLLs are measured, those of the answers alone. Attention
is left out, and so is the last code of an answer, behind which nothing is asked. SFT is three
forward passes over R. Of a grounding pair what stands before the first new token is run once and
not trained through (`gti.train.cut_examples`):

    text → SID   forward(text, 1) + 2 forward(levels - 1, levels)
    SID → text   2 forward(levels + text, text)

A is given in nominal FLOPs, (4 N + 6 V d) a token of a pair: before SFT it buys that many pairs,
beside and after it other training of as many nominal FLOPs.
"""

import math
from collections.abc import Mapping

from benchmarks.cell.budget import sft_passes
from benchmarks.estimate.workload import Workload
from benchmarks.inputs.backbone_sizes import BackboneSize
from gti.method import Spending
from leaderboard.records.setting import Setting

SAMPLE = 256
"""`benchmarks.cell.treatment.SAMPLE`, which imports torch; a test holds them equal."""
ENGLISH_TOKENS = 2 * 1500
"""Tokens of the pages of plain English, read before and after."""
QUERY_TOKENS = {"plain": 5, "chat": 21, "sequence": 21}
"""Tokens of a query's prompt beside the query, and behind what plain ones share, by style."""
PAIR_TOKENS = 8
"""Tokens of a grounding pair beside its text and its Semantic ID."""


def forward_flops(size: BackboneSize, tokens: float, heads: float) -> float:
    """FLOPs of `tokens` through the body and of `heads` positions through the matrix."""
    shape = size.shape
    return 2.0 * (shape.body * tokens + shape.matrix_rows * shape.width * heads)


def chat_tokens(length: int, shown: int, levels: int) -> int:
    """Tokens that are run for a history of `length` items, in blocks that share their beginning.

    Of a prompt's words 40 stand before the history and 20 behind it.
    """
    full, rest = divmod(length - 1, shown)
    blocks = [shown] * full + [rest] * (rest > 0)
    return sum(40 + targets * (2 * levels + 20) for targets in blocks)


def training_pass(setting: Setting, work: Workload) -> tuple[float, float]:
    """Tokens and answer positions of one pass of R; prompts' words at 60 tokens."""
    levels, shown = setting.semantic_ids.levels, setting.dataset.max_history
    asked, lengths = work.queries, work.train_lengths
    if asked is not None:
        return asked.train * (_query_prompt(setting, work) + levels - 1), asked.train * levels
    if setting.prompts.style == "sequence":
        windows = sum(-(-n // setting.prompts.window) for n in lengths)
        return levels * sum(lengths) + 10 * windows, levels * sum(lengths)
    tokens = sum(chat_tokens(n, shown, levels) for n in lengths)
    return tokens, levels * (sum(lengths) - len(lengths))


def scoring(setting: Setting, work: Workload) -> tuple[float, float]:
    """Tokens and positions of scoring both parts.

    Behind a prompt come the beams, or all prefixes where scoring is exact; behind those of test
    queries for items that are trained on no query once more all prefixes of the item's kind.
    """
    prompts, rows, _ = _asked(setting, work)
    beams, wordings = rows * _beams(setting, work), setting.evaluation.wordings
    peers = rows / 2 * _peer_prefixes(setting, work)
    return (prompts + beams + peers) * wordings, (rows + beams + peers) * wordings


def _peer_prefixes(setting: Setting, work: Workload) -> float:
    """Prefixes that a test query's target has peers under, at most and on average over queries."""
    rule = setting.queries.warm_cold_new if setting.queries is not None else None
    if rule is None:
        return 0.0
    spec, kinds = setting.semantic_ids, [share * work.num_items for share in rule.shares[1:]]
    depths = range(1, spec.levels)
    return math.fsum(
        size / work.num_items * min(size, float(spec.codes) ** depth)
        for size in kinds
        for depth in depths
    )


def _beams(setting: Setting, work: Workload) -> int:
    """Tokens that are scored behind one prompt."""
    exact = setting.decoding.method == "exact"
    return work.prefixes if exact else setting.decoding.beam * (setting.semantic_ids.levels - 1)


def _query_prompt(setting: Setting, work: Workload) -> float:
    """Tokens of one query's prompt."""
    assert work.queries is not None  # asked of the retrieval track alone
    return QUERY_TOKENS[setting.prompts.style] + work.queries.tokens


def _asked(setting: Setting, work: Workload) -> tuple[float, int, int]:
    """Of validation and test together: tokens of prompts, their number, and that of targets."""
    if work.queries is not None:
        scored = work.queries.scored
        return scored * _query_prompt(setting, work), scored, work.queries.relevant
    levels, shown = setting.semantic_ids.levels, setting.dataset.max_history
    rows = 2 * len(work.train_lengths)
    return 2 * sum(levels * min(n + 1, shown) + 30 for n in work.train_lengths), rows, rows


def measuring(setting: Setting, work: Workload) -> tuple[float, float]:
    """Tokens and positions of all that is measured beside the ranks of both parts.

    The targets' NLL takes their prompts once more, at each point of the learning curve those of
    validation, beside the sample's prompts and beams.
    """
    prompts, rows, targets = _asked(setting, work)
    points, asked = setting.evaluation.curve_points + 1, setting.evaluation.validation_users
    answers, beams = targets * setting.semantic_ids.levels, rows * _beams(setting, work)
    before_last = answers - targets
    times, wordings = 1 + points / 2, setting.evaluation.wordings
    sampled = points * min(1.0, 2 * asked / max(1, rows)) / 2
    tokens = times * (prompts + before_last) + sampled * (prompts + beams)
    heads = times * answers + sampled * (rows + beams)
    return tokens * wordings + ENGLISH_TOKENS, heads * wordings + ENGLISH_TOKENS


def treatment(setting: Setting, work: Workload) -> tuple[float, float]:
    """Tokens and positions of the checks of a stage before SFT.

    `SAMPLE` titles of each share are set beside three Semantic IDs in both directions and asked
    for, and as many queries of each kind of item.
    """
    levels, beams = setting.semantic_ids.levels, _beams(setting, work)
    held_out = setting.grounding.held_out_share * work.num_items
    titles = min(SAMPLE, work.num_items) + min(SAMPLE, held_out)
    pair = PAIR_TOKENS + work.pair_text + levels
    tokens = titles * (6 * pair + pair + beams)
    heads = titles * (3 * (work.pair_text + levels) + 1 + beams)
    if setting.queries is not None and setting.queries.warm_cold_new is not None:
        tokens += 3 * SAMPLE * (_query_prompt(setting, work) + beams)
        heads += 3 * SAMPLE * (1 + beams)
    return tokens, heads


def pair_flops(setting: Setting, work: Workload, size: BackboneSize) -> tuple[float, float]:
    """Of a grounding pair, the mean of both directions: nominal FLOPs and those really spent."""
    levels, text = setting.semantic_ids.levels, work.pair_text + PAIR_TOKENS
    nominal = 2 * forward_flops(size, text + levels, 1.5 * (text + levels))
    to_sid = forward_flops(size, text, 1) + 2 * forward_flops(size, levels - 1, levels)
    to_text = 2 * forward_flops(size, levels + text, work.pair_text)
    return nominal, (to_sid + to_text) / 2


def sft_flops(setting: Setting, work: Workload, size: BackboneSize) -> float:
    """FLOPs of SFT on R."""
    lengths = work.train_lengths
    if work.queries is not None:
        examples = work.queries.train
    elif setting.prompts.style == "sequence":
        examples = sum(-(-n // setting.prompts.window) for n in lengths)
    else:
        examples = sum(lengths) - len(lengths)
    one = 3 * forward_flops(size, *training_pass(setting, work))
    return one * sft_passes(setting.sft, examples)


def extra_flops(
    setting: Setting, work: Workload, size: BackboneSize, spends: Mapping[Spending, float]
) -> float:
    """FLOPs that a method really spends of A.

    Args:
        setting: whose A.
        work: how much there is to read.
        size: of the backbone.
        spends: share of A by when it is spent; "before" SFT buys grounding pairs.
    """
    extra, (nominal, spent) = setting.extra, pair_flops(setting, work, size)
    free = 0.0
    if extra.share_of_sft is not None:
        whole = extra.share_of_sft * sft_flops(setting, work, size)
    elif extra.grounding_passes is not None:
        whole = extra.grounding_passes * work.pairs * nominal
    else:
        assert extra.grounding_steps is not None  # the spec holds one of the three
        whole = extra.grounding_steps * setting.grounding.batch_size * nominal
        pair = work.pair_text + PAIR_TOKENS + setting.semantic_ids.levels
        free = (extra.free_steps or 0) * setting.grounding.batch_size
        free *= 3 * forward_flops(size, pair, pair)
    before = spends.get("before", 0.0)
    others = sum(spends.values()) - before
    return before * (whole * spent / nominal + free) + others * (whole + free)


def cell_flops(
    setting: Setting, work: Workload, size: BackboneSize, spends: Mapping[Spending, float]
) -> float:
    """FLOPs of one cell of a method that `spends` A so; see the module."""
    read = [scoring(setting, work), measuring(setting, work)]
    if "before" in spends:
        read.append(treatment(setting, work))
    flops = sft_flops(setting, work, size) + extra_flops(setting, work, size, spends)
    return flops + sum(forward_flops(size, *each) for each in read)
