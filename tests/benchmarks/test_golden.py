"""The golden cell: a tiny CPU setting whose figures are committed; none moves unseen.

`tests/golden/expected.json` holds, per method of `tests/golden/golden.toml`:

- `counts`: what follows from the protocol alone (users, ranks of the references, tasks, steps,
  nominal FLOPs). Equal everywhere.
- `figures`: what floating-point sums move (hashes of ranks and rows, metrics, losses), by
  environment: instruction set, maker of the processor, torch, transformers. Equal to the last bit
  in an environment that is listed; elsewhere numbers are held to the first listed one within
  `TOLERANCES` and hashes are not compared.

After a change that is meant to move a number, write the file anew with

    GTI_BENCH_WRITE_GOLDEN=1 python -m pytest tests/benchmarks/test_golden.py

which keeps other environments' figures only where the counts stayed as they were, and say what
moved in CHANGELOG.md under "Numbers changed".
"""

import json
import math
import os
from pathlib import Path

import pytest
from tabulate import tabulate

from leaderboard.metrics.metrics import is_loss
from leaderboard.records.ranks import read_ranks
from leaderboard.records.record import ranks_path, read_record
from leaderboard.statistics.agreement import ranks_sha256

FOLDER = Path(__file__).resolve().parent.parent / "golden"
EXPECTED = FOLDER / "expected.json"
METHODS = ("gti", "lc_rec", "popularity", "markov")

TOLERANCES = {"loss": (1e-4, 0.0), "norm": (1e-5, 0.0), "": (0.0, 0.07)}
"""First word of a figure's name → relative and absolute tolerance in another environment; the rest
are metrics. Seen between AVX-512, AVX2 and no vector instructions: losses 3e-7 apart, relatively,
every rank the same. One of the 32 users is worth .031 of a metric at most: two may move."""

WHAT_TO_DO = (
    "A number of the golden cell moved. If that was meant: raise PROTOCOL_VERSION (split, prompts,"
    ' beam, metrics) or the method\'s version, say it in CHANGELOG.md under "Numbers changed", and'
    " run GTI_BENCH_WRITE_GOLDEN=1 python -m pytest tests/benchmarks/test_golden.py."
)


def content_of(path):
    """(environment, counts, figures) of the record at `path`."""
    record = read_record(path)
    ranks = ranks_sha256(read_ranks(ranks_path(path)))
    counts = {
        "protocol": record.protocol,
        "method version": record.method.version,
        "users": dict(record.num_users),
        "tasks": record.tasks,
        "steps": {stage: cost.steps for stage, cost in record.cost.items() if cost.steps},
        "nominal FLOPs": {
            stage: cost.nominal_flops for stage, cost in record.cost.items() if cost.steps
        },
    }
    metrics = {
        f"loss {part} {name}" if is_loss(name) else f"{part} {name}": value
        for part, values in record.metrics.items()
        for name, value in values.items()
    }
    if record.kind == "reference":
        return None, {**counts, "ranks": ranks, **metrics}, {}
    figures = {"ranks sha256": ranks, "rows sha256 init": record.manifest.new_rows_sha256_after}
    for proof in record.proofs:
        figures[f"rows sha256 {proof.stage}"] = proof.new_rows_sha256
        figures[f"text rows sha256 {proof.stage}"] = proof.text_rows_sha256
    figures["norm of the first rows"] = record.manifest.norm_mean
    for stage, cost in record.cost.items():
        if cost.steps:
            figures[f"loss of {stage}, first"] = cost.first_loss
            figures[f"loss of {stage}, last"] = cost.last_loss
    for point in record.learning_curve:
        figures[f"curve {point.step} ndcg@10"] = point.metrics["ndcg@10"]
        figures[f"loss curve {point.step} trie_nll"] = point.metrics["trie_nll"]
    for row in record.treatment.pairs if record.treatment else ():
        for name in ("true", "permuted", "shown"):
            figures[f"loss {row.direction} {row.share} {name}"] = getattr(row, name)
    for name, found in record.treatment.found.items() if record.treatment else ():
        figures[f"found {name}"] = found.recall
    figures["loss plain English before"] = record.retention.before
    figures["loss plain English after"] = record.retention.after
    environment = record.environment
    key = (
        f"{environment.instruction_set}, {environment.processor.split()[0]},"
        f" torch {environment.packages['torch']},"
        f" transformers {environment.packages['transformers']}"
    )
    return key, counts, figures | metrics


def moved(expected, found, exact):
    """(name, committed, found) of each figure that is not as committed."""
    rows = []
    for name in dict.fromkeys([*expected, *found]):
        old, new = expected.get(name), found.get(name)
        if not (old == new if exact else close(name, old, new)):
            rows.append((name, old, new))
    return rows


def is_count(value):
    return isinstance(value, dict | int)


def close(name, old, new):
    """Near enough for other arithmetic; hashes say nothing there."""
    if "sha256" in name:
        return (old is None) == (new is None)
    if old is None or new is None:
        return old is new
    if isinstance(old, dict | str):
        return bool(old == new)
    relative, absolute = TOLERANCES.get(name.split()[0], TOLERANCES[""])
    return math.isclose(old, new, rel_tol=relative, abs_tol=absolute)


