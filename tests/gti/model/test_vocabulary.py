"""Rows by token id: grown, never shrunk, padding told apart, and every claim of the manifest."""

import hashlib

import numpy as np
import pytest
import torch

from gti.model.vocabulary import VocabularyError, extend_vocabulary, read_rows, write_rows
from gti.train.proof import StageWatch, manifest
from gti.train.training import StageReport


@pytest.mark.parametrize("kind", ["tied", "untied", "qwen3"])
def test_text_rows_survive_growth_bit_for_bit(make_bench, make_tokenizer, kind):
    bench = make_bench(kind)
    fields = manifest(bench.model, bench.vocabulary, "test")
    assert fields["text_rows_sha256_before"] == fields["text_rows_sha256_after"]
    assert fields["num_text_rows"] == len(make_tokenizer())
    assert fields["num_rows"] == bench.sids.num_tokens
    assert fields["tied"] == (kind != "untied")


def test_the_matrix_never_shrinks_and_new_tokens_may_land_on_padding(make_bench):
    bench = make_bench("qwen3", pad=60)
    text = len(bench.vocabulary.text_ids)
    assert bench.vocabulary.rows_before == bench.vocabulary.matrix_rows == text + 60
    assert bench.vocabulary.new_ids.tolist() == list(range(text, text + 24))
    assert bench.vocabulary.padding_rows == 36
    assert bench.vocabulary.new_sha256_before is not None


def test_a_partly_padded_vocabulary_grows_by_what_is_missing(make_bench):
    bench = make_bench("tied", pad=10)
    assert bench.vocabulary.matrix_rows == bench.vocabulary.rows_before + 14
    assert bench.vocabulary.padding_rows == 0
    assert bench.vocabulary.new_sha256_before is None
    assert bench.head.shape == bench.embedding.shape


def test_padding_rows_do_not_enter_the_mean_of_text_rows(make_bench):
    bench = make_bench("qwen3", pad=60)
    with torch.no_grad():
        bench.embedding[bench.vocabulary.matrix_rows - 1] = 1e6
    rows = read_rows(bench.embedding, bench.vocabulary.text_ids)
    expected = bench.embedding.detach().numpy()[: len(bench.vocabulary.text_ids)].mean(axis=0)
    np.testing.assert_allclose(rows.mean(dim=0).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_manifest_figures_equal_numpys(make_bench):
    bench = make_bench()
    rows = bench.embedding.detach().numpy()[bench.vocabulary.new_ids.numpy()]
    fields = manifest(bench.model, bench.vocabulary, "test v1")
    norms = np.linalg.norm(rows, axis=1)
    unit = rows / norms[:, None]
    cosines = (unit @ unit.T)[~np.eye(len(rows), dtype=bool)]
    assert fields["norm_mean"] == pytest.approx(norms.mean(), rel=1e-5)
    assert fields["norm_std"] == pytest.approx(norms.std(), rel=1e-4)
    assert fields["pairwise_cosine_mean"] == pytest.approx(cosines.mean(), abs=1e-6)
    assert fields["new_rows_sha256_after"] == hashlib.sha256(rows.tobytes()).hexdigest()
    assert fields["identical_rows"] is False


def test_a_token_that_exists_already_is_refused(make_bench):
    bench = make_bench()
    with pytest.raises(VocabularyError, match="<a_0>"):
        extend_vocabulary(bench.tokenizer, bench.model, ("<a_0>",))


@pytest.mark.parametrize(
    ("rows", "message"),
    [(torch.zeros(3, 32), "shape"), (torch.full((24, 32), float("nan")), "24 of 24")],
)
def test_rows_that_do_not_fit_are_refused(make_bench, rows, message):
    bench = make_bench()
    with pytest.raises(VocabularyError, match=message):
        write_rows(bench.embedding, bench.vocabulary.new_ids, rows)


def test_a_transformed_head_is_refused(make_bench, make_tokenizer):
    model = make_bench().model
    model.config.final_logit_softcapping = 30.0
    with pytest.raises(VocabularyError, match="final_logit_softcapping"):
        extend_vocabulary(make_tokenizer(), model, ("<z_0>", "<z_1>"))


def test_sids_are_tokenized_as_their_own_tokens(make_bench):
    bench = make_bench()
    ids = bench.tokenizer.encode(
        "red" + bench.prompter.sid_text(4) + " hammer", add_special_tokens=False
    )
    own = [i for i in ids if i in set(bench.vocabulary.new_ids.tolist())]
    assert own == bench.prompter.sid_ids[4].tolist()


def test_a_stages_proof_counts_what_moved(make_bench):
    bench = make_bench("untied")
    watch = StageWatch(bench.model, bench.vocabulary)
    still = watch.proof("none", StageReport())
    assert (still["new_rows_changed"], still["text_rows_changed"]) == (0, 0)
    assert not still["backbone_changed"]
    with torch.no_grad():
        bench.head[bench.vocabulary.new_ids[2]] += 1e-7
        bench.embedding[bench.vocabulary.text_ids[5]] += 1e-6
        bench.model.model.layers[0].mlp.up_proj.weight[0, 0] += 1.0
    moved = watch.proof("some", StageReport())
    assert (moved["new_rows_changed"], moved["text_rows_changed"]) == (1, 1)
    assert moved["backbone_changed"]
    assert moved["new_rows_sha256"] != still["new_rows_sha256"]


def test_rows_right_after_growing_do_not_depend_on_the_global_generator(
    make_bench, make_tokenizer, sids
):
    found = []
    for seed in (1, 2):
        model = make_bench("untied").model
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        more = tuple(token.replace("<", "<more_") for token in sids.tokens)
        tokenizer = make_tokenizer()
        tokenizer.add_tokens(list(sids.tokens))
        found.append(extend_vocabulary(tokenizer, model, more).default_rows)
        assert torch.equal(torch.get_rng_state(), state)
    for first, second in zip(*found, strict=True):
        assert torch.equal(first, second)
