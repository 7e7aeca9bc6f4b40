"""RQ-VAE: its loss against slow float64 references, planted structure, determinism."""

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gti.data.dataset import DataError
from gti.quantise.kmeans import residual_kmeans
from gti.quantise.report import report_of_codes
from gti.quantise.rq_vae import rq_vae
from gti.quantise.rq_vae_model import RqVae, diversity_loss, group_codes
from gti.train.training import TrainingError

FACTS = {"encoder": "made up"}


@dataclass(frozen=True)
class Values:
    """A small RQ-VAE's settings; a setting's file would give them."""

    hidden: tuple[int, ...] = (24, 16)
    code_dim: int = 8
    dropout: float = 0.1
    epochs: int = 60
    batch_size: int = 48
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    commitment: float = 0.25
    diversity: float = 1e-4
    diversity_groups: int = 3
    sinkhorn_epsilon: float = 0.003
    sinkhorn_iterations: int = 20


SMALL = Values()


def nested(copies: int = 6, branches: int = 6, dim: int = 16) -> np.ndarray:
    """`branches` clusters of `branches` clusters, `copies` items each, in a random rotation."""
    rng = np.random.default_rng(5)
    rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    coarse, fine = 6 * rotation[:branches], 2 * rotation[branches : 2 * branches]
    centres = (coarse[:, None] + fine[None]).reshape(-1, dim)
    points = np.repeat(centres, copies, axis=0)
    return (points + 0.05 * rng.standard_normal(points.shape)).astype(np.float32)


def untrained(levels: int = 2, codes: int = 6, **changes: object) -> tuple[RqVae, Values]:
    """A float64 model with random codebooks, and its settings; dropout off."""
    values = replace(SMALL, sinkhorn_epsilon=0.0, **changes)
    generator = torch.Generator().manual_seed(3)
    model = RqVae(16, levels, codes, values, generator).double().eval()
    with torch.no_grad():
        model.codebooks.normal_(generator=generator)
    return model, values


def test_planted_structure_is_reconstructed_with_all_codes_in_use() -> None:
    embeddings, values = nested(), replace(SMALL, dropout=0.0, learning_rate=1e-3)
    ids, report, curves = rq_vae(embeddings, 3, 6, values, 0, FACTS)
    shuffled = np.random.default_rng(0).permutation(ids.codes)
    chance = report_of_codes(replace(ids, codes=shuffled), embeddings).relative_error[-1]
    assert chance > 0.5
    assert report.relative_error[-1] < 0.15
    assert report.relative_error[0] > report.relative_error[1]
    assert min(report.used_codes) >= 5
    assert min(report.perplexity) > 4
    assert report.warnings == ()
    assert curves.reconstruction[-1] == pytest.approx(report.relative_error[-1], rel=1e-5)
    assert curves.collision_rate[-1] == pytest.approx(report.collision_rate_nearest)
    assert (curves.epochs[0], curves.epochs[-1]) == (0, SMALL.epochs)
    assert list(curves.epochs) == sorted(set(curves.epochs))
    assert report.seconds > 0


def test_loss_terms_are_those_of_a_slow_reference() -> None:
    model, values = untrained()
    batch = torch.randn(7, 16, generator=torch.Generator().manual_seed(1)).double()
    terms = model.losses(batch, values, None)
    latent = model.encoder(batch).detach().numpy()
    books = model.codebooks.detach().numpy()
    left, sums = [], []
    for vector in latent:
        residual, total, squares = vector.copy(), np.zeros(8), []
        for book in books:
            chosen = min(book, key=lambda code: float(((residual - code) ** 2).sum()))
            total, residual = total + chosen, residual - chosen
            squares.append((residual**2).mean())
        left.append(np.mean(squares))
        sums.append(total)
    decoded = model.decoder(torch.tensor(np.array(sums))).detach()
    assert float(terms.codebook.detach()) == pytest.approx(np.mean(left), rel=1e-12)
    assert float(terms.commitment.detach()) == pytest.approx(np.mean(left), rel=1e-12)
    expected = float(((decoded - batch) ** 2).mean())
    assert float(terms.reconstruction.detach()) == pytest.approx(expected, rel=1e-12)
    assert float(terms.diversity) == 0
    weighted = expected + (1 + values.commitment) * np.mean(left)
    assert float(terms.total(values).detach()) == pytest.approx(weighted, rel=1e-12)


