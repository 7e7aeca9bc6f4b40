"""The parts of a record: accounting, manifest, proofs, spectra, cost, environment, inputs."""

from typing import Annotated, Literal

from pydantic import Field

from leaderboard.records.specs import Frozen, Sha256

Metrics = dict[str, float | None]


class CurvePoint(Frozen):
    """One point of the learning curve; `step` 0 is before SFT.

    Rank metrics are of the fixed validation sample, `nll` and `trie_nll` of all of validation.
    """

    step: int
    passes: float
    nominal_flops: float
    seconds: float
    train_loss: float | None
    metrics: Metrics


class SidAccounting(Frozen):
    """What the Semantic IDs and the beam allow.

    `trie_mass`: mean probability mass, per level, that the model puts on the codes the trie allows
    (test users, along the best beam). `recall_raw@k` counts any item of the hit SID as a hit;
    `recall@k` in the metrics shares a hit among the items that collide.
    """

    num_items: int
    distinct_sids: int
    collision_rate: float
    used_codes: tuple[int, ...]
    num_codes: int
    trie_mass: tuple[float, ...] | None
    raw_recall: Metrics
    beam: int
    beam_used_min: int
    beam_used_mean: float


class NameAccounting(Frozen):
    """What items are called by a reference that names them in the tokens that there are.

    Attributes:
        num_items: items, each with a name of its own.
        numbered: those whose name has a number behind it, since another has the name without.
        untitled: those that have no title.
        tokens_mean, tokens_max: of a name, its end included.
        beam: that ranked the items.
        beam_used_min, beam_used_mean: items in it, of test users.
    """

    num_items: int
    numbered: int
    untitled: int
    tokens_mean: float
    tokens_max: int
    beam: int
    beam_used_min: int
    beam_used_mean: float


class Manifest(Frozen):
    """Proof of initialization: which rows were written, by whom, with what.

    Hashes are over the float32 little-endian bytes of the rows, in the order of the Semantic ID
    tokens (new rows) and of token ids (text rows), those of an untied head below them.
    """

    initializer: str
    first_token_id: int
    num_rows: int
    rows_before: int
    rows_after: int
    padding_rows: int
    num_text_rows: int
    tied: bool
    norm_mean: float
    norm_std: float
    text_norm_mean: float
    cosine_to_text_mean: float | None
    pairwise_cosine_mean: float | None
    identical_rows: bool
    new_rows_sha256_before: Sha256 | None
    new_rows_sha256_after: Sha256
    text_rows_sha256_before: Sha256
    text_rows_sha256_after: Sha256


class StageProof(Frozen):
    """What one stage moved: rows and weights, compared bit for bit before and after the stage."""

    stage: str
    trainable_parameters: int
    new_rows_with_gradient: int
    text_rows_with_gradient: int
    new_rows_changed: int
    text_rows_changed: int
    backbone_changed: bool
    new_rows_sha256: Sha256
    text_rows_sha256: Sha256


class Spectrum(Frozen):
    """Numbers of one stage's new rows; defined in `gti.model.diagnostics`. Undefined is null."""

    num_rows: int
    unused_rows: int
    effective_rank: float | None
    effective_rank_centred: float | None
    stable_rank: float | None
    norm_mean: float
    cosine_mean: float | None
    cosine_within_level: tuple[float | None, ...]
    cosine_across_levels: float | None
    rsa_pearson: float | None
    rsa_spearman: float | None
    rsa_pearson_per_level: tuple[float | None, ...]
    rsa_spearman_per_level: tuple[float | None, ...]
    text_affinity: float | None

    @property
    def rsa_level_1(self) -> float | None:
        """RSA (Spearman) within the first level: pooled over levels it is about 0 for all rows."""
        return self.rsa_spearman_per_level[0] if self.rsa_spearman_per_level else None


class PairNll(Frozen):
    """Mean NLL per answer token, in nats, of pairs of text and Semantic ID, all in one direction.

    Attributes:
        share: "seen": of items whose pairs the stage trains on; "held_out": of those that the
            setting holds out of all training.
        pairs: how many; those of a fixed sample where there are many.
        tokens: of their answers.
        true: each text with its own item's Semantic ID.
        permuted: each text with the Semantic ID of another item of the same share, by a permutation
            that no stage trains on.
        shown: each text with the Semantic ID that the stage showed beside it, which is another
            item's where the method shuffles; null where nothing is shown (held out).
    """

    direction: Literal["text_to_sid", "sid_to_text"]
    share: Literal["seen", "held_out"]
    pairs: int
    tokens: int
    true: float
    permuted: float
    shown: float | None


