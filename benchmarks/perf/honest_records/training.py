"""What a made-up cell says of its training: tasks, cost, budget and learning curve.

FLOPs are made of tokens and parameters as `leaderboard.verify.training` says; attention is what
makes SFT of the usual shape cost some 1e9.
"""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.perf.honest_records.rows import BODY
from benchmarks.perf.honest_records.settings import Shape
from benchmarks.perf.honest_records.sketches import Sketch
from leaderboard.metrics.metrics import metrics, num_users, relevance_of
from leaderboard.records.ranks import Ranks
from leaderboard.records.semantic_ids import SemanticIdsFile
from leaderboard.records.setting import Setting

ATTENTION = 82_853_333
"""Of SFT on R, in units of 12 FLOPs."""
DEVICE_FLOPS = 5e10
GROUNDING_STEPS = 5


def training_of(
    setting: Setting,
    shape: Shape,
    sids: SemanticIdsFile,
    sketch: Sketch,
    seed: int,
    validation: Ranks,
) -> dict[str, Any]:
    """The parts of a record that tell of training; the curve ends with the `validation` ranks."""
    share = setting.extra.share_of_sft or 0.25
    before, beside, after = (
        share * sketch.spends.get(k, 0.0) for k in ("before", "beside", "after")
    )
    own_steps = setting.sft.steps or max(1, round((setting.sft.passes or 1.0) * shape.batches))
    steps = own_steps + round(own_steps * after)
    examples = own_steps * setting.sft.batch_size
    own = 6 * (BODY + shape.matrix) * 3 * examples + 12 * ATTENTION
    grounding, more = (12 * math.ceil(part * own / 12) for part in (before, beside + after))
    tokens = 3 * examples + 3 * int((beside + after) * examples)
    saved = 6 * shape.matrix * (tokens - 2 * examples)
    cost = {
        "init": {"seconds": 0.5},
        "sft": _cost(60.0 + seed, steps, tokens, own + more, saved),
        "score": {"seconds": 5.0},
    }
    tasks = {"query" if setting.queries else "retrieval": steps * setting.sft.batch_size}
    if before:
        tokens = 3 * int(before * examples)
        saved = 6 * shape.matrix * tokens - 4 * shape.matrix * (tokens // 3)
        cost["grounding"] = _cost(9.0, GROUNDING_STEPS, tokens, grounding, saved)
        each = GROUNDING_STEPS * setting.grounding.batch_size // len(sketch.pairs)
        tasks |= dict.fromkeys(sketch.pairs, each)
    if beside:
        mixture = setting.auxiliary.mixture
        whole = sum(mixture.values())
        tasks |= {f"{name}.title": round(30 * part / whole) for name, part in mixture.items()}
    passes = (setting.sft.passes or 1.0) * steps / own_steps
    return {
        "tasks": tasks,
        "cost": cost,
        "budget": {
            "sft_flops": float(own),
            "extra_flops": share * own,
            "extra_spent_flops": float(grounding + more),
        },
        "learning_curve": _curve(setting, sids, validation, steps, passes, own + more),
    }


def _cost(seconds: float, steps: int, tokens: int, nominal: int, saved: int) -> dict[str, Any]:
    """The cost of a training stage that computes `saved` FLOPs less than its `nominal` ones."""
    return {
        "seconds": seconds,
        "steps": steps,
        "tokens": tokens,
        "nominal_flops": float(nominal),
        "actual_flops": float(nominal - saved),
        "first_loss": 6.0,
        "last_loss": 5.0 / steps,
        "device_flops": DEVICE_FLOPS,
        "utilisation": (nominal - saved) / (seconds * DEVICE_FLOPS),
    }


def _curve(
    setting: Setting,
    sids: SemanticIdsFile,
    validation: Ranks,
    steps: int,
    passes: float,
    nominal: int,
) -> list[dict[str, Any]]:
    """Points at which more and more rows of a sample of `validation` are found.

    The losses of all its rows go from those of a model that takes all codes for equal to the last.
    """
    spec, how = setting.evaluation, (setting.decoding.beam, relevance_of(setting))
    last, even = metrics(validation, spec.cutoffs, *how), _even_nll(sids)
    first = {"trie_nll": even, "nll": even + 1}
    rows = spec.validation_users * (len(validation) // num_users(validation))
    sample = validation.where(np.arange(len(validation)) < rows)
    points = []
    for place in range(spec.curve_points + 1):
        step = round(steps * place / spec.curve_points)
        found = sample.in_beam & (np.arange(len(sample)) % spec.curve_points < place)
        counts = {name: getattr(sample, name) * found for name in ("num_better", "num_tied")}
        scored = replace(sample, in_beam=found, **counts)
        found_by = metrics(scored, spec.cutoffs, *how)
        for name, start in first.items():
            end, part = last[name] or 0.0, place / spec.curve_points
            found_by[name] = end if place == spec.curve_points else start + part * (end - start)
        points.append(
            {
                "step": step,
                "passes": passes * step / steps,
                "nominal_flops": float(6 * (nominal * step // (6 * steps))),
                "seconds": 1.0 + 2.0 * place / spec.curve_points,
                "train_loss": 5.0 / step if step else None,
                "metrics": found_by,
            }
        )
    return points


def _even_nll(sids: SemanticIdsFile) -> float:
    """Mean NLL of all items over the trie, where all codes behind a prefix are as likely."""
    codes, total = [tuple(item) for item in sids.codes.tolist()], 0.0
    for level in range(sids.codes.shape[1]):
        behind = Counter(prefix for prefix, _ in {(item[:level], item[level]) for item in codes})
        total += sum(math.log(behind[item[:level]]) for item in codes)
    return total / len(codes)
