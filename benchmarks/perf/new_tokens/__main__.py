"""`python -m benchmarks.perf.new_tokens`: one task, three programs, what each costs and gives.

A film's title and a token of its own, 200 times: tokens added, their rows learnt from the pairs in
both directions with the rest frozen, the model saved. Each program runs in a process of its own, on
one thread and in float32, with the same passes, batches and rate. What it saved is then read with
transformers alone. `--page docs/add_tokens.md` puts the table between that page's markers.
"""

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor

from benchmarks.perf.page import fill, measured_where

WAYS = Path(__file__).parent / "ways"
PROGRAMS = {
    "`ground_tokens`": ("with_gti.py",),
    "PEFT's TrainableTokens, Trainer": ("with_peft.py", "by_trainer.py"),
    "Trainer, gradient masked": ("with_mask.py", "by_trainer.py"),
}
"""What a program uses → its file, then those that it takes from."""


class ProgramError(RuntimeError):
    """A program that failed; the message is the last line that it said."""


@dataclass(frozen=True)
class Outcome:
    """What one program cost and gave.

    Attributes:
        way: what it uses.
        lines: of code, without comments, docstrings and empty lines.
        seconds: of the processor, from the process's start to its end.
        peak: bytes of the process at most.
        text_rows: rows of the vocabulary that are not what they were.
        weights: other weights that are not what they were.
        nll: nats of the right token behind its title, mean over the pairs.
        found: share of the titles behind which it is the likeliest of the new tokens.
    """

    way: str
    lines: int
    seconds: float
    peak: int
    text_rows: int
    weights: int
    nll: float
    found: float


def lines_of_code(source: str) -> int:
    """Lines of `source` that hold code: docstrings, comments and empty lines left out."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node) is not None:
            said = node.body[0]
            documented |= set(range(said.lineno, (said.end_lineno or said.lineno) + 1))
    return sum(
        number not in documented and line.strip()[:1] not in ("", "#")
        for number, line in enumerate(source.splitlines(), 1)
    )


def run(way: str, model: str, pairs: Path, out: Path) -> Outcome:
    """Runs the program of `way`, and reads what it saved.

    Raises:
        ProgramError: it failed.
    """
    program, *others = PROGRAMS[way]
    lines = sum(lines_of_code((WAYS / name).read_text("utf-8")) for name in (program, *others))
    command = [sys.executable, str(WAYS / program), model, str(pairs), str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise ProgramError(f"{program}: {errors.read().strip().splitlines()[-1]}")
    return Outcome(
        way,
        lines,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        *_moved(model, out),
        *_learnt(out, json.loads(pairs.read_text("utf-8"))),
    )


def _moved(before: str, after: Path) -> tuple[int, int]:
    """Rows of the vocabulary, and other weights, that differ between two folders."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words = len(AutoTokenizer.from_pretrained(before))
    old: Any
    new: Any
    old, new = (
        AutoModelForCausalLM.from_pretrained(folder, dtype="float32") for folder in (before, after)
    )
    matrix, grown = (model.get_input_embeddings().weight for model in (old, new))
    rows = int((matrix[:words] != grown[:words]).any(dim=1).sum())
    others, theirs = dict(old.named_parameters()), dict(new.named_parameters())
    names = [name for name, weight in others.items() if weight is not matrix]
    return rows, sum(not torch.equal(others[name], theirs[name]) for name in names)


@torch.no_grad()
def _learnt(folder: Path, pairs: list[tuple[str, str]]) -> tuple[float, float]:
    """Mean nats of the tokens behind their titles; share of those that beat all other new ones."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    new_ids = torch.tensor(tokenizer.convert_tokens_to_ids([token for token, _ in pairs]))
    logits: list[Tensor] = []
    for _, text in pairs:
        asked = tokenizer(f"Title: {text}\nItem:", add_special_tokens=False)["input_ids"]
        ids: Any = torch.tensor([[tokenizer.bos_token_id, *asked]])
        logits.append(model(input_ids=ids).logits[0, -1].double())
    every = torch.stack(logits)
    right = torch.arange(len(pairs))
    nll = every.logsumexp(dim=1) - every[right, new_ids]
    found = every[:, new_ids].argmax(dim=1) == right
    return float(nll.mean()), float(found.double().mean())


def films(count: int) -> list[tuple[str, str]]:
    """A token and the title of each of the first films of MovieLens-100K."""
    from benchmarks.inputs.catalogue import find_setting
    from benchmarks.inputs.inputs import load_inputs

    texts = load_inputs(find_setting("ml-100k-nano").setting, 0).dataset.texts[:count]
    return [(f"<film_{number}>", text["title"]) for number, text in enumerate(texts)]


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a table of Markdown."""
    headers = (
        "", "lines", "processor s", "peak MiB", "text rows moved", "other weights moved",
        "nats of the right token", "found first",
    )  # fmt: skip
    rows = [
        (
            each.way,
            each.lines,
            f"{each.seconds:.0f}",
            f"{each.peak / 2**20:,.0f}",
            each.text_rows,
            each.weights,
            f"{each.nll:.2f}",
            f"{each.found:.2f}",
        )
        for each in outcomes
    ]
    right = ("left", *["right"] * (len(headers) - 1))
    return tabulate(rows, headers, tablefmt="github", colalign=right, disable_numparse=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.perf.new_tokens")
    parser.add_argument("--model", default="benchmarks/nano", help="a folder, or a name on the hub")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--page", type=Path, help="the page whose marked section is replaced")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        pairs = Path(scratch) / "pairs.json"
        pairs.write_text(json.dumps(films(asked.pairs)), encoding="utf-8")
        outcomes = [
            run(way, asked.model, pairs, Path(scratch) / str(number))
            for number, way in enumerate(PROGRAMS)
        ]
    text = table(outcomes)
    print(text)
    if asked.page is not None:
        page = asked.page.read_text(encoding="utf-8")
        body = f"{text}\n\n{measured_where()}"
        asked.page.write_text(fill(page, "peers", body), encoding="utf-8")


if __name__ == "__main__":
    main()