class Found(Frozen):
    """How well items are found by a text.

    Attributes:
        asked: how many texts.
        recall: expected recall@10 of each text's own item.
        recall_shown: the same of the item whose Semantic ID was shown beside the text; null where
            none was.
        chance: recall@10 of a random ranking of all items.
    """

    asked: int
    recall: float
    recall_shown: float | None
    chance: float


class Treatment(Frozen):
    """Did the stage before SFT do what it is named after? Measured between the two.

    Attributes:
        pairs: by direction and share.
        found: items by their own title, of each share ("seen", "held_out"); where the setting's
            queries know kinds of items, also those of validation queries, kind by kind ("warm",
            "cold", "new").
    """

    pairs: tuple[PairNll, ...]
    found: dict[str, Found]


class Retention(Frozen):
    """What the model still knows of plain English: bits per character of the project's own pages.

    Attributes:
        pages: sha256 of the pages.
        characters: in them.
        before: of the backbone before it got new tokens.
        after: after SFT, under the grown vocabulary.
    """

    pages: Sha256
    characters: int
    before: float
    after: float


class Cost(Frozen):
    """Cost of one stage. FLOPs: nominal = the plain form's; actual = what this code did.

    Attributes:
        peak_memory_bytes: held at most during the stage, weights and data included: in tensors on a
            GPU, by the process on Linux, where what it no longer used went back to the system
            before the stage. Elsewhere, and in records whose environment says no attention, the
            most since the process began.
        device_flops: FLOP/s that the device could do: of a measured matrix product on a CPU (the
            largest rate seen until the stage's end), the vendor's figure on a GPU; null where
            unknown.
        utilisation: actual FLOPs over seconds times `device_flops`.
    """

    seconds: float
    tokens: int | None = None
    steps: int | None = None
    nominal_flops: float | None = None
    actual_flops: float | None = None
    peak_memory_bytes: int | None = None
    first_loss: float | None = None
    last_loss: float | None = None
    device_flops: float | None = None
    utilisation: float | None = None


class Budget(Frozen):
    """The two budgets in nominal FLOPs, and what the method spent of A."""

    sft_flops: float
    extra_flops: float
    extra_spent_flops: float


class Environment(Frozen):
    """Where the cell ran.

    Attributes:
        dtype: computed in; the setting's, unless a warning of the record says why not.
        bfloat16: what multiplied matrices in it on a CPU, "AMX", "AVX512-BF16", "ARM bf16": each
            rounds in its own way, as instruction sets do; null where nothing was computed in it or
            a GPU did, and in records from before it was kept.
        attention: the library's way and torch's kernel for it, "sdpa: flash"; null where there is
            none, and in records from before it was kept.
    """

    machine: str
    processor: str
    instruction_set: str | None
    device: str
    driver: str | None
    threads: int
    dtype: str
    bfloat16: str | None = None
    attention: str | None = None
    deterministic: bool
    python: str
    platform: str
    packages: dict[str, str]


class Inputs(Frozen):
    """sha256 of everything the cell read."""

    dataset: Sha256
    semantic_ids: Sha256 | None
    backbone: Sha256 | None
    tokenizer: Sha256 | None
    prompts: Sha256 | None
    queries: Sha256 | None = None
    """The queries of the retrieval track; null for next-item recommendation."""


class Code(Frozen):
    """Which code ran; null where it was not a git checkout.

    `plain`: the slow reference forms (`gti-bench run --plain`); null: those of everyday.
    """

    version: str
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None
    dirty: bool | None
    plain: Literal[True] | None = None


class Files(Frozen):
    """sha256 of the sidecars."""

    ranks: Sha256
    diagnostics: Sha256 | None


class ReferenceFit(Frozen):
    """How a reference of another library was fitted.

    Attributes:
        known_at: the part for whose targets this fit's known interactions were all there are.
        knows: the rule about what it has read, in words.
        rows: training rows, as the library makes them.
        trainable_parameters: 0 where it only counts.
        epochs: trained; null where it only counts.
        best_epoch: the one whose weights were kept, from 1.
        validation_ndcg10: after each epoch, by the library's own evaluator.
        train_loss: mean of each epoch.
        seconds: of this fit.
    """

    known_at: Literal["validation", "test"]
    knows: str
    rows: int
    trainable_parameters: int
    epochs: int | None
    best_epoch: int | None
    validation_ndcg10: tuple[float, ...]
    train_loss: tuple[float, ...]
    seconds: float
