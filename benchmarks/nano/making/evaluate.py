"""Measures nano for its card: `python -m benchmarks.nano.making.evaluate --help`.

Bits per character on held-out documents, against an n-gram model and SmolLM2, and the grounding
probe: new rows trained on true and on shuffled item-SID pairs.
"""

import argparse
import json
import math
import multiprocessing
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as TokenizerBase

from benchmarks.machine.places import NANO
from benchmarks.nano.making.ngram import KneserNey
from benchmarks.nano.making.probe import TO_SID, TO_TEXT, embed, ground, read_items, residual_codes
from benchmarks.nano.making.text import documents


def load(folder: Path) -> tuple[PreTrainedModel, TokenizerBase]:
    """Model in fp32 for evaluation, and its tokenizer."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def held_out_sample(corpora: Path, characters: int) -> dict[str, list[str]]:
    """Held-out documents by kind, drawn in a fixed order up to so many characters a kind."""
    by_kind: dict[str, list[str]] = {}
    for kind, text in documents(corpora, 0, held_out=True):
        by_kind.setdefault(kind, []).append(text)
    for kind, texts in by_kind.items():
        random.Random(f"nano-sample-{kind}").shuffle(texts)
        total, kept = 0, []
        for text in texts:
            if total >= characters:
                break
            kept.append(text)
            total += len(text)
        by_kind[kind] = kept
    return dict(sorted(by_kind.items()))


def encode(tokenizer: TokenizerBase, text: str) -> list[int]:
    """End-of-text (id 0 in both vocabularies), then the text, cut at 512 ids as nano needs."""
    return [0, *tokenizer(text, add_special_tokens=False)["input_ids"]]


def model_bits(model: PreTrainedModel, tokenizer: TokenizerBase, texts: list[str]) -> float:
    """Total bits of the texts, each on its own; long ones in stretches of 511 tokens."""
    total = 0.0
    with torch.no_grad():
        for text in texts:
            ids = encode(tokenizer, text)
            for start in range(0, len(ids) - 1, 511):
                part = torch.tensor([ids[start : start + 512]])
                logits = model(input_ids=part).logits[0, :-1].float()
                total += float(torch.nn.functional.cross_entropy(logits, part[0, 1:]) * len(logits))
    return total / math.log(2)


def ngram_bits(ngram: KneserNey, tokenizer: TokenizerBase, texts: list[str]) -> float:
    """Total bits of the texts under the n-gram model."""
    total = 0.0
    for text in texts:
        total -= float(ngram.log_probabilities(np.array(encode(tokenizer, text))).sum())
    return total / math.log(2)


def bits_per_character(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Bits per character by model and kind; `pooled` weighs all sampled characters alike."""
    sample = held_out_sample(arguments.corpora, arguments.characters)
    nano, nano_tokenizer = load(arguments.model)
    seen = [np.load(file) for file in sorted(arguments.cache.glob("windows-*.npy"))]
    stream: NDArray[np.int64] = np.concatenate(seen)[:, :-1].reshape(-1).astype(np.int64)
    ngram = KneserNey(stream[: arguments.ngram_tokens], order=4)
    scorers: dict[str, Any] = {
        "nano": lambda texts: model_bits(nano, nano_tokenizer, texts),
        "kneser-ney-4": lambda texts: ngram_bits(ngram, nano_tokenizer, texts),
    }
    if arguments.smollm2:
        large, large_tokenizer = load(arguments.smollm2)
        scorers["smollm2-135m-q4_1"] = lambda texts: model_bits(large, large_tokenizer, texts)
    result: dict[str, dict[str, float]] = {}
    characters = {kind: sum(map(len, texts)) for kind, texts in sample.items()}
    for name, scorer in scorers.items():
        bits = {kind: scorer(texts) for kind, texts in sample.items()}
        result[name] = {kind: bits[kind] / characters[kind] for kind in bits}
        result[name]["pooled"] = sum(bits.values()) / sum(characters.values())
        print(name, {kind: round(value, 3) for kind, value in result[name].items()}, flush=True)
    result["characters"] = {kind: float(count) for kind, count in characters.items()}
    return result


def probe_once(job: tuple[argparse.Namespace, int, bool]) -> dict[str, Any]:
    """One run of the grounding probe: a seed, on true or on shuffled pairs."""
    arguments, seed, shuffled = job
    torch.set_num_threads(arguments.threads)
    model, tokenizer = load(arguments.model)
    items = read_items(arguments.items)
    codes = residual_codes(embed([item.text for item in items], arguments.encoder), seed=0)
    started = time.time()
    losses = ground(
        model,
        tokenizer,
        items,
        codes,
        tasks=arguments.tasks.split(","),
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        seed=seed,
        shuffled=shuffled,
    )
    run = {"seed": seed, "shuffled": shuffled, "seconds": round(time.time() - started), **losses}
    print(json.dumps(run), flush=True)
    return run


def probe(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The grounding probe for each seed, on true and on shuffled pairs with one budget."""
    jobs = [(arguments, seed, kind) for seed in range(arguments.seeds) for kind in (False, True)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        return list(pool.map(probe_once, jobs))


def main() -> None:
    """Measures what the arguments ask for and writes the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=NANO)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the numbers")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--corpora", type=Path, help="folder of unpacked packages")
    parser.add_argument("--cache", type=Path, help="folder of packed tokens, for the n-gram model")
    parser.add_argument("--smollm2", type=Path, help="folder with SmolLM2's safetensors")
    parser.add_argument("--characters", type=int, default=30_000, help="held-out sample per kind")
    parser.add_argument("--ngram-tokens", type=int, default=26_000_000)
    parser.add_argument("--items", type=Path, help="ml-100k.item; runs the grounding probe")
    parser.add_argument("--encoder", type=Path, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--tasks", default=",".join(TO_TEXT + TO_SID))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--workers", type=int, default=1, help="probe runs side by side")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    numbers: dict[str, Any] = {}
    if arguments.corpora:
        numbers["bits_per_character"] = bits_per_character(arguments)
    if arguments.items:
        numbers["grounding"] = probe(arguments)
    arguments.out.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
