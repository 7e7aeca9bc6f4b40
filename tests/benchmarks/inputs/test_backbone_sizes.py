"""Sizes read off configs: those of the published counts, and of the models when they are loaded."""

from pathlib import Path

import pytest

from benchmarks.inputs.backbone_sizes import backbone_size, encoder_size
from benchmarks.inputs.backbones import CARDS

QWEN3 = "hub:Qwen/Qwen3-0.6B@c1899de289a04d12100db370d81485cdf75e47ca"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.mark.parametrize("name", sorted(CARDS))
def test_sizes_count_what_the_cards_count(name: str) -> None:
    size = backbone_size(name)
    assert size is not None
    assert size.parameters == CARDS[name].parameters


def test_the_papers_backbone_is_known_where_nothing_is(own_cache: Path) -> None:
    size = backbone_size(QWEN3, rank=8, targets=PROJECTIONS)
    assert size is not None
    assert size.parameters == 596_049_920
    assert size.matrices == 151_936 * 1024
    # q 1024→2048, k and v 1024→1024, o 2048→1024, gate and up 1024→3072, down 3072→1024.
    widths = (3072, 2048, 2048, 3072, 4096, 4096, 4096)
    assert size.adapters == 28 * 8 * sum(widths)
    assert (size.feed_forward, size.key_value_width) == (3072, 1024)


def test_sizes_with_adapters_are_those_of_the_loaded_model(tiny_qwen3: Path) -> None:
    from benchmarks.inputs.backbones import load_backbone
    from gti.model.flops import ModelShape
    from gti.train.finetuning import add_lora

    size = backbone_size(str(tiny_qwen3), rank=4, targets=PROJECTIONS)
    assert size is not None
    model = load_backbone(str(tiny_qwen3)).model
    assert size.shape == ModelShape.of(model)
    assert size.parameters == sum(p.numel() for p in model.parameters())
    adapted = add_lora(model, 4, 8.0, 0.0, PROJECTIONS)
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert size.matrices + size.adapters == trained


def test_an_unknown_model_has_no_sizes_and_nobody_is_asked(own_cache: Path) -> None:
    assert backbone_size(f"hub:nobody/nothing@{'0' * 40}", offline=True) is None
    assert encoder_size("none") is None


def test_encoders_are_counted_without_their_word_matrix(tiny_encoder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    size = encoder_size(str(tiny_encoder))
    assert size is not None
    model = SentenceTransformer(str(tiny_encoder), device="cpu")
    counts = {name: p.numel() for name, p in model.named_parameters()}
    words = sum(count for name, count in counts.items() if "word_embeddings" in name)
    assert size.width == model.get_embedding_dimension() == 16
    assert size.body == sum(counts.values()) - words
