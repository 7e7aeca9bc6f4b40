"""The reference `titles`: no new tokens, items are called by their titles, written under a trie.

After IDGenRec (Tan et al., SIGIR 2024, arXiv 2403.19021), which names items in words; here the
words are the catalogue's own titles, and nothing is trained to make them. It answers whether new
tokens are needed at all.

Equal to the setting's methods: backbone, wordings, users or queries, the examples of R, their
order, batches and number of steps, SFT's rate and schedule, the beam, how ranks are counted.
Unequal: a title has more tokens than a Semantic ID, so that a step costs more (`cost.sft` says how
much, nominal and actual); all tokens of a title are targets, its end too; nothing of the extra
budget is spent. Titles are read of all items, those included whose texts no method is shown.

It is a reference: nothing is initialized, it is set in parentheses and never tested. It has no
checkpoints: what was interrupted starts anew.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from benchmarks.cell.budget import sft_passes
from benchmarks.cell.finished import Scores
from benchmarks.cell.ledger import Ledger
from benchmarks.cell.notes import reading_note
from benchmarks.cell.prepare import read_by
from benchmarks.cell.saving import save_reference
from benchmarks.cell.scoring import Scorer
from benchmarks.cell.train import MAX_TOKENS, with_adapters
from benchmarks.inputs.backbones import load_backbone
from benchmarks.inputs.inputs import Inputs, ReadData
from benchmarks.machine.environment import describe_environment
from benchmarks.machine.events import Say
from benchmarks.titles.card import KEY, titles_card
from gti.data.dataset import HELD_OUT, IntArray
from gti.data.streams import numpy_stream
from gti.model.capabilities import context_of
from gti.model.devices import computed_dtype, describe_attention
from gti.model.vocabulary import Vocabulary, extend_vocabulary
from gti.plain import FAST
from gti.prompts.titles import TitlePrompter, no_semantic_ids
from gti.search.names import NameTrie, build_name_trie, exact_name_search, name_nll, name_search
from gti.train.finetuning import Step, finetune, retrieval_batches
from gti.train.proof import StageWatch
from leaderboard.records.ranks import concatenate
from leaderboard.records.setting import Setting

NAMES = replace(FAST, beam_search=name_search, exact_search=exact_name_search, target_nll=name_nll)
"""How names of unlike lengths are searched and scored."""
TOLD = 5
"""Lines in which a stage tells how far it is."""


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """The backbone with its prompts, before it is trained."""

    setting: Setting
    seed: int
    model: Any
    vocabulary: Vocabulary
    prompter: TitlePrompter
    scorer: Scorer
    ledger: Ledger
    dtype: str
    attention: str
    read: dict[str, str | None]


@contextmanager
def as_a_cell_runs() -> Iterator[None]:
    """One thread and deterministic algorithms, as in a cell's process; put back at the end."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def write_titles(
    setting: Setting,
    seed: int,
    data: ReadData,
    results: Path,
    device: torch.device,
    say: Say,
    *,
    offline: bool = False,
) -> Path:
    """Trains and scores the reference at `seed`; writes its record and returns the path.

    Args:
        setting: what it stands beside.
        seed: of the streams "wording", "sft-order" and "dropout".
        data: the setting's.
        results: where records go.
        device: where to compute.
        say: told how far it is.
        offline: touch no network.

    Raises:
        BackboneError, PromptError, TrackError: what does not fit, before it trains.
        DivergedError: a loss or gradient that is no finite number.
    """
    with as_a_cell_runs():
        ready = _prepare(setting, seed, data, device, offline=offline)
        proof = _train(ready, say)
        scores = _score(ready, say)
    ledger, prompter = ready.ledger, ready.prompter
    lengths = [len(name) for name in prompter.names]
    used = scores["test"][1].beam_used
    return save_reference(
        setting,
        titles_card(),
        data,
        concatenate([scores[part][0] for part in HELD_OUT]),
        0.0,
        results,
        seed=seed,
        beam=setting.decoding.beam,
        tasks=dict(sorted(ledger.tasks.items())),
        proofs=[proof],
        names={
            "num_items": len(lengths),
            "numbered": prompter.distinct.numbered,
            "untitled": prompter.distinct.untitled,
            "tokens_mean": sum(lengths) / len(lengths),
            "tokens_max": max(lengths),
            "beam": setting.decoding.beam,
            "beam_used_min": int(used.min()),
            "beam_used_mean": float(used.mean()),
        },
        cost=ledger.cost,
        environment=describe_environment(device, ready.dtype, ready.attention, deterministic=True),
        read=ready.read,
        warnings=ledger.warnings,
    )


