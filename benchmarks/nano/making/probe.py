"""Does grounding on nano learn language? New rows trained on true and on shuffled SIDs."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

LEVELS = 3
CODES = 64
TO_TEXT = ("sid_to_title", "sid_to_genres")
TO_SID = ("title_to_sid", "text_to_sid")


@dataclass(frozen=True)
class Item:
    """A film: title with year, and genres."""

    title: str
    genres: str

    @property
    def text(self) -> str:
        """What the sentence encoder reads."""
        return f"{self.title}. {self.genres}"


@dataclass(frozen=True)
class Pair:
    """A prompt and its answer as ids; ids from `vocabulary` on are new tokens."""

    task: str
    prompt: list[int]
    answer: list[int]


def read_items(file: Path) -> list[Item]:
    """Items of RecBole's `ml-100k.item` (tab-separated: id, title, year, genres)."""
    items = []
    for line in file.read_text("utf-8", "replace").splitlines()[1:]:
        _, title, year, genres = [*line.split("\t"), "", ""][:4]
        items.append(Item(f"{title} ({year})", ", ".join(genres.split())))
    return items


def embed(texts: list[str], encoder: Path) -> NDArray[np.float32]:
    """Mean-pooled, normalised sentence embeddings: `[num_texts, 384]`."""
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = AutoModel.from_pretrained(encoder)
    model.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(texts), 64):
            inputs = tokenizer(texts[start : start + 64], padding=True, return_tensors="pt")
            hidden = model(**inputs).last_hidden_state
            mask = inputs["attention_mask"][..., None].float()
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            parts.append(torch.nn.functional.normalize(pooled, dim=-1).numpy())
    return np.concatenate(parts)


def residual_codes(vectors: NDArray[np.float32], seed: int) -> NDArray[np.int64]:
    """Residual k-means: `[num_items, LEVELS]`."""
    import faiss

    rest = vectors.copy()
    codes = []
    for level in range(LEVELS):
        kmeans = faiss.Kmeans(rest.shape[1], CODES, niter=50, seed=seed + level, nredo=3)
        kmeans.train(rest)
        assert kmeans.centroids is not None
        _, nearest = kmeans.index.search(rest, 1)
        codes.append(nearest[:, 0])
        rest = rest - kmeans.centroids[nearest[:, 0]]
    return np.stack(codes, axis=1)


def make_pairs(
    item: Item, codes: NDArray[np.int64], tokenizer: PreTrainedTokenizerBase
) -> list[Pair]:
    """The four texts of one item, two in each direction."""
    new = [len(tokenizer) + level * CODES + int(code) for level, code in enumerate(codes)]

    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    named, kinds = ids(f" {item.title}"), ids(f" {item.genres}")
    end = [0]
    return [
        Pair("sid_to_title", ids("The item") + new + ids(" is called:"), named + end),
        Pair("sid_to_genres", ids("The kinds of") + new + ids(" are:"), kinds + end),
        Pair("title_to_sid", ids(f"Which item is called {item.title}?"), new + end),
        Pair(
            "text_to_sid",
            ids(f"{item.title}. Its kinds are: {item.genres}. It is the item"),
            new + end,
        ),
    ]


def text_rows(model: PreTrainedModel) -> Tensor:
    """The frozen embedding rows: `[vocabulary, width]`."""
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def batch_loss(
    model: PreTrainedModel, rows: Tensor, pairs: list[Pair]
) -> tuple[Tensor, dict[str, tuple[float, int]]]:
    """Sum of the answers' negative log-likelihoods over a batch, and (sum, tokens) by task.

    Args:
        model: the frozen backbone.
        rows: `[num_new, width]`, the new tokens' rows, as inputs and as outputs.
        pairs: the batch.
    """
    table = torch.cat([text_rows(model), rows])
    longest = max(len(pair.prompt) + len(pair.answer) for pair in pairs)
    ids = torch.zeros(len(pairs), longest, dtype=torch.long)
    at_row, at_column, targets, tasks = [], [], [], []
    for row, pair in enumerate(pairs):
        full = pair.prompt + pair.answer
        ids[row, : len(full)] = torch.tensor(full)
        for i, target in enumerate(pair.answer):
            at_row.append(row)
            at_column.append(len(pair.prompt) + i - 1)
            targets.append(target)
            tasks.append(pair.task)
    inputs = torch.nn.functional.embedding(ids, table)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.base_model(inputs_embeds=inputs, use_cache=False).last_hidden_state
        logits = (hidden[at_row, at_column] @ table.T).float()
    losses = torch.nn.functional.cross_entropy(logits, torch.tensor(targets), reduction="none")
    by_task: dict[str, tuple[float, int]] = {}
    for task in set(tasks):
        chosen = losses.detach()[torch.tensor([name == task for name in tasks])]
        by_task[task] = (float(chosen.sum()), len(chosen))
    return losses.sum(), by_task


def mean_losses(model: PreTrainedModel, rows: Tensor, pairs: list[Pair]) -> dict[str, float]:
    """Mean loss in nats per answer token, by task and by direction."""
    sums: dict[str, list[float]] = {}
    with torch.no_grad():
        for start in range(0, len(pairs), 128):
            _, by_task = batch_loss(model, rows, pairs[start : start + 128])
            for task, (total, count) in by_task.items():
                for name in (task, "to_text" if task in TO_TEXT else "to_sid"):
                    entry = sums.setdefault(name, [0.0, 0.0])
                    entry[0] += total
                    entry[1] += count
    return {name: total / count for name, (total, count) in sorted(sums.items())}


def ground(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    items: list[Item],
    codes: NDArray[np.int64],
    *,
    tasks: Collection[str],
    epochs: int,
    learning_rate: float,
    seed: int,
    shuffled: bool,
) -> dict[str, dict[str, float]]:
    """Trains the new rows from the mean and returns losses before and after.

    A tenth of the items (the same at a seed, true or shuffled) is kept out of training.

    Returns:
        `{"start", "train", "held_out"}`, each with mean losses by task and direction.
    """
    rng = np.random.default_rng(seed)
    held = set(rng.permutation(len(items))[: len(items) // 10].tolist())
    if shuffled:
        codes = codes[rng.permutation(len(items))]
    made = [
        [pair for pair in make_pairs(item, codes[i], tokenizer) if pair.task in tasks]
        for i, item in enumerate(items)
    ]
    train = [pair for i, pairs in enumerate(made) if i not in held for pair in pairs]
    test = [pair for i, pairs in enumerate(made) if i in held for pair in pairs]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    mean = text_rows(model).mean(0)
    rows = torch.nn.Parameter(mean.repeat(LEVELS * CODES, 1))
    start = mean_losses(model, rows, test)
    optimizer = torch.optim.AdamW([rows], lr=learning_rate, weight_decay=0.0)
    order = random.Random(seed)
    steps = epochs * (len(train) // 32)
    for step in range(steps):
        if step % (len(train) // 32) == 0:
            order.shuffle(train)
        at = step % (len(train) // 32) * 32
        pairs = train[at : at + 32]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1.0, (step + 1) / 20, 2 * (1 - step / steps))
        loss, _ = batch_loss(model, rows, pairs)
        optimizer.zero_grad()
        torch.autograd.backward(loss / sum(len(pair.answer) for pair in pairs))
        torch.nn.utils.clip_grad_norm_([rows], 1.0)
        optimizer.step()
    return {
        "start": start,
        "train": mean_losses(model, rows, train[::3]),
        "held_out": mean_losses(model, rows, test),
    }