def test_gradients_are_straight_through_once_and_split_as_published() -> None:
    model, values = untrained()
    batch = torch.randn(5, 16, generator=torch.Generator().manual_seed(2)).double()
    terms = model.losses(batch, values, None)
    parameters = list(model.encoder.parameters())

    def encoder_gradient(term: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True))

    latent = model.encoder(batch)
    codes, _ = model.nearest(batch)
    chosen = [book[codes[:, level]] for level, book in enumerate(model.codebooks.detach())]
    total = sum(chosen)

    # Reconstruction: the decoder's gradient at the codes' sum, handed to the encoder's output.
    point = total.clone().requires_grad_()
    at_codes = torch.autograd.grad((model.decoder(point) - batch).square().mean(), point)[0]
    expected = torch.autograd.grad((latent * at_codes).sum(), parameters, retain_graph=True)
    for found, wanted in zip(encoder_gradient(terms.reconstruction), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    book_gradient = torch.autograd.grad(
        terms.reconstruction, model.codebooks, retain_graph=True, allow_unused=True
    )
    assert book_gradient == (None,)

    # Commitment: each level pulls the encoder's output to the sum of its codes so far.
    partial, by_hand = torch.zeros_like(latent), torch.zeros(())
    for vectors in chosen:
        partial = partial + vectors
        by_hand = by_hand + (latent - partial).square().mean() / 2
    expected = torch.autograd.grad(by_hand, parameters, retain_graph=True)
    for found, wanted in zip(encoder_gradient(terms.commitment), expected, strict=True):
        torch.testing.assert_close(found, wanted)

    # Codebook: only the chosen codes move, by 2 (e - r) / (items x dimensions x levels).
    assert encoder_gradient(terms.codebook) == [None] * len(parameters)
    found = torch.autograd.grad(terms.codebook, model.codebooks, retain_graph=True)[0]
    wanted, residual = torch.zeros_like(found), latent.detach()
    for level, vectors in enumerate(chosen):
        for item in range(5):
            push = 2 * (vectors[item] - residual[item]) / (5 * 8 * 2)
            wanted[level, codes[item, level]] += push
        residual = residual - vectors
    torch.testing.assert_close(found, wanted)


def test_codes_and_terms_agree_with_vector_quantize_pytorch() -> None:
    library = pytest.importorskip("vector_quantize_pytorch")
    model, values = untrained(levels=3)
    oracle = library.ResidualVQ(dim=8, num_quantizers=3, codebook_size=6, commitment_weight=1.0)
    for layer, book in zip(oracle.layers, model.codebooks, strict=True):
        layer._codebook.embed.data.copy_(book[None])
    batch = torch.randn(1, 40, 16, generator=torch.Generator().manual_seed(4)).double()
    latent = model.encoder(batch).detach().float()
    oracle.eval()
    _, indices, _ = oracle(latent)
    codes, _ = model.nearest(batch[0])
    assert torch.equal(indices[0], codes)
    oracle.train()
    _, _, commitment = oracle(latent, freeze_codebook=True)
    found = float(model.losses(batch[0], values, None).commitment.detach())
    assert found == pytest.approx(float(commitment.detach().mean()), rel=1e-5)


def test_dropout_stands_before_every_linear_layer_and_relu_between_them() -> None:
    model, _ = untrained()
    kinds = [type(layer).__name__ for layer in model.encoder]
    assert kinds == ["Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    widths = [layer.out_features for layer in model.decoder if isinstance(layer, torch.nn.Linear)]
    assert widths == [16, 24, 16]


def test_codebooks_start_from_faiss_centroids_of_the_encoders_outputs() -> None:
    model, _ = untrained(levels=3, codes=6)
    model.float()
    items = torch.from_numpy(nested())
    model.start_codebooks(items, seed=9)
    latent = model.encoder(items).detach().numpy()
    ids, _ = residual_kmeans(latent, 3, 6, 9, FACTS)
    expected = ids.codebooks.astype(np.float32)
    np.testing.assert_allclose(model.codebooks.detach(), expected, rtol=1e-3, atol=1e-3)
    # Lloyd's fixed point, whatever found it: each centroid is the mean of its items.
    codes, _ = model.nearest(items)
    for code in range(6):
        mean = latent[codes[:, 0].numpy() == code].mean(axis=0)
        np.testing.assert_allclose(model.codebooks[0, code].detach(), mean, atol=1e-4)


def test_diversity_term_of_a_hand_computed_case() -> None:
    codebook = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).double()
    groups, counts = torch.tensor([0, 0, 1, 1]), torch.tensor([3.0, 0.0, 1.0, 0.0])
    # Code 0 (3 items): inner products 2, 0, 0 with codes 1, 2, 3; its group has code 1.
    # Code 2 (1 item): inner products 0, 0, 0 with codes 0, 1, 3; its group has code 3.
    first = -np.log(np.exp(2) / (np.exp(2) + 2))
    expected = (3 * first + np.log(3)) / 4
    assert float(diversity_loss(codebook, counts, groups)) == pytest.approx(expected, rel=1e-7)


def test_diversity_term_is_the_mean_of_letters_draws() -> None:
    rng = np.random.default_rng(0)
    codebook, groups = rng.standard_normal((9, 4)), np.arange(9) % 3
    items = rng.integers(9, size=20)
    counts = torch.from_numpy(np.bincount(items, minlength=9)).float()
    found = float(diversity_loss(torch.from_numpy(codebook), counts, torch.from_numpy(groups)))
    draw, sums = random.Random(1), 0.0
    for _ in range(2000):
        for code in items:
            mate = draw.choice([c for c in range(9) if groups[c] == groups[code] and c != code])
            scores = np.exp(codebook @ codebook[code])
            sums -= np.log(scores[mate] / (scores.sum() - scores[code]))
    assert found == pytest.approx(sums / 2000 / 20, rel=0.01)


def test_diversity_term_reaches_the_codebooks_through_the_whole_loss() -> None:
    model, values = untrained(diversity=0.5)
    batch = torch.randn(30, 16, generator=torch.Generator().manual_seed(1)).double()
    groups = torch.arange(6).remainder(3).expand(2, 6)
    terms = model.losses(batch, values, groups)
    codes, _ = model.nearest(batch)
    by_hand = np.mean(
        [
            float(diversity_loss(book, torch.bincount(codes[:, level], minlength=6), groups[0]))
            for level, book in enumerate(model.codebooks.detach())
        ]
    )
    assert float(terms.diversity.detach()) == pytest.approx(by_hand, rel=1e-12)
    without = model.losses(batch, values, None).total(values)
    assert float((terms.total(values) - without).detach()) == pytest.approx(0.5 * by_hand, rel=1e-9)


def test_groups_are_balanced_and_follow_the_clusters() -> None:
    rng = np.random.default_rng(2)
    labels = rng.permutation(np.repeat(np.arange(4), 4))
    points = (10 * np.eye(5)[labels] + 0.1 * rng.standard_normal((16, 5))).astype(np.float32)
    groups = group_codes(points, 4, seed=0)
    assert len(set(zip(groups.tolist(), labels.tolist(), strict=True))) == 4
    assert np.array_equal(group_codes(points, 4, seed=0, before=groups), groups)
    sizes = np.bincount(group_codes(rng.standard_normal((17, 5)).astype("f4"), 5, seed=0))
    assert sorted(sizes.tolist()) == [3, 3, 3, 4, 4]


@settings(max_examples=15, deadline=None)
@given(
    items=st.integers(2, 40),
    levels=st.integers(1, 3),
    codes=st.integers(4, 8),
    grid=st.integers(1, 4),
    epsilon=st.sampled_from([0.0, 0.01]),
)
def test_items_are_unique_wherever_their_group_leaves_room(items, levels, codes, grid, epsilon):
    rng = np.random.default_rng(items)
    # Points on a coarse grid: many are equal, so that nearest codes collide a lot.
    embeddings = rng.integers(0, grid, size=(items, 3)).astype(np.float32)
    values = replace(
        SMALL, hidden=(4,), code_dim=2, epochs=2, diversity_groups=2, sinkhorn_epsilon=epsilon
    )
    if items > codes**levels:
        with pytest.raises(DataError, match=f"{items} items do not fit {codes}\\^{levels}"):
            rq_vae(embeddings, levels, codes, values, 0, FACTS)
        return
    ids, report, _ = rq_vae(embeddings, levels, codes, values, 0, FACTS)
    groups: dict[tuple[int, ...], list[int]] = {}
    for *prefix, last in ids.codes.tolist():
        groups.setdefault(tuple(prefix), []).append(last)
    for members in groups.values():
        assert len(set(members)) == min(len(members), codes)
    assert report.items_over_capacity == sum(max(len(g) - codes, 0) for g in groups.values())
    assert report.collision_rate <= report.collision_rate_nearest
    assert (report.collision_rate_balanced is None) == (epsilon == 0)
    assert np.isfinite(ids.codebooks).all()


def test_one_seed_gives_one_artefact_and_no_other_stream_moves() -> None:
    values, before = replace(SMALL, epochs=3), torch.get_rng_state()
    first = rq_vae(nested(1), 2, 8, values, 4, FACTS)[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert rq_vae(nested(1), 2, 8, values, 4, FACTS)[0].sha256 == first.sha256
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert rq_vae(nested(1), 2, 8, values, 5, FACTS)[0].sha256 != first.sha256
    torch.set_rng_state(before)


def test_description_holds_every_field_of_the_settings() -> None:
    ids, _, _ = rq_vae(nested(1), 2, 8, replace(SMALL, epochs=1), 4, FACTS)
    assert ids.description["encoder"] == "made up"
    for name, value in vars(replace(SMALL, epochs=1)).items():
        assert ids.description[name] == str(value)
    assert ids.codebooks.shape == (2, 8, 8)
    with pytest.raises(ValueError, match="must leave dropout to the quantiser"):
        rq_vae(nested(1), 2, 8, SMALL, 4, {"dropout": "0"})


def test_whole_batches_take_all_items_in_each_step() -> None:
    embeddings, values = nested(1), replace(SMALL, epochs=2, dropout=0.0)
    whole = rq_vae(embeddings, 2, 8, replace(values, batch_size=0), 0, FACTS)[0]
    larger = rq_vae(embeddings, 2, 8, replace(values, batch_size=36), 0, FACTS)[0]
    assert np.array_equal(whole.codebooks, larger.codebooks)


def test_collapsed_levels_are_warned_of() -> None:
    embeddings = np.ones((5, 4), dtype=np.float32)
    values = replace(SMALL, code_dim=4, epochs=1)
    _, report, _ = rq_vae(embeddings, 2, 32, values, 0, FACTS)
    assert report.warnings == (
        "level 0 collapsed: items are nearest to 1 of its 32 codes",
        "level 1 collapsed: items are nearest to 1 of its 32 codes",
    )
    assert report.collision_rate_balanced == pytest.approx(4 / 5)
    assert report.collision_rate == 0


def test_progress_is_told_at_the_points_of_the_curves() -> None:
    seen: list[tuple[int, int]] = []
    values = replace(SMALL, epochs=4, batch_size=0)
    _, _, curves = rq_vae(
        nested(1), 2, 8, values, 0, FACTS, progress=lambda done, of, loss: seen.append((done, of))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert curves.as_json()["epochs"] == (0, 1, 2, 3, 4)
    assert all(len(values) == 5 for values in curves.as_json().values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": (8, 0)}, r"hidden must be widths of at least 1, found \(8, 0\)"),
        ({"code_dim": 17}, "code_dim must be 1 to the embeddings' 16, found 17"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, found 1.0"),
        ({"epochs": 0}, "epochs must be at least 1, found 0"),
        ({"batch_size": -1}, "batch_size must be items per step"),
        ({"diversity_groups": 5}, "diversity_groups must be 1 to 4, .* two of the 8 codes"),
        ({"sinkhorn_epsilon": 0.001}, r"sinkhorn_epsilon must be 0 \(off\) or at least 0.003"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, message) -> None:
    with pytest.raises(ValueError, match=message):
        rq_vae(nested(1), 2, 8, replace(SMALL, **change), 0, FACTS)


def test_unusable_embeddings_are_refused() -> None:
    bad = nested(1)
    bad[7, 3] = np.nan
    with pytest.raises(DataError, match=r"1 embeddings hold NaN .* that of item 7"):
        rq_vae(bad, 2, 8, SMALL, 0, FACTS)
    with pytest.raises(DataError, match=r"72 items do not fit 8\^2 = 64 Semantic IDs"):
        rq_vae(nested(2), 2, 8, SMALL, 0, FACTS)


def test_diverging_training_names_the_epoch_and_the_rate() -> None:
    with pytest.raises(TrainingError, match=r"after epoch \d+ of 60; lower its learning_rate"):
        rq_vae(nested(1), 2, 8, replace(SMALL, learning_rate=1e30), 0, FACTS)


def test_report_of_published_codes_is_hand_computed() -> None:
    ids, _ = residual_kmeans(nested(1), 2, 8, 0, FACTS)
    ids = replace(ids, codes=np.array([[0, 1], [0, 0], [2, 0]]), num_codes=8, codebooks=None)
    embeddings = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 6.0]], dtype=np.float32)
    report = report_of_codes(ids, embeddings)
    # Mean (2, 2): spread 5 + 5 + 16. Level 0 leaves -1, 1, 0; level 1 takes 1, 0 → 0.5 off.
    assert report.relative_error == pytest.approx((2 / 26, 0.5 / 26))
    assert (report.collision_rate, report.used_codes) == (0.0, (2, 2))
    assert report.perplexity[0] == pytest.approx(np.exp(-(2 / 3 * np.log(2 / 3) - np.log(3) / 3)))
    assert report.collision_rate_nearest is report.items_moved is report.seconds is None
    with pytest.raises(DataError, match="3 items have codes but 2 have embeddings"):
        report_of_codes(ids, embeddings[:2])
