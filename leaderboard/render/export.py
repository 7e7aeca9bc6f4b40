"""A board for programs: CSV and JSON with every digit."""

import dataclasses
from typing import Any

from leaderboard.board.board import Leaderboard
from leaderboard.board.method_rows import DIAGNOSTICS, STAGES, MethodRow
from leaderboard.board.moderation import Moderation
from leaderboard.board.primary import Decided
from leaderboard.render.primary import decision_word
from leaderboard.render.sentences import NO_EVIDENCE, footnotes, verdict, verdicts
from leaderboard.render.writers import csv_text, json_text
from leaderboard.statistics.crossed import Components, Estimate


def board_content(board: Leaderboard) -> dict[str, Any]:
    """`board` as JSON-ready values; undefined is null."""
    return {
        "setting": board.setting.name,
        "setting_hash": board.setting_hash,
        "protocol": board.protocol,
        "metric": board.metric,
        "slice": board.slice_name,
        "slice_extent": board.slice_extent,
        "asks": board.setting.asks,
        "num_users": board.num_users,
        "evidence": board.evidence,
        "seeds": list(board.seeds),
        "provisional": board.provisional,
        "rows": [_row_content(row) for row in board.rows],
        "learning": [dataclasses.asdict(each) for each in board.learning],
        "pace": None if board.pace is None else dataclasses.asdict(board.pace),
        **(
            {} if board.moderation is None else {"moderation": moderation_content(board.moderation)}
        ),
        **(
            {}
            if board.family.decided is None
            else {"primary": primary_content(board.family.decided)}
        ),
        "tested_together": board.family.size,
        "verdicts": verdicts(board),
        "notes": [*([] if board.evidence else [NO_EVIDENCE]), *footnotes(board)],
    }


def primary_content(decided: Decided) -> dict[str, Any]:
    """The primary contrasts with their verdicts, as JSON-ready values."""
    spec = decided.spec
    return {
        "outcome": spec.outcome,
        "margin": spec.margin,
        "rule": spec.rule,
        "all_shown": decided.open,
        "contrasts": [
            {
                **each.contrast.model_dump(mode="json"),
                **(dataclasses.asdict(each.tested.estimate) if each.tested else {}),
                "seeds": list(each.tested.seeds) if each.tested else [],
                "p_corrected": None if each.tested is None else each.tested.p,
                "verdict": decision_word(each, spec.margin),
            }
            for each in decided.decisions
        ],
    }


def moderation_content(moderation: Moderation) -> dict[str, Any]:
    """What moderates differences, as JSON-ready values."""
    content = dataclasses.asdict(moderation)
    degrees = min(float(moderation.prior.degrees), len(moderation.seeds) - 1)
    return content | {"prior": {"ratio": float(moderation.prior.ratio), "degrees": degrees}}


def _row_content(row: MethodRow) -> dict[str, Any]:
    """One row as JSON-ready values."""
    content = dataclasses.asdict(row)
    content["paths"] = {str(seed): path.as_posix() for seed, path in row.paths.items()}
    if row.taken is not None:
        content["taken"]["state"] = row.taken.state
    content["state"] = row.standing.state
    content["sentence"] = verdict(row)
    return content


def board_json(board: Leaderboard) -> str:
    """`board` as indented JSON."""
    return json_text(board_content(board)) + "\n"


def board_csv(board: Leaderboard) -> str:
    """`board` as CSV: one line per method, empty where undefined."""
    return csv_text([_flat(board, row) for row in board.rows])


def _components(found: Estimate | None, prefix: str = "") -> dict[str, float | None]:
    """The parts of a figure's variance as columns, empty where seeds and users are not apart."""
    parts = None if found is None else found.components
    names = [field.name for field in dataclasses.fields(Components)]
    return {prefix + name: None if parts is None else getattr(parts, name) for name in names}


def _flat(board: Leaderboard, row: MethodRow) -> dict[str, Any]:
    """One row as a flat mapping of column to value."""
    flat: dict[str, Any] = {
        "setting": board.setting.name,
        "method": row.key,
        "kind": row.kind,
        "metric": board.metric,
        "slice": board.slice_name,
        "num_seeds": len(row.paths),
        "missing_seeds": " ".join(map(str, row.missing_seeds)),
        "under_trained_seeds": " ".join(map(str, row.under_trained)),
        "ties": row.ties,
        "low": row.score.low if row.score else None,
        "high": row.score.high if row.score else None,
        "scope": row.score.scope if row.score else None,
        **_components(row.score),
    }
    if board.moderation is not None:
        flat["pooled_seed_sd"] = board.moderation.pooled_sd if row.kind == "cell" else None
    difference = row.difference
    flat |= {
        "difference": difference.estimate.mean if difference else None,
        "difference_low": difference.estimate.low if difference else None,
        "difference_high": difference.estimate.high if difference else None,
        "p": difference.estimate.p if difference else None,
        "p_corrected": difference.p if difference else None,
        "verdict": difference.verdict if difference else None,
        "smallest_visible": difference.smallest if difference else None,
        "seeds_needed": difference.seeds_needed if difference else None,
        **_components(difference.estimate if difference else None, "difference_"),
    }
    for name, mean in row.means.items():
        flat |= {name: mean, f"{name} sd": row.seed_sds[name]}
    for stage in STAGES:
        for name in DIAGNOSTICS:
            flat[f"{stage} {name}"] = row.diagnostics.get(stage, {}).get(name)
    flat |= {
        "seconds": row.seconds,
        "grounding": None if row.taken is None else row.taken.state,
        "bits_per_char_before": None if row.retained is None else row.retained[0],
        "bits_per_char_after": None if row.retained is None else row.retained[1],
        "nominal_flops": row.nominal_flops,
        "actual_flops": row.actual_flops,
        "extra_flops": row.extra_flops,
        "method_hash": row.method_hash,
        "state": row.standing.state,
        "reproduced_seeds": " ".join(map(str, row.standing.reproduced)),
    }
    return flat