def explain(rows, how):
    """What a failing run prints."""
    if not any(is_count(old) or not close(name, old, new) for _, name, old, new in rows):
        how += (
            ", and all are within the tolerances for other arithmetic: if nothing but the processor"
            " changed, it sums in another order, and its figures want a key of their own"
        )
    table = tabulate(rows, ["method", "figure", "committed", "found"], disable_numparse=True)
    return f"\n{table}\n\nCompared {how}.\n{WHAT_TO_DO}"


def compare(expected, contents):
    """Rows of all that moved, and how it was compared."""
    rows, how = [], "with counts alone"
    for method, (key, counts, figures) in contents.items():
        committed = expected.get(method, {"counts": {}, "figures": {}})
        rows += [(method, *row) for row in moved(committed["counts"], counts, exact=True)]
        if key is None:
            continue
        known = committed["figures"]
        exact = key in known
        reference = key if exact else next(iter(known), None)
        if reference is None:
            rows.append((method, "(all)", "nothing", "figures"))
            continue
        how = f"bit for bit in {key}" if exact else f"{key} with {reference}, within tolerances"
        rows += [(method, *row) for row in moved(known[reference], figures, exact)]
    return rows, how


def updated(expected, contents):
    """`expected` with `contents` written in."""
    result = {}
    for method, (key, counts, figures) in contents.items():
        old = expected.get(method, {"counts": None, "figures": {}})
        kept = old["figures"] if old["counts"] == counts else {}
        result[method] = {
            "counts": counts,
            "figures": kept if key is None else {**kept, key: figures},
        }
    return result


@pytest.fixture(scope="module")
def contents(tmp_path_factory, gti_bench):
    """What the golden cells left here."""
    results = tmp_path_factory.mktemp("golden") / "results"
    done = gti_bench(
        "run", "golden.toml", "--methods", "gti,lc_rec", "--workers", "2", "--results", results,
        "--device", "cpu", "--offline", cwd=FOLDER,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: content_of(results / "golden" / name / "seed-0.json") for name in METHODS}


def test_no_number_of_the_golden_cell_moved(contents):
    expected = json.loads(EXPECTED.read_text(encoding="utf-8")) if EXPECTED.exists() else {}
    if os.environ.get("GTI_BENCH_WRITE_GOLDEN") == "1":
        text = json.dumps(updated(expected, contents), indent=1, sort_keys=False)
        EXPECTED.write_text(text + "\n", encoding="utf-8")
        pytest.skip(f"wrote {EXPECTED.name} anew; read the difference before you commit it")
    rows, how = compare(expected, contents)
    assert not rows, explain(rows, how)


KEY, OTHER = "AVX512, torch 1", "AVX2, torch 1"


def cell(**changes):
    """(key, counts, figures) of a made-up cell."""
    figures = {"rows sha256 init": "aa", "loss of sft, last": 2.0, "test ndcg@10": 0.25}
    return KEY, {"users": 3}, {**figures, **changes}


def committed(**changes):
    return {"gti": {"counts": {"users": 3}, "figures": {KEY: cell(**changes)[2]}}}


def test_a_moved_number_is_named_with_both_values_and_what_to_do():
    rows, how = compare(committed(), {"gti": cell(**{"test ndcg@10": 0.24})})
    assert rows == [("gti", "test ndcg@10", 0.25, 0.24)]
    assert "bit for bit" in how
    text = explain(rows, how)
    assert "0.25" in text
    assert "0.24" in text
    assert "Numbers changed" in text
    assert "GTI_BENCH_WRITE_GOLDEN=1" in text


def test_other_arithmetic_may_move_hashes_and_last_digits_but_no_more():
    _, counts, figures = cell(**{"rows sha256 init": "bb", "loss of sft, last": 2.0001})
    assert compare(committed(), {"gti": (OTHER, counts, figures)})[0] == []
    figures["loss of sft, last"] = 2.001
    rows, how = compare(committed(), {"gti": (OTHER, counts, figures)})
    assert [row[1] for row in rows] == ["loss of sft, last"]
    assert "within tolerances" in how
    assert compare(committed(), {"gti": (OTHER, {"users": 4}, figures)})[0][0][1] == "users"


def test_a_new_processor_is_told_from_a_moved_number():
    moved_rows, how = compare(committed(), {"gti": cell(**{"rows sha256 init": "bb"})})
    assert "sums in another order" in explain(moved_rows, how)


def test_writing_keeps_other_environments_only_while_the_counts_stand():
    _, counts, figures = cell()
    both = updated(committed(), {"gti": (OTHER, counts, figures)})
    assert set(both["gti"]["figures"]) == {KEY, OTHER}
    fresh = updated(both, {"gti": (OTHER, {"users": 4}, figures)})
    assert set(fresh["gti"]["figures"]) == {OTHER}
