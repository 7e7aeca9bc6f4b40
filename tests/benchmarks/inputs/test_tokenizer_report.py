"""Tokenizers compared: what is trained is kept with its report, and errors are of one scale."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inputs.catalogue import find_setting
from benchmarks.inputs.inputs import load_checked_dataset
from benchmarks.inputs.semantic_ids import item_embeddings
from benchmarks.inputs.tokenizer_report import (
    kept_report,
    of_all_variance,
    report_table,
    say_curves,
    tokenizer_file,
    train_rq_vae,
    variance_kept,
)
from benchmarks.machine.places import SEMANTIC_IDS
from gti.data.semantic_ids import SemanticIds
from gti.quantise.kmeans import principal_components, residual_kmeans
from gti.quantise.report import QuantiserReport, perplexity, report_of_codes
from leaderboard.records.specs import RqVaeSpec, SemanticIdsSpec
from leaderboard.render.numbers import duration

RQ_VAE = RqVaeSpec(
    hidden=(8,),
    code_dim=4,
    dropout=0.1,
    epochs=2,
    batch_size=0,
    learning_rate=1e-3,
    weight_decay=0.0,
    commitment=0.25,
    diversity=1e-4,
    diversity_groups=2,
    sinkhorn_epsilon=0.003,
    sinkhorn_iterations=10,
)
SPEC = SemanticIdsSpec(
    quantiser="rq_vae",
    encoder="made up",
    pca_dim=0,
    levels=2,
    codes=8,
    seed=0,
    sha256="0" * 64,
    rq_vae=RQ_VAE,
)

DOCS = Path(__file__).parents[3] / "docs"


def embeddings(items: int = 40, dim: int = 12) -> np.ndarray:
    scales = np.linspace(1, 4, dim)
    return (np.random.default_rng(0).normal(size=(items, dim)) * scales).astype(np.float32)


def test_what_is_trained_is_kept_with_its_report_and_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GTI_BENCH_CACHE", str(tmp_path))
    ids, report = train_rq_vae(embeddings(), SPEC, RQ_VAE, 0, {"encoder": "made up"})
    stored = SemanticIds.from_file(tmp_path / "semantic_ids" / f"{ids.sha256}.npz")
    assert stored.sha256 == ids.sha256
    assert kept_report(ids) == report
    said: list[str] = []
    say_curves(ids, said.append)
    assert len(said) == 1
    assert f"{ids.sha256}-tokenizer-curves.svg" in said[0]
    assert (tmp_path / "semantic_ids" / f"{ids.sha256}-tokenizer-curves.png").is_file()


def test_nothing_is_told_of_what_was_not_trained_here_or_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GTI_BENCH_CACHE", str(tmp_path))
    ids, _ = residual_kmeans(embeddings(), 2, 8, 0, {})
    assert kept_report(ids) is None
    said: list[str] = []
    say_curves(ids, said.append)
    assert said == []
    tokenizer_file(ids).parent.mkdir(parents=True)
    for damaged in ("", "{}", '{"report": {"seconds": 1}}', '{"report": 3}'):
        tokenizer_file(ids).write_text(damaged)
        assert kept_report(ids) is None


def test_errors_on_principal_components_are_put_on_the_scale_of_the_embeddings() -> None:
    whole = embeddings()
    reduced = principal_components(whole, 5)
    ids, report = residual_kmeans(reduced, 2, 8, 0, {})
    told = of_all_variance(report, variance_kept(whole, reduced))
    # The same by hand: what the codes give, turned back into the space of the embeddings.
    centred = whole - whole.mean(axis=0)
    back = np.linalg.lstsq(reduced.astype(float), centred.astype(float), rcond=None)[0]
    sums = sum(
        book.astype(float)[codes] for book, codes in zip(ids.codebooks, ids.codes.T, strict=True)
    )
    error = np.square(centred - sums @ back).sum() / np.square(centred).sum()
    assert told.relative_error_final == pytest.approx(error, rel=1e-3)
    assert variance_kept(np.ones((3, 2), "f4"), np.ones((3, 1), "f4")) == 1.0


def test_table_holds_a_row_per_tokenizer_and_a_dash_for_what_is_not_known() -> None:
    ids, report = residual_kmeans(embeddings(), 2, 8, 0, {})
    balanced = replace(report, collision_rate_balanced=0.025)
    published = report_of_codes(ids, embeddings())
    lines = report_table({"RQ-VAE": balanced, "published": published})
    assert len(lines) == 4
    assert " → 2.50% → " in lines[2]
    assert "8/8" in lines[2]
    assert lines[3].split()[-2:] == ["–", "–"]


def documented(report: QuantiserReport) -> list[str]:
    """A report as the table in docs/tokenizers.md words it, but for the time."""
    rates = (
        report.collision_rate_nearest,
        report.collision_rate_balanced,
        report.collision_rate,
    )
    return [
        " ".join(f"{error:.3f}".removeprefix("0") for error in report.relative_error),
        " / ".join(map(str, report.used_codes)),
        " ".join(f"{value:.1f}" for value in report.perplexity),
        " → ".join(f"{100 * rate:.2f} %" if rate else "0" for rate in rates if rate is not None),
    ]


def table_in_docs() -> dict[str, list[str]]:
    """Tokenizer → the other cells, as docs/tokenizers.md has them."""
    text = (DOCS / "tokenizers.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {name: cells for name, *cells in lines}


def test_the_page_says_of_the_rq_vae_what_its_kept_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GTI_BENCH_CACHE", str(tmp_path))
    ids = SemanticIds.from_file(SEMANTIC_IDS / "ml-100k-rq_vae-3x64-seed0.npz")
    kept = DOCS / "figures" / "rq-vae-ml-100k.json"
    tokenizer_file(ids).parent.mkdir()
    tokenizer_file(ids).write_bytes(kept.read_bytes())
    report = kept_report(ids)
    assert report is not None
    # The file is of the Semantic IDs in git.
    assert report.used_codes == ids.used_per_level
    assert report.perplexity == pytest.approx([perplexity(column) for column in ids.codes.T])
    row = table_in_docs()["RQ-VAE, 500 epochs (`ml-100k-nano-rqvae`)"]
    assert row == [*documented(report), duration(report.seconds)]
    curves = json.loads(kept.read_text(encoding="utf-8"))["curves"]
    text = " ".join((DOCS / "tokenizers.md").read_text(encoding="utf-8").split())
    at = {epoch: curves["perplexity"][place] for place, epoch in enumerate(curves["epochs"])}
    assert f"from a perplexity of {at[0][0]:.1f} to {at[1][0]:.1f} of 64" in text
    assert "After 30 of the 500 epochs {:.1f}, {:.1f} and {:.1f} were".format(*at[30]) in text


@pytest.mark.slow
def test_the_page_says_of_residual_k_means_what_it_gives(
    movielens_folder: Path, asset_in_cache: Callable[[str], Path]
) -> None:
    asset_in_cache("all-MiniLM-L6-v2")
    setting = find_setting("ml-100k-nano").setting
    dataset = load_checked_dataset(setting, offline=True)
    encoded, reduced = item_embeddings(setting, dataset, offline=True)
    table = table_in_docs()
    for name, vectors in (
        ("residual k-means", encoded),
        ("residual k-means on 32 principal components (`ml-100k-nano`)", reduced),
    ):
        _, report = residual_kmeans(vectors, 3, 64, 0, {})
        told = of_all_variance(report, variance_kept(encoded, vectors))
        assert table[name][:-1] == documented(told)
