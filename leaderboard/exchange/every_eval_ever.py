"""A record as an evaluation log of Every Eval Ever (schema 0.3.0, evaleval/every_eval_ever).

    data/gti-bench/gti-bench/<setting>.<method>.seed-<n>/<uuid>.json

One log a record: it travels with its digest and can be traced back. The schema asks for strings in
`additional_details`. What it asks for and no record holds is left out (when the cell ran, where the
data can be fetched, prompts and answers one by one), or comes from whoever exports (their name).
"""

import json
import uuid
from typing import Any

import numpy as np

from leaderboard.board.user_scores import ScoresReader, read_scores
from leaderboard.metrics.metrics import FAMILIES, WHOLE, is_loss, parse_metric
from leaderboard.records.cells import Cell
from leaderboard.records.record import Record
from leaderboard.statistics.crossed import LEVEL, estimate

SCHEMA = "0.3.0"
OURS = "gti-bench"
MEANINGS = {
    "recall": "share of a request's relevant items among the first k",
    "ndcg": "normalised discounted cumulative gain of the first k",
    "mrr": "reciprocal rank of the first relevant item among the first k, else 0",
    "precision_good": "share of the first k that are good answers",
    "precision_any": "share of the first k that are answers of any grade",
    "nll": "negative log-likelihood of the target's Semantic ID, full vocabulary",
    "trie_nll": "negative log-likelihood of the target's Semantic ID among those of the catalogue",
    "peer_auc": "share of a target's peers that stand below it",
}
"""Family of metrics → what it is."""
TIES = "; of equal scores, expected over their orders"
OVER_USERS = "analytic, over {asks}, given this seed: it says nothing about another"


def log_path(record: Record) -> str:
    """Where the log of `record` lies; equal records have equal names, in the form of a UUID 4."""
    name = uuid.UUID(bytes=bytes.fromhex(record.digest)[:16], version=4)
    return f"data/{OURS}/{model_id(record)}/{name}.json"


def model_id(record: Record) -> str:
    """What the trained model is called: no repository of the Hub holds it."""
    return f"{OURS}/{record.setting.name}.{record.method.key}.seed-{record.seed}"


def evaluation_log(cell: Cell, organization: str, moment: int) -> dict[str, Any]:
    """The log of `cell`, whose record was just verified, as JSON-ready values.

    Args:
        cell: its test metrics are read again from its ranks, for their intervals.
        organization: who provides the data.
        moment: when the log is made, in seconds since 1970.
    """
    record = cell.record
    names = [name for name, value in record.metrics["test"].items() if value is not None]
    reader = ScoresReader({record.method.key: names})
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{record.setting.name}/{model_id(record)}/{record.digest}",
        "retrieved_timestamp": str(moment),
        "source_metadata": {
            "source_name": OURS,
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "first_party",
            "additional_details": _texts(
                evidence=record.setting.evidence,
                record_sha256=record.digest,
                ranks_sha256=record.files.ranks,
                checked="gti-bench verify, when exported",
            ),
        },
        "eval_library": {
            "name": OURS,
            "version": record.code.version,
            "additional_details": _texts(
                protocol=record.protocol,
                commit=record.code.commit,
                uncommitted_changes=record.code.dirty,
                packages=record.environment.packages,
            ),
        },
        "model_info": _model(record),
        "evaluation_results": [_result(cell, name, reader) for name in names],
    }


def _texts(**values: Any) -> dict[str, str]:
    """`values` as texts, JSON where they are none; what is unknown is left out."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in values.items()
        if value is not None
    }


def _model(record: Record) -> dict[str, Any]:
    """The model that a cell trained, whose weights nobody keeps; or a reference."""
    trained = record.kind == "cell"
    details = _texts(
        deployment_type="self_deployed",
        model_availability="closed_weights" if trained else "unknown",
        weights="not kept; `gti-bench rerun` trains them again" if trained else None,
        base_model=record.setting.backbone.name if trained else None,
        base_model_sha256=record.inputs.backbone,
        method=record.method.key,
        method_in_words=record.method.summary,
        method_source=record.method.source,
        method_sha256=record.method_hash,
        method_group=record.method.group,
        seed=record.seed,
        setting=record.setting.name,
        setting_sha256=record.setting_hash,
        dtype=record.environment.dtype,
    )
    name = f"{record.method.key}, seed {record.seed}, on {record.setting.name}"
    return {"name": name, "id": model_id(record), "additional_details": details}


def _result(cell: Cell, name: str, reader: ScoresReader) -> dict[str, Any]:
    """One metric of the test split with its interval over the users of this seed."""
    record = cell.record
    setting = record.setting
    return {
        "evaluation_result_id": name,
        "evaluation_name": f"{OURS}.{setting.name}",
        "source_data": {
            "dataset_name": setting.dataset.name,
            "source_type": "other",
            "additional_details": _texts(
                sha256=record.inputs.dataset,
                queries_sha256=record.inputs.queries,
                split="test",
                asked=f"{record.num_users['test']} {setting.asks}",
            ),
        },
        "metric_config": _metric(name),
        "score_details": {
            "score": record.metrics["test"][name],
            "uncertainty": _uncertainty(cell, name, reader),
        },
        "generation_config": {
            "additional_details": _texts(
                decoding=None
                if record.accounting is None
                else f"beam search along the trie of Semantic IDs, beam {record.accounting.beam}",
                prompts=setting.prompts.style if record.kind == "cell" else None,
                seen_items=setting.dataset.seen_items,
            )
        },
    }


def _metric(name: str) -> dict[str, Any]:
    """What is known of the metric called `name`."""
    family, cutoff = parse_metric(name)
    loss = is_loss(name)
    known = f"{family}_at_k" if family in FAMILIES else f"{OURS}.{family}"
    return {
        "evaluation_description": MEANINGS[family] + ("" if loss else TIES),
        "metric_id": known,
        "metric_name": name,
        "metric_kind": family,
        "metric_unit": "nats" if loss else "proportion",
        **({} if name in WHOLE else {"metric_parameters": {"k": cutoff}}),
        "lower_is_better": loss,
        "score_type": "continuous",
        "min_score": 0.0,
        "max_score": "Infinity" if loss else 1.0,
    }


def _uncertainty(cell: Cell, name: str, reader: ScoresReader) -> dict[str, Any]:
    """How the metric varies over users; the values of one user stand in no log."""
    scores = read_scores([cell], name, reader=reader)
    if scores is None:
        return {}
    values = scores.matrix(cell.record.method.key, [cell.record.seed])
    found = estimate(values)
    counted = {"num_samples": found.num_users}
    if found.standard_error is None or found.low is None or found.high is None:
        return counted
    how = OVER_USERS.format(asks=cell.record.setting.asks)
    return {
        "standard_error": {"value": found.standard_error, "method": how},
        "confidence_interval": {
            "lower": found.low,
            "upper": found.high,
            "confidence_level": 1 - LEVEL,
            "method": how,
        },
        "standard_deviation": float(np.std(values, ddof=1)),
        **counted,
    }
