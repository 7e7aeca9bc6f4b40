"""What a setting fixes, table by table: dataset, Semantic IDs, backbone, budgets, evaluation."""

import math
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]


Share = Annotated[float, Field(ge=0, le=1)]

MOST_CODES = 2**20
"""Codes of a level: a larger codebook is none, and no model holds a row for each."""
MOST_LEVELS = 8
MOST_RANKED = 1_000_000
"""Items that a beam keeps or a cutoff counts."""
MOST_POINTS = 10_000
"""Points of a learning curve."""
MOST_NAMED = 1_000
"""Seeds, cutoffs or wordings. These bounds keep what is read from a record small, before anything
is looped over or allocated by it; no run comes near them."""


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


Pin = Sha256 | Literal["unpinned"]
"""What an input must hash to; "unpinned" where the setting's author has not had it at hand.

A record names what it found in its own `inputs`, and one board takes no two kinds of them.
"""


class Frozen(BaseModel):
    """Base of all specs: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DatasetSpec(Frozen):
    """Which interactions and texts.

    `sha256` is the dataset's content hash (see `gti.data.dataset`), so another version of the same
    name is refused instead of silently scored.

    `options`: what the dataset's card lets one choose (the item's unit, the k of a k-core);
    `sample_users`: a stated sub-sample of the users, drawn by a hash of their ids.
    """

    name: Annotated[str, Field(min_length=1)]
    options: dict[str, str | int | bool] | None = None
    sample_users: Annotated[int, Field(ge=1)] | None = None
    sha256: Pin
    title_field: Annotated[str, Field(min_length=1)]
    detail_fields: tuple[str, ...]
    min_interactions: Annotated[int, Field(ge=3)]
    max_history: Annotated[int, Field(ge=1)]
    seen_items: Literal["keep", "remove"]


class RqVaeSpec(Frozen):
    """How an RQ-VAE is trained: an MLP into `code_dim` dimensions, quantised level by level.

    `batch_size` 0 takes all items in every step; `diversity` weighs LETTER's term (0: off) over
    `diversity_groups` groups of codes; `sinkhorn_epsilon` 0 leaves the last level as it falls.
    """

    hidden: tuple[Annotated[int, Field(ge=1)], ...]
    code_dim: Annotated[int, Field(ge=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=0)]
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    commitment: Annotated[float, Field(ge=0)]
    diversity: Annotated[float, Field(ge=0)]
    diversity_groups: Annotated[int, Field(ge=1)]
    sinkhorn_epsilon: Annotated[float, Field(ge=0)]
    sinkhorn_iterations: Annotated[int, Field(ge=1)]


NO_ENCODER = "none"
"""In a setting with published indices: there is no encoder, and so there are no codebooks."""


class SemanticIdsSpec(Frozen):
    """Which Semantic IDs.

    `seed`: the quantiser's; "cell": seed s of training uses draw s, so that the variance over seeds
    holds the tokenizer's too. `sha256`: what the one draw must hash to; `draws`: seed → the same of
    its own draw, under seed "cell", where a seed that is not in it is drawn unpinned.
    `pca_dim`: dimensions the embeddings are reduced to first; 0 takes them as they are. On raw
    embeddings the later levels of residual k-means use their codes unevenly.
    `encoder`: of the item texts; "none" for published indices that have none and so no codebooks.
    `encoder_max_tokens`: longer texts are cut there; absent: at the encoder's own limit.
    """

    quantiser: Literal["residual_kmeans", "rq_vae", "published"]
    encoder: Annotated[str, Field(min_length=1)]
    pca_dim: Annotated[int, Field(ge=0)]
    levels: Annotated[int, Field(ge=1, le=MOST_LEVELS)]
    codes: Annotated[int, Field(ge=2, le=MOST_CODES)]
    seed: Annotated[int, Field(ge=0)] | Literal["cell"]
    sha256: Pin | None = None
    draws: dict[Annotated[str, Field(pattern=r"^(0|[1-9][0-9]*)$")], Sha256] | None = None
    encoder_max_tokens: Annotated[int, Field(ge=3)] | None = None
    rq_vae: RqVaeSpec | None = None

    @model_validator(mode="after")
    def _table_of_the_quantiser(self) -> Self:
        if (self.quantiser == "rq_vae") != (self.rq_vae is not None):
            raise ValueError("quantiser 'rq_vae' and the table [semantic_ids.rq_vae] go together")
        return self

    @model_validator(mode="after")
    def _texts_are_encoded(self) -> Self:
        if self.encoder == NO_ENCODER and self.quantiser != "published":
            raise ValueError(
                f"quantiser {self.quantiser!r} quantises vectors of texts: name an encoder;"
                f" {NO_ENCODER!r} goes with published indices alone"
            )
        return self

    @model_validator(mode="after")
    def _pins_of_the_seed(self) -> Self:
        if self.seed == "cell" and self.quantiser == "published":
            raise ValueError("published indices are one draw: give seed a number")
        if (self.seed == "cell") != (self.draws is not None):
            raise ValueError("seed 'cell' and the table [semantic_ids.draws] go together")
        if (self.seed == "cell") == (self.sha256 is not None):
            raise ValueError("sha256 pins the draw of one seed; under seed 'cell' draws does")
        return self

    def seed_at(self, seed: int) -> int:
        """The quantiser's seed in a cell of `seed`."""
        return seed if self.seed == "cell" else self.seed

    def pin_at(self, seed: int) -> str:
        """What the Semantic IDs of a cell of `seed` must hash to, or "unpinned"."""
        if self.draws is None:
            assert self.sha256 is not None  # the spec holds one of the two
            return self.sha256
        return self.draws.get(str(seed), "unpinned")


