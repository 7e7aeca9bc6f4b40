"""What `gti-bench list` shows: settings, methods, datasets, backbones; as text or JSON."""

import json
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from benchmarks.inputs.catalogue import find_setting, setting_names

Rows = list[dict[str, Any]]


def list_settings() -> Rows:
    """One row per setting that comes with gti-bench."""
    rows = []
    for name in setting_names():
        setting = find_setting(name).setting
        rows.append(
            {
                "setting": name,
                "what": setting.summary,
                "dataset": setting.dataset.name,
                "backbone": setting.backbone.name.partition("@")[0],
                "prompts": f"{'query' if setting.queries else setting.prompts.style} prompts",
                "SIDs": f"{setting.semantic_ids.levels} × {setting.semantic_ids.codes} codes",
                "seeds": f"{len(setting.seeds)} seed{'s' if len(setting.seeds) > 1 else ''}",
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
            "spends A": " and ".join(method.spends) or "–",
            "new rows": method.summary,
            "source": method.source,
        }
        for method in methods().values()
    ]


def method_lines(rows: Rows, width: int) -> str:
    """The methods by group, each with what it does, what it spends of A, and its source.

    Args:
        rows: from `list_methods`.
        width: columns of the terminal.
    """
    from baselines.registry import GROUPS

    shown = {GROUPS[name][0]: name for name in GROUPS if len(GROUPS[name]) == 1}
    place = " " * (4 + max(len(row["method"]) for row in rows))
    lines: list[str] = []
    group = None
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            lines += [*([""] if lines else []), f"--methods {shown[group]}"]
        spends = "" if row["spends A"] == "–" else f"; extra budget {row['spends A']} SFT"
        head = f"  {row['method']}".ljust(len(place))
        lines += wrap(head + row["new rows"], width, subsequent_indent=place)
        lines += wrap(place + row["source"] + spends, width, subsequent_indent=place)
    return "\n".join(lines)


def list_backbones() -> Rows:
    """One row per named backbone."""
    from benchmarks.inputs.backbones import CARDS

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


def list_datasets(*, offline: bool = False) -> Rows:
    """One row per dataset and listed choice of its options: those here with their statistics.

    `expected` are the sizes that its files are known to have, `content_sha256` the content's hash
    that shipped settings name; null where nothing is known.

    Nothing large is fetched: only assets, and not those where `offline`.
    """
    from benchmarks.cli.dataset_statistics import dataset_statistics
    from benchmarks.datasets import CARDS, MissingDataError, load_dataset
    from benchmarks.machine.assets import AssetError

    pins = _pinned_contents()
    rows: Rows = []
    for name, card in CARDS.items():
        fields = ("title", "source", "licence", "obtain", "addresses", "get")
        about = {field: getattr(card, field) for field in fields}
        about["expected"] = None if card.expected is None else asdict(card.expected)
        for options in card.listed:
            row: dict[str, Any] = {"name": name, "options": options, **about}
            row["content_sha256"] = pins.get((name, json.dumps(options, sort_keys=True)))
            try:
                dataset = load_dataset(name, options=options, offline=offline or card.asset is None)
                found = asdict(dataset_statistics(dataset))
                rows.append({**row, "here": True, **found, "counts": dataset.provenance.counts})
            except (MissingDataError, AssetError):
                rows.append({**row, "here": False})
                break
            except (RuntimeError, ValueError) as error:
                rows.append({**row, "here": False, "get": str(error)})
    return rows


def _pinned_contents() -> dict[tuple[str, str], str]:
    """Dataset and options (as sorted JSON) → the content's hash that shipped settings name."""
    specs = [find_setting(name).setting.dataset for name in setting_names()]
    return {
        (spec.name, json.dumps(spec.options or {}, sort_keys=True)): spec.sha256
        for spec in specs
        if spec.sha256 != "unpinned"
    }


