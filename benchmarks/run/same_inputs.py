"""Whether records were made from the inputs at hand, where a setting does not pin them.

A pinned hash is part of the setting's hash, so another input makes another cell. An unpinned one
is not: the record alone names what it read, and a run must not set cells of other inputs beside it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from benchmarks.datasets.versions import differs_from_card, sizes_against_card
from benchmarks.inputs.inputs import ReadData
from benchmarks.inputs.semantic_ids import semantic_ids_here
from benchmarks.references.next_item import REFERENCES
from benchmarks.references.queries import QUERY_REFERENCES
from benchmarks.run.plan import PlannedCell
from gti.data.dataset import Dataset
from leaderboard.records.record import Record, RecordError, find_records, read_record
from leaderboard.records.setting import Setting

Hashes = Mapping[str, str]
HashesAt = Callable[[int], Hashes]
"""Seed → hashes of what its cells would read here, by their names in records."""

WORDS = {"dataset": "dataset", "semantic_ids": "Semantic IDs", "queries": "queries"}
"""Field of a record's `inputs` → what people call it."""


class OtherInputsError(RuntimeError):
    """Records made from other inputs would stand beside new ones; gives the hashes and ways out."""


def has_unpinned(setting: Setting, seeds: Iterable[int]) -> bool:
    """Whether the setting leaves the hash of an input open that cells of `seeds` read."""
    pins = [setting.dataset.sha256, *(setting.semantic_ids.pin_at(seed) for seed in seeds)]
    if setting.queries is not None:
        pins.append(setting.queries.sha256)
    return "unpinned" in pins


def data_hashes(data: ReadData) -> dict[str, str]:
    """Hashes of dataset and queries, by their names in records."""
    found = {"dataset": data.dataset.full_sha256}
    if data.queries is not None:
        found["queries"] = data.queries.sha256
    return found


def known_hashes(setting: Setting, data: ReadData) -> HashesAt:
    """Hashes of what is at hand for the cells of a seed; makes no Semantic IDs for it."""

    @cache
    def at(seed: int) -> Hashes:
        found, there = data_hashes(data), semantic_ids_here(setting, data.dataset, seed)
        return found if there is None else {**found, "semantic_ids": there[0].sha256}

    return at


def other_inputs(record: Record, here: Hashes) -> str | None:
    """Which input of `record` has another hash than `here`, with both; null where none has."""
    for name, found in here.items():
        named = getattr(record.inputs, name)
        if named not in (None, found):
            return f"made from {WORDS[name]} {named}, where here is {found}"
    return None


def with_inputs_compared(cells: Sequence[PlannedCell], here: HashesAt) -> list[PlannedCell]:
    """`cells`, where a finished one that read other inputs has state "inputs" and says which."""
    return [_compared(cell, here(cell.seed)) for cell in cells]


def _compared(cell: PlannedCell, here: Hashes) -> PlannedCell:
    if cell.state != "done":
        return cell
    why = other_inputs(read_record(cell.path), here)
    return cell if why is None else replace(cell, state="inputs", why=why)


def check_neighbours(
    setting: Setting, cells: Sequence[PlannedCell], here: HashesAt, results: Path
) -> None:
    """Refuses a run beside records of this setting, not among `cells`, that read other inputs.

    References that each run writes are no hindrance: they are made anew.

    Raises:
        OtherInputsError: names the first such record, both hashes and the ways out.
    """
    planned = {cell.path.resolve() for cell in cells}
    for path in find_records(results, setting.name):
        try:
            record = read_record(path)
        except RecordError:
            continue  # `verify` reports it, and no board takes it
        if path.resolve() in planned or record.setting_hash != setting.hash:
            continue
        if record.kind == "reference" and record.method.key in {**REFERENCES, **QUERY_REFERENCES}:
            continue
        why = other_inputs(record, here(record.seed))
        if why is not None:
            raise OtherInputsError(
                f"{path} was {why}; this run would set cells of other inputs beside it: --results"
                " DIR writes elsewhere, or name its method and seed in this run too, with --replace"
            )


def version_note(setting: Setting, dataset: Dataset) -> str | None:
    """What to say of data that no hash pins and whose sizes are not those known; null otherwise."""
    if setting.dataset.sha256 != "unpinned" or not differs_from_card(dataset):
        return None
    return (
        f"dataset {dataset.name} is not pinned, and its files are of other sizes than those known"
        f" (another version?): {sizes_against_card(dataset)}"
    )