class LoraSpec(Frozen):
    """Low-rank adapters on the backbone's projections; the embedding matrix trains in full."""

    rank: Annotated[int, Field(ge=1)]
    alpha: Annotated[float, Field(gt=0)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    targets: tuple[str, ...]


class BackboneSpec(Frozen):
    """Which pretrained causal language model, in which dtype."""

    name: Annotated[str, Field(min_length=1)]
    dtype: Literal["float32", "bfloat16"]
    lora: LoraSpec | None = None


class PromptsSpec(Frozen):
    """How text becomes tokens. The wordings themselves carry a hash in each record.

    `style`: "sequence" is the history itself; "chat" one question per target, in the backbone's
    chat template where it has one; "plain" the same without the template, about a third shorter.
    """

    style: Literal["sequence", "chat", "plain"]
    window: Annotated[int, Field(ge=2, description="items per training window, style 'sequence'")]
    max_text_tokens: Annotated[int, Field(ge=4)]


class OptimizerSpec(Frozen):
    """AdamW with linear warm-up and the named decay to zero."""

    learning_rate: Annotated[float, Field(gt=0)]
    batch_size: Annotated[int, Field(ge=1)]
    schedule: Literal["cosine", "linear", "constant"]
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    clip_norm: Annotated[float, Field(gt=0)] | None = None


class SftSpec(OptimizerSpec):
    """Fine-tuning on the retrieval stream R; its budget is `passes` over R or a number of steps.

    `rates`: "shared": one learning rate for all methods; "own": a method may have one of its own.
    """

    rates: Literal["shared", "own"]

    passes: Annotated[float, Field(gt=0)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.passes is None) == (self.steps is None):
            raise ValueError("give either passes or steps")
        return self


class GroundingSpec(OptimizerSpec):
    """The stage before SFT, with the new rows alone trainable.

    `held_out_share`: of the items, drawn by a hash of their ids, whose texts no method is shown;
    their pairs tell what grounding carries over, and which rate does it best. 0: none.
    """

    held_out_share: Annotated[float, Field(ge=0, le=0.5)]


class ExtraSpec(Frozen):
    """The extra budget A in nominal FLOPs, one for all methods that spend it.

    Given as a share of R's FLOPs, or by what GTI's grounding costs at a published length: passes
    over the pairs, or optimiser steps with only the new rows trainable. `free_steps`: further
    steps with all weights free (paper §4.1), part of A.
    """

    share_of_sft: Annotated[float, Field(gt=0)] | None = None
    grounding_passes: Annotated[float, Field(gt=0)] | None = None
    grounding_steps: Annotated[int, Field(ge=1)] | None = None
    free_steps: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        given = (self.share_of_sft, self.grounding_passes, self.grounding_steps)
        if sum(value is not None for value in given) != 1:
            raise ValueError("give one of share_of_sft, grounding_passes, grounding_steps")
        if self.free_steps is not None and self.grounding_steps is None:
            raise ValueError("free_steps goes with grounding_steps")
        return self


class AuxiliarySpec(Frozen):
    """LC-Rec's alignment tasks beside R.

    `mixture`: task family → its share of the examples (weights; their sum does not matter);
    `pooling`: "token_mean" takes one mean over all answer tokens of a step, as LC-Rec does;
    "two_means" adds up two, one of R's answer tokens and one of the alignment tasks';
    `loss_weight`: of an alignment task's answer token, one of R's counting 1 (so 1.0 is LC-Rec's);
    under "two_means" of the tasks' mean loss, R's counting 1;
    `every`: their examples come together beside every so many steps.
    """

    mixture: dict[str, Annotated[float, Field(gt=0)]]
    loss_weight: Annotated[float, Field(gt=0)]
    pooling: Literal["token_mean", "two_means"]
    every: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.mixture:
            raise ValueError("mixture names no task family")
        return self


class WarmColdNewSpec(Frozen):
    """What the query rule "warm_cold_new" (`gti.data.warm_cold_new`) leaves open.

    `shares`: of items that are warm, cold and new; `ways`: in which held-out queries ask;
    `train_per_item`: training queries of each warm item; `held_out_per_item`: test queries of each
    item and way, and as many for validation; `items`: a stated sample of the dataset's items, drawn
    by a hash of their ids, which is then the whole catalogue (absent: all).
    """

    shares: tuple[Share, Share, Share]
    ways: tuple[Literal["title", "detail", "paraphrase"], ...]
    train_per_item: Annotated[int, Field(ge=1)]
    held_out_per_item: Annotated[int, Field(ge=1)]
    items: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _shares_and_ways(self) -> Self:
        if abs(math.fsum(self.shares) - 1) > 1e-9 or not self.shares[0]:
            raise ValueError(
                f"shares (warm, cold, new) must sum to 1, some items warm; found {[*self.shares]}"
            )
        if not self.ways or len(set(self.ways)) != len(self.ways):
            raise ValueError(f"ways must be different, at least one; found {[*self.ways]}")
        return self


class QueriesSpec(Frozen):
    """The retrieval track: queries made from item texts by a rule, graded relevance.

    `sha256`: content hash of the queries that the rule makes; `per_item`: under "item_texts"
    (`gti.data.item_texts`), known-item queries made from each item; `words`: words in a query at
    most; `category_fields`: fields that items of grade 1 have in common, under "item_texts" also
    those whose values make category queries, the main one first (none: no such); `gains`: what an
    item of grade 1 (maybe) and one of grade 2 (good) are worth in NDCG.
    """

    rule: Literal["item_texts", "warm_cold_new"]
    sha256: Pin
    per_item: Annotated[int, Field(ge=3)] | None = None
    words: Annotated[int, Field(ge=2)]
    category_fields: tuple[str, ...]
    gains: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
    warm_cold_new: WarmColdNewSpec | None = None

    @model_validator(mode="after")
    def _good_is_worth_more(self) -> Self:
        if not self.gains[0] < self.gains[1]:
            raise ValueError("gains must rise with the grade")
        return self

    @model_validator(mode="after")
    def _what_the_rule_needs(self) -> Self:
        if (self.rule == "item_texts") != (self.per_item is not None):
            raise ValueError("rule 'item_texts' and per_item go together")
        if (self.rule == "warm_cold_new") != (self.warm_cold_new is not None):
            raise ValueError(
                "rule 'warm_cold_new' and the table [queries.warm_cold_new] go together"
            )
        return self

    @property
    def items(self) -> int | None:
        """How many of the dataset's items are the catalogue; null: all."""
        return None if self.warm_cold_new is None else self.warm_cold_new.items


Rate = Annotated[float, Field(gt=0)]


class TuningSpec(Frozen):
    """What `gti-bench tune` tries: the same rates for all methods, at seeds that no board uses.

    `seeds`: two, so that a lead can be asked for twice, or one where all methods have one rate;
    `grounding_rates` and `sft_rates`: in rising order. Without `grounding_rates` the setting's own
    stands, as it must where no items are held out of grounding.
    """

    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, max_length=2)]
    grounding_rates: Annotated[tuple[Rate, ...], Field(min_length=2)] | None = None
    sft_rates: tuple[Rate, Rate, Rate, Rate, Rate]

    @model_validator(mode="after")
    def _seeds_differ_and_rates_rise(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"tuning.seeds must be different; found {[*self.seeds]}")
        for name in ("grounding_rates", "sft_rates"):
            rates = getattr(self, name) or ()
            if list(rates) != sorted(set(rates)):
                raise ValueError(f"tuning.{name} must rise; found {[*rates]}")
        return self


