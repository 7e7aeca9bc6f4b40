"""The pieces of a cell whose growth is measured, at one size each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from benchmarks.inputs.backbones import load_backbone
from benchmarks.perf.grown import Grown, load_grown
from gti.data.dataset import IntArray
from gti.data.semantic_ids import SemanticIds
from gti.data.streams import numpy_stream
from gti.method import GroundingPlan
from gti.model.diagnostics import diagnose
from gti.model.flops import ModelShape
from gti.model.head import head_loss
from gti.model.vocabulary import embedding_matrices, extend_vocabulary, read_rows, write_rows
from gti.prompts.prompter import Example
from gti.quantise.kmeans import residual_kmeans
from gti.search.decoding import Trie, beam_search, build_trie
from gti.search.exact_scoring import exact_search
from gti.train.batches import answer_states, collate
from gti.train.finetuning import Step, finetune, retrieval_examples
from gti.train.grounding import ground, grounding_examples
from gti.train.training import AdamWSettings

CPU = torch.device("cpu")
BEAM = 20
HISTORY = 20
USERS = 8
ITEMS = 3_000
"""Items, where the axis is another one."""
CODE_DIM = 32
"""Width that is quantised: that of the principal components of `ml-100k-nano`."""
STILL = AdamWSettings(learning_rate=0.0, clip_norm=None)
"""All the work of a step, and every run starts from the same weights."""


@dataclass(frozen=True)
class Work:
    """One thing to run.

    Attributes:
        run: what is measured; may be called again and again.
        units: how many units one call handles.
        cost: what its time is expected to be proportional to.
    """

    run: Callable[[], object]
    units: int
    cost: float


def drawn_ids(items: int, levels: int, codes: int) -> SemanticIds:
    """Distinct Semantic IDs drawn evenly: the most nodes that a trie of so many items may have."""
    drawn = np.random.default_rng(0)
    numbers = np.empty(0, dtype=np.int64)
    while len(numbers) < items:
        more = drawn.integers(codes**levels, size=items)
        numbers = np.unique(np.concatenate([numbers, more]))
    numbers = drawn.permutation(numbers)[:items]
    places = codes ** np.arange(levels - 1, -1, -1, dtype=np.int64)
    codebooks = drawn.standard_normal((levels, codes, CODE_DIM)).astype(np.float16)
    return SemanticIds(numbers[:, None] // places % codes, codes, codebooks, {})


@lru_cache(maxsize=8)
def setup(items: int = ITEMS, levels: int = 4, codes: int = 256) -> tuple[Grown, Trie]:
    """`nano` with so many drawn Semantic IDs, prompts of any length, and their trie."""
    nano = load_grown(drawn_ids(items, levels, codes), max_history=10_000, bounded=False)
    return nano, build_trie(nano.semantic_ids, nano.vocabulary, CPU)


@lru_cache(maxsize=8)
def setup_of_rows(rows: int) -> tuple[Grown, Trie]:
    """`nano` with 3 × 64 codes and a matrix of `rows` rows in all, those added drawn."""
    nano = load_grown()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nano.model.resize_token_embeddings(rows, mean_resizing=False)
    return nano, build_trie(nano.semantic_ids, nano.vocabulary, CPU)


# Decoding -----------------------------------------------------------------------------------------


def search_flops(nano: Grown, length: int, beam: int) -> float:
    """FLOPs of a beam search for one prompt of `length` tokens."""
    shape, ids = ModelShape.of(nano.model), nano.semantic_ids
    flops = shape.spent_flops([length], 1, "nothing")
    for level in range(1, ids.num_levels):
        width = min(beam, ids.num_codes**level)
        flops += shape.spent_flops([1] * width, width, "nothing", before=length + level)
    return flops


def searching(nano: Grown, trie: Trie, beam: int = BEAM, items: int = HISTORY) -> Work:
    """Beam search for `USERS` users with histories of `items` items."""
    prompts = [nano.prompter.retrieval_prompt(nano.history(items, user)) for user in range(USERS)]
    flops = search_flops(nano, len(prompts[0]), beam)
    return Work(lambda: beam_search(nano.model, trie, prompts, beam), USERS, USERS * flops)


def scoring_all(nano: Grown, trie: Trie) -> Work:
    """Exact scoring of every item for one user."""
    prompt = nano.prompter.retrieval_prompt(nano.history(HISTORY))
    shape = ModelShape.of(nano.model)
    nodes = sum(len(children) for children in trie.children[1:])
    flops = shape.spent_flops([len(prompt)], 1, "nothing")
    flops += shape.spent_flops([1] * nodes, nodes, "nothing", before=len(prompt))
    return Work(lambda: exact_search(nano.model, trie, [prompt], BEAM), 1, flops)


def building_trie(ids: SemanticIds) -> Work:
    """The trie's tables."""
    nano, trie = setup(ids.num_items, ids.num_levels, ids.num_codes)
    cells = sum(children.numel() for children in trie.children)
    return Work(lambda: build_trie(nano.semantic_ids, nano.vocabulary, CPU), 1, cells)


