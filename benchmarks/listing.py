"""What `gti-bench list` shows: settings, methods, datasets, backbones; as tables or JSON."""

import json
from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from benchmarks.catalogue import find_setting, setting_names

Rows = list[dict[str, Any]]


def list_settings() -> Rows:
    """One row per setting that comes with gti-bench."""
    rows = []
    for name in setting_names():
        setting = find_setting(name).setting
        rows.append(
            {
                "setting": name,
                "dataset": setting.dataset.name,
                "backbone": setting.backbone.name,
                "prompts": setting.prompts.style,
                "SIDs": f"{setting.semantic_ids.levels}×{setting.semantic_ids.codes}",
                "seeds": len(setting.seeds),
                "what it is": setting.summary,
            }
        )
    return rows


def list_methods() -> Rows:
    """One row per method."""
    from baselines.registry import methods

    return [
        {
            "method": method.key,
            "group": method.group,
            "spends A": ", ".join(method.spends) or "–",
            "new rows": method.summary,
            "source": method.source,
        }
        for method in methods().values()
    ]


def list_backbones() -> Rows:
    """One row per named backbone."""
    from benchmarks.backbones import CARDS

    rows = [
        {"backbone": card.name, "what": card.title, "licence": card.licence, "from": card.source}
        for card in CARDS.values()
    ]
    rows.append(
        {
            "backbone": "hub:OWNER/NAME@REVISION",
            "what": "any causal LM on the Hugging Face hub, at a pinned commit",
            "licence": "its own",
            "from": "safetensors only; no remote code",
        }
    )
    return rows


def list_datasets(*, offline: bool = False) -> tuple[Rows, list[str]]:
    """One row per dataset that can be read here, and a line for each that cannot."""
    from benchmarks.datasets import CARDS, load_dataset
    from benchmarks.datasets.statistics import dataset_statistics

    rows, missing = [], []
    for name, card in CARDS.items():
        try:
            found = dataset_statistics(load_dataset(name, offline=offline))
        except (RuntimeError, ValueError) as error:
            missing.append(f"{name}: {error}")
            continue
        rows.append({**asdict(found), "title": card.title, "licence": card.licence})
    return rows, missing


def dataset_table(rows: Rows) -> Rows:
    """The statistics as people read them."""
    return [
        {
            "dataset": row["name"],
            "users": row["users"],
            "kept": row["users_kept"],
            "items": row["items"],
            "no text": row["items_without_text"],
            "interactions": row["interactions"],
            "texts": ", ".join(
                f"{field} {share:.0%}" for field, share in row["text_shares"].items()
            ),
            "time ties": "–" if row["tied_last_share"] is None else f"{row['tied_last_share']:.0%}",
            "popularity R@10": f"{row['floors']['popularity']['recall@10']:.4f}",
            "Markov R@10": f"{row['floors']['markov']['recall@10']:.4f}",
            "sha256": row["sha256"][:12],
        }
        for row in rows
    ]


def as_table(rows: Rows) -> str:
    """Rows as an aligned table."""
    return tabulate(rows, headers="keys", tablefmt="simple", disable_numparse=True)


def as_json(rows: Rows) -> str:
    """Rows as JSON."""
    return json.dumps(rows, indent=2, ensure_ascii=False)
