"""Trains nano from scratch on a CPU: `python -m benchmarks.nano.making.train --help`."""

import argparse
import json
import math
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.machine.environment import KEEP_MEMORY
from benchmarks.nano.making.loss import ChunkedCrossEntropy, softmax_minus_target
from benchmarks.nano.making.packing import windows_of
from benchmarks.nano.making.plan import CONSTANT_SHARE, LONG_FROM, UNPLANNED, Plan
from benchmarks.nano.making.text import fetch
from benchmarks.nano.making.vocabulary import VOCAB_SIZE, first_embeddings, write_tokenizer


def build_model(smollm2: Path, seed: int) -> LlamaForCausalLM:
    """A Llama of 3.1 M parameters; its embeddings start from SmolLM2's."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        attn_implementation="eager",  # type: ignore[call-arg]  # its backward is faster on a CPU than the fused kernel's
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(first_embeddings(smollm2, 192, 0.03))
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.mul_(1 / math.sqrt(2 * config.num_hidden_layers))
    return model


def save(model: LlamaForCausalLM, folder: Path) -> None:
    """Writes the weights in fp16 and the configuration; replaces what was there in one move."""
    draft = folder / "draft"
    state = {name: value.detach().half() for name, value in model.state_dict().items()}
    del state["lm_head.weight"]  # tied to the embeddings
    model.save_pretrained(draft, state_dict=state)
    config = json.loads((draft / "config.json").read_text("utf-8"))
    config["dtype"] = "float16"
    (draft / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    for name in ("config.json", "model.safetensors"):
        (draft / name).replace(folder / name)
    shutil.rmtree(draft)


def batch(data: list[np.ndarray], plan: Plan, rank: int, step: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets `[rows, length]` of one worker at one step.

    Every step takes as many windows of 512 tokens as fit; at length 256 each makes two rows.
    """
    each = plan.rows_per_worker // 2
    first = (step * plan.workers + rank) * each
    picked = []
    for i in range(first, first + each):
        variant = (i // len(data[0])) % len(data)
        picked.append(data[variant][i % len(data[variant])])
    rows = torch.from_numpy(np.stack(picked).astype(np.int64))
    length = plan.length(step)
    return rows[:, :-1].reshape(-1, length), rows[:, 1:].reshape(-1, length)


def average_gradients(parameters: Sequence[torch.nn.Parameter], workers: int) -> None:
    """Puts the workers' mean gradient, clipped to norm 1, into each of them."""
    flat = torch.cat([p.grad.reshape(-1) for p in parameters if p.grad is not None])
    dist.all_reduce(flat)
    flat /= workers
    flat *= min(1.0, 1.0 / (float(flat.norm()) + 1e-6))
    offset = 0
    for p in parameters:
        assert p.grad is not None
        p.grad.copy_(flat[offset : offset + p.numel()].view_as(p))
        offset += p.numel()


def work(rank: int, plan: Plan, paths: dict[str, Path], port: int, budget: float) -> None:
    """One single-threaded worker; gradients are averaged over workers at each step."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=plan.workers
    )
    model = build_model(paths["smollm2"], plan.seed)
    compiled = torch.compile(model.model, dynamic=False)
    gradient = torch.compile(softmax_minus_target, dynamic=False)
    parameters = list(model.parameters())
    matrices = [p for p in parameters if p.ndim == 2]
    vectors = [p for p in parameters if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": plan.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=plan.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )
    data = [
        np.load(paths["cache"] / f"windows-{v}.npy", mmap_mode="r") for v in range(plan.variants)
    ]
    start = saved = time.time()
    recent: list[float] = []
    step = 0
    while step < plan.steps:
        if budget and step >= plan.warmup and plan.steps == UNPLANNED:
            elapsed = torch.tensor([time.time() - start])
            dist.broadcast(elapsed, 0)
            plan = plan.settled(step, float(elapsed), budget)
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step)
        inputs, targets = batch(data, plan, rank, step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = compiled(input_ids=inputs, use_cache=False)  # type: ignore[no-untyped-call]
        hidden = output.last_hidden_state
        rows = model.model.embed_tokens.weight.bfloat16()
        hidden = hidden.reshape(-1, hidden.shape[-1]).bfloat16()
        loss = ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            hidden, rows, targets.reshape(-1), 1024, gradient
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        average_gradients(parameters, plan.workers)
        optimizer.step()
        recent.append(float(loss.detach()))
        step += 1
        if rank == 0 and step % 20 == 0:
            seconds = time.time() - start
            tokens = step * plan.workers * plan.rows_per_worker * 256
            print(
                f"step {step} loss {np.mean(recent[-20:]):.4f} lr {plan.rate(step - 1):.2e} "
                f"tokens {tokens / 1e6:.2f}M seconds {seconds:.0f} tokens/s {tokens / seconds:.0f}",
                flush=True,
            )
            if time.time() - saved > 120:
                save(model, paths["out"])
                saved = time.time()
    if rank == 0:
        save(model, paths["out"])
        record = {"plan": asdict(plan), "seconds": round(time.time() - start)}
        (paths["out"] / "training.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    dist.destroy_process_group()


def main() -> None:
    """Fetches the text, packs it and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smollm2", type=Path, required=True, help="folder: tokenizer, weights")
    parser.add_argument("--corpora", type=Path, required=True, help="folder of unpacked packages")
    parser.add_argument("--cache", type=Path, required=True, help="folder for packed tokens")
    parser.add_argument("--out", type=Path, required=True, help="folder the model goes to")
    parser.add_argument("--seconds", type=float, default=0, help="time budget; or give --steps")
    parser.add_argument("--steps", type=int, default=UNPLANNED)
    parser.add_argument("--decay-from", type=int, help="default: after 55 %% of the steps")
    parser.add_argument("--long-from", type=int, help="default: 80 %% into the decay")
    parser.add_argument("--learning-rate", type=float, default=Plan.learning_rate)
    parser.add_argument("--warmup", type=int, default=Plan.warmup)
    parser.add_argument(
        "--workers", type=int, default=Plan.workers, help="processes, one thread each"
    )
    parser.add_argument("--variants", type=int, default=Plan.variants, help="draws of wordings")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--port", type=int, default=29511)
    arguments = parser.parse_args()
    if not arguments.seconds and arguments.steps == UNPLANNED:
        parser.error("give --steps, or --seconds for a time budget")
    steps = arguments.steps
    decay_from = arguments.decay_from or round(CONSTANT_SHARE * steps)
    long_from = arguments.long_from or decay_from + round(LONG_FROM * (steps - decay_from))
    os.environ.update(KEEP_MEMORY)
    plan = Plan(
        steps=steps,
        decay_from=decay_from,
        long_from=long_from,
        workers=arguments.workers,
        learning_rate=arguments.learning_rate,
        warmup=arguments.warmup,
        variants=arguments.variants,
        seed=arguments.seed,
    )
    fetch(arguments.corpora)
    write_tokenizer(arguments.smollm2, arguments.out)
    for variant in range(plan.variants):
        windows_of(arguments.cache, arguments.corpora, arguments.out / "tokenizer.json", variant)
    paths = {"smollm2": arguments.smollm2, "cache": arguments.cache, "out": arguments.out}
    spawn(  # type: ignore[no-untyped-call]
        work, args=(plan, paths, arguments.port, arguments.seconds), nprocs=plan.workers
    )


if __name__ == "__main__":
    main()
