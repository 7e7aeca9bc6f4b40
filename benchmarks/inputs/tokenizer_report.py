"""What `prepare` tells of a setting's tokenizer: error, code usage, collisions and time, compared.

An RQ-VAE takes long to train and, on an accelerator, need not come out equal twice. So what is
made is kept at once in the cache under its own hash, with its report and curves beside it, and it
is not trained again to be compared.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine.cache import cache_root, publish_file
from gti.data.semantic_ids import SemanticIds
from leaderboard.records.canonical import canonical_json
from leaderboard.records.specs import RqVaeSpec, SemanticIdsSpec
from leaderboard.render.numbers import NOTHING, duration
from leaderboard.render.table import Column, Table
from leaderboard.render.writers import terminal

if TYPE_CHECKING:
    from gti.quantise.report import QuantiserReport

Say = Callable[[str], None]
Embeddings = NDArray[np.float32]


def train_rq_vae(
    embeddings: Embeddings,
    spec: SemanticIdsSpec,
    settings: RqVaeSpec,
    seed: int,
    description: dict[str, str],
) -> tuple[SemanticIds, "QuantiserReport"]:
    """Trains a setting's RQ-VAE from `seed`, on an accelerator where there is one; keeps it."""
    from gti.model.devices import choose_device
    from gti.quantise.rq_vae import rq_vae

    device = choose_device("auto")
    ids, report, curves = rq_vae(
        embeddings, spec.levels, spec.codes, settings, seed, description, device=device
    )
    publish_file(cache_root() / "semantic_ids" / f"{ids.sha256}.npz", ids.to_bytes())
    content = {
        "name": f"RQ-VAE {spec.levels} × {spec.codes}, seed {seed}, on {device.type}",
        "num_codes": spec.codes,
        "report": asdict(report),
        "curves": curves.as_json(),
    }
    publish_file(tokenizer_file(ids), canonical_json(content))
    return ids, report


def tokenizer_file(ids: SemanticIds) -> Path:
    """Where report and curves of these Semantic IDs lie, if they were trained here."""
    return cache_root() / "semantic_ids" / f"{ids.sha256}-tokenizer.json"


def kept_report(ids: SemanticIds) -> "QuantiserReport | None":
    """The report of Semantic IDs that were trained here; null for others or a damaged file."""
    from gti.quantise.report import QuantiserReport

    try:
        found = json.loads(tokenizer_file(ids).read_text(encoding="utf-8"))["report"]
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in found.items()
        }
        return QuantiserReport(**fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def say_curves(ids: SemanticIds, say: Say) -> None:
    """Draws the curves of Semantic IDs that were trained here and says where they are."""
    from leaderboard.figures.tokenizer import draw_tokenizer

    path = tokenizer_file(ids)
    if path.is_file():
        drawn = draw_tokenizer(path, path.parent)
        say(f"          curves: {path} and {', '.join(file.name for file in drawn)}")


def of_all_variance(report: "QuantiserReport", kept: float) -> "QuantiserReport":
    """`report` with errors relative to the embeddings before PCA; `kept` is PCA's share.

    Args:
        report: on the reduced embeddings.
        kept: their share of the embeddings' squared distance from their mean.
    """
    whole = tuple(1 - kept * (1 - error) for error in report.relative_error)
    final = 1 - kept * (1 - report.relative_error_final)
    return replace(report, relative_error=whole, relative_error_final=final)


def variance_kept(embeddings: Embeddings, reduced: Embeddings) -> float:
    """Share of the embeddings' squared distance from their mean that `reduced` still has."""
    whole, part = (
        float(np.square(rows - rows.mean(axis=0, dtype=np.float64)).sum())
        for rows in (embeddings, reduced)
    )
    return part / whole if whole else 1.0


def report_table(reports: dict[str, "QuantiserReport"]) -> list[str]:
    """Lines of one table: a row per tokenizer, numbers that compare them.

    Errors are squared errors as a share of the spread of the texts' embeddings.
    """
    names = ("error after levels", "used", "perplexity", "collisions", "moved", "time")
    columns = [Column(name, name, "words") for name in ("tokenizer", *names)]
    rows = [
        (
            name,
            " ".join(f"{error:.3f}" for error in report.relative_error),
            "/".join(map(str, report.used_codes)),
            " ".join(f"{value:.1f}" for value in report.perplexity),
            " → ".join(
                f"{rate:.2%}"
                for rate in (
                    report.collision_rate_nearest,
                    report.collision_rate_balanced,
                    report.collision_rate,
                )
                if rate is not None
            ),
            NOTHING if report.items_moved is None else str(report.items_moved),
            NOTHING if report.seconds is None else duration(report.seconds),
        )
        for name, report in reports.items()
    ]
    return terminal(Table.of_texts(columns, rows)).splitlines()