# Training -----------------------------------------------------------------------------------------


def tuning(nano: Grown, examples: list[Example], units: int) -> Work:
    """One SFT step on `examples`, all weights."""

    def run() -> float:
        model = nano.model.requires_grad_(True)
        return finetune(model, nano.vocabulary, [Step(examples, [])], STILL, seed=0).actual_flops

    return Work(run, units, run())


def tuning_windows(nano: Grown, items: int, count: int = USERS) -> Work:
    """One SFT step on sequences of `items` items."""
    windows = [
        example
        for user in range(count)
        for example in nano.prompter.windows(nano.history(items, user), items)
    ]
    return tuning(nano, windows, count)


def tuning_chat(items: int) -> Work:
    """One SFT step on the questions of two blocks of `items` targets."""
    ids = drawn_ids(ITEMS, 4, 256)
    nano = load_grown(ids, style="chat", max_history=items, bounded=False)
    histories = [nano.history(items + 1, user) for user in range(2)]
    examples = retrieval_examples(nano.prompter, histories, 0, np.random.default_rng(0))
    return tuning(nano, examples, len(histories))


def grounding(nano: Grown) -> Work:
    """One step of grounding on 64 pairs of all six tasks."""
    pairs = nano.grounding_pairs[:64]

    def run() -> float:
        return ground(nano.model, nano.vocabulary, [pairs], STILL).actual_flops

    return Work(run, len(pairs), run())


def applying_head(nano: Grown) -> Work:
    """Loss of the answers of 8 windows, and both gradients."""
    batch = collate(nano.windows(USERS), CPU)
    matrix = nano.model.get_input_embeddings().weight.detach().requires_grad_(True)
    states = torch.randn(*batch.ids.shape, matrix.shape[1], generator=torch.Generator())

    def run() -> None:
        matrix.grad = None
        hidden = answer_states(states, batch).requires_grad_(True)
        head_loss(hidden, matrix, batch.labels).backward()  # type: ignore[no-untyped-call]

    return Work(run, batch.num_targets, 6.0 * matrix.numel() * batch.num_targets)


# Before and after training ------------------------------------------------------------------------


def quantising(items: int, levels: int, codes: int) -> Work:
    """Residual k-means of points around as many centres as a level has codes."""
    residual_kmeans(np.eye(9, dtype=np.float32), 2, 4, 0, {})  # imports what it needs, unmeasured
    drawn = np.random.default_rng(0)
    centres = drawn.standard_normal((codes, CODE_DIM), dtype=np.float32)
    points = drawn.standard_normal((items, CODE_DIM), dtype=np.float32)
    points += centres[drawn.integers(codes, size=items)]
    cost = float(items * levels * codes)
    return Work(lambda: residual_kmeans(points, levels, codes, 0, {}), 1, cost)


def building_pairs(nano: Grown) -> Work:
    """Grounding's examples, six tasks per item, tokenized."""
    plan, shuffle = GroundingPlan(), numpy_stream(0, "shuffle")
    items = nano.semantic_ids.num_items
    return Work(lambda: grounding_examples(nano.prompter, plan, shuffle), 1, items)


def adding_rows(ids: SemanticIds) -> Work:
    """Tokenizer and matrix grow, and the new rows are written; the backbone is loaded for it."""

    def run() -> None:
        backbone = load_backbone("nano", offline=True)
        vocabulary = extend_vocabulary(backbone.tokenizer, backbone.model, ids.tokens)
        for matrix in embedding_matrices(backbone.model):
            mean = read_rows(matrix, vocabulary.text_ids).mean(dim=0)
            write_rows(matrix, vocabulary.new_ids, mean.expand(ids.num_tokens, -1))

    model = load_backbone("nano", offline=True).model
    weights = sum(weight.numel() for weight in model.parameters())
    return Work(run, 1, weights + ids.num_tokens * model.config.hidden_size)


def diagnosing(nano: Grown) -> Work:
    """All diagnostics of one stage's new rows."""
    (matrix,) = embedding_matrices(nano.model)
    vocabulary, ids = nano.vocabulary, nano.semantic_ids
    new, text = (read_rows(matrix, at).numpy() for at in (vocabulary.new_ids, vocabulary.text_ids))
    decode: Callable[[int], str] = nano.prompter.tokenizer.decode
    tokens: IntArray = vocabulary.text_ids.numpy()
    used = int(ids.used.sum())
    cost = float(used * new.shape[1] * (used + len(text)))
    return Work(lambda: diagnose(new, text, ids, decode, tokens), 1, cost)
