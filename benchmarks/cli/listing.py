"""What `gti-bench list` shows: settings, methods, datasets, backbones; as text or JSON."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from textwrap import wrap
from typing import Any, Literal

from benchmarks.inputs.catalogue import find_setting, setting_names
from leaderboard.render.writers import json_text

Rows = list[dict[str, Any]]
"""What JSON says of each setting, method, dataset or backbone; null where there is nothing."""


def listed(
    what: Literal["settings", "methods", "datasets", "backbones"],
    width: int,
    *,
    as_json: bool = False,
    offline: bool = False,
) -> str:
    """Lists settings, methods, datasets or backbones, as text or JSON.

    Args:
        what: to list.
        width: of the terminal.
        as_json: every field, by its name.
        offline: fetch no dataset, not even a small one.
    """
    choices: dict[str, tuple[Callable[[], Rows], Callable[[Rows, int], str]]] = {
        "settings": (list_settings, setting_lines),
        "methods": (list_methods, method_lines),
        "datasets": (partial(list_datasets, offline=offline), dataset_lines),
        "backbones": (list_backbones, backbone_lines),
    }
    rows, lines = choices[what]
    return json_text(rows()) if as_json else lines(rows(), width)


def list_settings() -> Rows:
    """One row per setting that comes with gti-bench."""
    rows = []
    for name in setting_names():
        setting = find_setting(name).setting
        rows.append(
            {
                "setting": name,
                "summary": setting.summary,
                "dataset": setting.dataset.name,
                "backbone": setting.backbone.name.partition("@")[0],
                "prompts": "query" if setting.queries else setting.prompts.style,
                "levels": setting.semantic_ids.levels,
                "codes": setting.semantic_ids.codes,
                "seeds": list(setting.seeds),
            }
        )
    return rows


def setting_lines(rows: Rows, width: int) -> str:
    """The settings, each with what it is for and what it is made of."""
    entries = []
    for row in rows:
        seeds = f"{len(row['seeds'])} seed{'' if len(row['seeds']) == 1 else 's'}"
        facts = [row["dataset"], row["backbone"], f"{row['prompts']} prompts"]
        facts += [f"{row['levels']} × {row['codes']} codes", seeds]
        entries.append((row["setting"], row["summary"], "; ".join(facts)))
    return _entries(entries, width)


def list_methods() -> Rows:
    """One row per method."""
    from baselines.registry import methods

    return [
        {
            "method": method.key,
            "group": method.group,
            "parent": method.parent,
            "summary": method.summary,
            "source": method.source,
            "spends_a": dict(method.spends) or None,
        }
        for method in methods().values()
    ]


def method_lines(rows: Rows, width: int) -> str:
    """The methods by group, each with what it does, what it spends of A, and its source."""
    from baselines.registry import GROUPS

    shown = {GROUPS[name][0]: name for name in GROUPS if len(GROUPS[name]) == 1}
    place = " " * (4 + max(len(row["method"]) for row in rows))
    lines: list[str] = []
    group = None
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            lines += [*([""] if lines else []), f"--methods {shown[group]}"]
        spends = row["spends_a"]
        source = row["source"] + (f"; extra budget {' and '.join(spends)} SFT" if spends else "")
        head = f"  {row['method']}".ljust(len(place))
        lines += wrap(head + row["summary"], width, subsequent_indent=place)
        source += f"; rates of {row['parent']}" if row["parent"] else ""
        lines += wrap(place + source, width, subsequent_indent=place)
    return "\n".join(lines)


def _entries(entries: Iterable[tuple[str, str, str]], width: int) -> str:
    """Entries of a name, what it is, and the facts, each on lines of its own."""
    lines: list[str] = []
    for name, *texts in entries:
        lines.append(name)
        for text in texts:
            place = "  "
            lines += wrap(
                text, width, initial_indent=place, subsequent_indent=place, break_on_hyphens=False
            )
    return "\n".join(lines)


def list_backbones() -> Rows:
    """One row per named backbone."""
    from benchmarks.inputs.backbones import CARDS

    rows = [
        {"backbone": card.name, "title": card.title, "licence": card.licence, "source": card.source}
        for card in CARDS.values()
    ]
    rows.append(
        {
            "backbone": "hub:OWNER/NAME@REVISION",
            "title": "any causal LM on the Hugging Face hub, at a pinned commit",
            "licence": "its own",
            "source": "safetensors only; no remote code",
        }
    )
    return rows


def backbone_lines(rows: Rows, width: int) -> str:
    """The backbones, each with its licence and where it is from."""
    return _entries(
        ((row["backbone"], row["title"], f"{row['licence']}; {row['source']}") for row in rows),
        width,
    )


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
    """The datasets as people read them: those here with their statistics, then the others."""
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
