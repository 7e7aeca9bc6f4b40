"""Writes verified records into a folder, each in a format of others."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from leaderboard.exchange.every_eval_ever import evaluation_log, log_path
from leaderboard.exchange.hub_results import hub_results, results_path
from leaderboard.metrics.metrics import MAIN_METRIC, parse_metric
from leaderboard.records.canonical import write_atomically
from leaderboard.records.cells import Cell

Format = Literal["every_eval_ever", "hf_eval_results"]
DATASET = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


class ExportError(ValueError):
    """What cannot be exported at all; the message says what is missing."""


@dataclass(frozen=True)
class Asked:
    """What the formats ask for beside the records.

    Args:
        form: the format.
        organization: who provides the data; of `every_eval_ever`.
        dataset: the benchmark's dataset on the Hub; of `hf_eval_results`.
        metric: whose value the Hub gets.
        moment: when this is done, in seconds since 1970.
    """

    form: Format
    organization: str | None
    dataset: str | None
    metric: str
    moment: int

    def __post_init__(self) -> None:
        """Refuses what the format cannot do without, and what it has no place for."""
        parse_metric(self.metric)
        hub = self.form == "hf_eval_results"
        if hub and (self.dataset is None or not DATASET.fullmatch(self.dataset)):
            raise ExportError(
                f"hf_eval_results asks for the id of a dataset on the Hub, found {self.dataset!r},"
                " and records name none: --dataset ORG/NAME"
            )
        if not hub and not (self.organization or "").strip():
            raise ExportError(
                "every_eval_ever asks who provides the data, which records do not say:"
                " --organization NAME"
            )
        named = {
            "--organization": hub and self.organization is not None,
            "--dataset": not hub and self.dataset is not None,
            "--metric": not hub and self.metric != MAIN_METRIC,
        }
        if needless := [option for option, given in named.items() if given]:
            raise ExportError(f"{self.form} has no place for {', '.join(needless)}: leave it out")


def check_empty(out: Path) -> None:
    """Refuses a folder that holds something: it would stay beside what is exported.

    Raises:
        ExportError: `out` is there, and no empty folder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} is not an empty folder; name another with --out, or remove it")


def export(
    cells: Sequence[Cell], failing: Collection[str], asked: Asked, out: Path
) -> tuple[list[Path], list[str]]:
    """Writes each of `cells` into the folder `out`; on the Hub references have no place.

    Args:
        cells: whose records are whole.
        failing: files in which `verify` just found errors: these records are left out.
        asked: the format, and what it needs.
        out: not there, or empty, so that nothing of an earlier export stays.

    Returns:
        the files, and a line for each record left out.

    Raises:
        ExportError: `out` is no empty folder.
    """
    check_empty(out)
    hub = asked.form == "hf_eval_results"
    written, left_out = [], []
    for cell in cells:
        if hub and cell.record.kind == "reference":
            continue
        if str(cell.path) in failing:
            left_out.append(f"left out: {cell.path}: `gti-bench verify` finds errors in it")
            continue
        if hub and cell.record.metrics["test"].get(asked.metric) is None:
            left_out.append(f"left out: {cell.path}: it has no test {asked.metric}")
            continue
        name, text = (_of_hub if hub else _of_every_eval_ever)(cell, asked)
        write_atomically(out / name, text.encode())
        written.append(out / name)
    return written, left_out


def _of_every_eval_ever(cell: Cell, asked: Asked) -> tuple[str, str]:
    """The name and the text of a log."""
    log = evaluation_log(cell, asked.organization or "", asked.moment)
    text = json.dumps(log, indent=2, ensure_ascii=False, allow_nan=False)
    return log_path(cell.record), f"{text}\n"


def _of_hub(cell: Cell, asked: Asked) -> tuple[str, str]:
    """The name and the text of a file of results."""
    results = hub_results(cell.record, asked.dataset or "", asked.metric)
    text: str = yaml.safe_dump(results, sort_keys=False, allow_unicode=True, width=1000)
    return results_path(cell.record), text