def _prepare(
    setting: Setting, seed: int, data: ReadData, device: torch.device, *, offline: bool
) -> _Ready:
    """Loads the backbone; it gets no token. Prompts and trie are made of titles."""
    dtype, no_dtype = computed_dtype(device, setting.backbone.dtype)
    ledger = Ledger(device, dtype)
    began = perf_counter()
    backbone = load_backbone(setting.backbone.name, offline=offline)
    tokenizer: Any = backbone.tokenizer
    vocabulary = extend_vocabulary(tokenizer, backbone.model, ())
    whole: Any = backbone.model
    model = with_adapters(whole.to(device), setting, seed, device)
    attention, no_flash = describe_attention(model, dtype)
    ledger.warn(no_dtype, no_flash, reading_note(model))
    prompter = TitlePrompter(
        tokenizer,
        vocabulary,
        data.dataset.texts,
        title_field=setting.dataset.title_field,
        detail_fields=setting.dataset.detail_fields,
        style=setting.prompts.style,
        max_text_tokens=setting.prompts.max_text_tokens,
        max_history=setting.dataset.max_history,
        context=context_of(model.config),
        item_ids=data.dataset.item_ids,
    )
    inputs = Inputs(
        dataset=data.dataset,
        split=data.split,
        popularity=data.popularity,
        queries=data.queries,
        semantic_ids=no_semantic_ids(data.dataset.num_items),
    )

    def build(items: IntArray) -> NameTrie:
        return build_name_trie([prompter.names[item] for item in items], device)

    scorer = Scorer(setting, inputs, prompter, vocabulary, device, NAMES, dtype, build)
    ledger.note_cost("load", perf_counter() - began)
    return _Ready(
        setting=setting,
        seed=seed,
        model=model,
        vocabulary=vocabulary,
        prompter=prompter,
        scorer=scorer,
        ledger=ledger,
        dtype=dtype,
        attention=attention,
        read={**read_by(inputs, backbone), "semantic_ids": None},
    )


def _train(ready: _Ready, say: Say) -> dict[str, Any]:
    """SFT on R; returns the proof of what it moved."""
    sft, seed, ledger = ready.setting.sft, ready.seed, ready.ledger
    examples = ready.scorer.track.examples(numpy_stream(seed, "wording"))
    passes = sft_passes(sft, len(examples))
    batches = retrieval_batches(examples, sft.batch_size, passes, numpy_stream(seed, "sft-order"))
    ledger.enter("sft")
    watch = StageWatch(ready.model, ready.vocabulary)
    done = finetune(
        ready.model,
        ready.vocabulary,
        [Step(batch, []) for batch in batches],
        sft,
        seed=seed,
        max_tokens=MAX_TOKENS[ledger.device.type],
        dtype=ready.dtype,
        progress=_teller(say, seed, "SFT"),
    )
    proof = watch.proof("sft", done)
    ledger.close_stage("sft", ledger.seconds("sft"), proof, done, batches)
    return proof


def _score(ready: _Ready, say: Say) -> Scores:
    """Ranks of both held-out parts, and what the beams were like."""
    scorer, ledger = ready.scorer, ready.ledger
    ledger.enter("score")
    scores = {
        part: scorer.ranks(ready.model, part, _teller(say, ready.seed, part)) for part in HELD_OUT
    }
    ledger.note_cost("score", ledger.seconds("score"), tokens=scorer.tokens)
    ledger.note_search(scorer.cut_to)
    return scores


def _teller(say: Say, seed: int, stage: str) -> Callable[..., None]:
    """Tells a few times how far a stage is."""
    last = 0

    def tell(done: int, total: int, loss: float | None = None) -> None:
        nonlocal last
        reached = TOLD * done // total
        if reached > last:
            last = reached
            learned = "" if loss is None else f", loss {loss:.3f}"
            say(f"{KEY} seed {seed}: {stage} {100 * done // total} %{learned}")

    return tell