class DecodingSpec(Frozen):
    """Trie-constrained beam search; the beam is never shrunk.

    `method` "exact" scores every item instead and keeps the `beam` best of all; "beam", the
    default, is held as null, so that settings from before there was a choice keep their hash.
    """

    beam: Annotated[int, Field(ge=1, le=MOST_RANKED)]
    method: Literal["exact"] | None = None

    @field_validator("method", mode="before")
    @classmethod
    def _beam_is_the_default(cls, value: object) -> object:
        return None if value == "beam" else value


class EvaluationSpec(Frozen):
    """When and on whom to score. The main score is `ndcg@10`.

    `wordings`: prompts per user, the first so many wordings of the task; scores are means over
    them. Style "sequence" has one.
    """

    cutoffs: Annotated[
        tuple[Annotated[int, Field(ge=1, le=MOST_RANKED)], ...], Field(max_length=MOST_NAMED)
    ]
    wordings: Annotated[int, Field(ge=1, le=MOST_NAMED)]
    validation_users: Annotated[int, Field(ge=1, description="fixed sample scored in training")]
    curve_points: Annotated[
        int, Field(ge=1, le=MOST_POINTS, description="scored steps after step 0")
    ]

    @model_validator(mode="after")
    def _cutoffs_rise_and_hold_ten(self) -> Self:
        if list(self.cutoffs) != sorted(set(self.cutoffs)):
            raise ValueError(f"cutoffs must rise, found {list(self.cutoffs)}")
        if 10 not in self.cutoffs:
            raise ValueError("cutoffs must hold 10: the main score is ndcg@10")
        return self