def dataset_lines(rows: Rows, width: int) -> str:
    """The datasets as people read them: those here with their statistics, then the others.

    Args:
        rows: from `list_datasets`.
        width: columns of the terminal.
    """
    here = [row for row in rows if row["here"]]
    lines: list[str] = []
    for row in here:
        chosen = ", ".join(f"{key} = {json.dumps(value)}" for key, value in row["options"].items())
        lines.append(f"{row['name']}{': ' if chosen else ''}{chosen}")
        for text in _statistics(row):
            lines += wrap(text, width, initial_indent="  ", subsequent_indent="    ")
    if here:
        lines += wrap(
            "Floors: test item, all items ranked, seen ones kept, ties in expectation. Time ties:"
            " users whose last two interactions share a timestamp.",
            width,
        )
    absent = [row for row in rows if not row["here"]]
    if absent:
        lines += [*([""] if lines else []), "not here:"]
        lines += _absent(absent, width)
        lines += wrap(
            "Files go into $GTI_BENCH_DATA/<dataset>/; --json has source, licence and address of"
            " each.",
            width,
        )
    return "\n".join(lines)


def _statistics(row: dict[str, Any]) -> list[str]:
    """What is said of a dataset that is here."""
    users = f"{row['users']:,} users"
    if row["users_kept"] != row["users"]:
        users += f" ({row['users_kept']:,} with enough interactions)"
    items = f"{row['items']:,} items"
    if row["items_seen"] != row["items"]:
        items += f" ({row['items'] - row['items_seen']:,} never interacted with)"
    ties = row["tied_last_share"]
    texts = [f"{field} {share:.0%}" for field, share in row["text_shares"].items() if share]
    if row["items_without_text"]:
        texts.append(f"without any: {row['items_without_text']:,}")
    floors = ", ".join(
        f"{reference} {values['recall@10']:.4f}" for reference, values in row["floors"].items()
    )
    left_out = [
        f"{number:,} {what}"
        for what, number in row["counts"].items()
        if number and not what.endswith("in the files")
    ]
    return [
        f"{users}, {items}, {row['interactions']:,} interactions",
        *(["left out: " + "; ".join(left_out)] if left_out else []),
        f"texts: {', '.join(texts)}; time ties: "
        + ("no timestamps" if ties is None else f"{ties:.0%}"),
        f"recall@10: {floors}; content {row['sha256'][:12]}; {row['licence']}",
    ]


def _absent(absent: Rows, width: int) -> list[str]:
    """Each dataset that is not here: what to get, where, and what it should then be.

    The categories of a family stand together.
    """
    family = "amazon-2023-"
    categories = [row for row in absent if row["name"].startswith(family)]
    shown = [(row["name"], row["get"], _published(row)) for row in absent if row not in categories]
    if categories:
        names = ", ".join(row["name"].removeprefix(family) for row in categories)
        get = f"{categories[0]['get']}; categories: {names}"
        shown.append((f"{family}…", get, _published(categories[0])))
    indent = 4 + max(len(name) for name, *_ in shown)
    lines: list[str] = []
    for name, get, published in shown:
        head = f"  {name}".ljust(indent)
        lines += wrap(head + get, width, subsequent_indent=" " * indent, break_on_hyphens=False)
        lines += wrap(
            published,
            width,
            initial_indent="      ",
            subsequent_indent="      ",
            break_on_hyphens=False,
        )
    return lines


def _published(row: dict[str, Any]) -> str:
    """Where a dataset is published, and the known sizes and hash of its content."""
    facts = list(row["addresses"])
    known = row["expected"]
    if known is not None:
        about = "about " if known["rounded"] else ""
        sizes = [f"{known[what]:,} {what}" for what in ("users", "items", "interactions")]
        facts.append(about + ", ".join(sizes))
    if row["content_sha256"] is not None:
        facts.append(f"content {row['content_sha256'][:12]}")
    return " · ".join(facts)


def entry_lines(rows: Rows, width: int) -> str:
    """Rows as entries: the name, what it is, and the rest on lines of their own.

    Args:
        rows: name first, then the line that says what it is, then facts as they should be read.
        width: columns of the terminal.
    """
    lines: list[str] = []
    for row in rows:
        name, what, *facts = (str(value) for value in row.values())
        lines.append(name)
        for text in (what, "; ".join(facts)):
            lines += wrap(
                text,
                width,
                initial_indent="  ",
                subsequent_indent="  ",
                break_on_hyphens=False,
            )
    return "\n".join(lines)


def as_json(rows: Rows) -> str:
    """Rows as JSON."""
    return json.dumps(rows, indent=2, ensure_ascii=False)