Outcome = Annotated[
    str,
    Field(
        pattern=r"^(nll|trie_nll|peer_auc|(recall|ndcg|mrr|precision_good|precision_any)@[1-9][0-9]*)$"
    ),
]


class PrimaryContrastSpec(Frozen):
    """One declared contrast: the claim that `a` does better than `b` by the outcome.

    `on`: slices of the test split whose users (queries) alone count, together; none: all of them.
    """

    a: Name
    b: Name
    on: tuple[str, ...] = ()
    claim: Annotated[str, Field(pattern=r"^[^|\n]+$")]

    @model_validator(mode="after")
    def _two_methods(self) -> Self:
        if self.a == self.b:
            raise ValueError(f"a contrast needs two methods, found {self.a} twice")
        return self


class PrimarySpec(Frozen):
    """What the setting is to decide, declared before its seeds run.

    `outcome`: the metric; `margin`: differences up to it are as good as none, in its units;
    `rule`: "fixed order" tests one contrast after the other, each at the whole level, until one is
    not shown; "holm" corrects over all of them. Everything else on a board stands behind them.
    """

    outcome: Outcome
    margin: Annotated[float, Field(gt=0)]
    rule: Literal["fixed order", "holm"]
    contrasts: Annotated[tuple[PrimaryContrastSpec, ...], Field(min_length=1, max_length=4)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        named = [(frozenset((each.a, each.b)), frozenset(each.on)) for each in self.contrasts]
        if len(set(named)) != len(named):
            raise ValueError("a contrast is declared twice")
        return self
