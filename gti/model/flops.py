"""Nominal FLOPs: what a stage costs in its plain form, so that speed-ups never change a budget.

Counts multiply-adds as two operations. For a packed list of sequences of lengths n_i, N body
parameters (all but embedding matrix and head), V matrix rows, width d, attention width a:

    forward  = Σ_i [ 2 N n_i + 4 · layers · a · n_i (n_i + 1) / 2 + 2 V d n_i ]

(body, causal attention, head at every position). Training everything costs three forwards.
Algorithm 1 of GTI as written trains only rows of the matrix: the body has no weight gradients
(two forwards of it), attention and head cost three. Padding never counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from gti.model.capabilities import head_width, text_config

Trains = Literal["all", "rows", "nothing"]


@dataclass(frozen=True)
class ModelShape:
    """The sizes that FLOPs depend on.

    Attributes:
        body: parameters apart from embedding matrix and head.
        matrix_rows: rows of the head, V.
        width: d.
        layers: number of attention layers.
        attention_width: heads × head dimension.
    """

    body: int
    matrix_rows: int
    width: int
    layers: int
    attention_width: int

    @classmethod
    def of(cls, model: Any) -> "ModelShape":
        """Reads the sizes off a Hugging Face causal LM; without attention its width is 0."""
        matrix = model.get_input_embeddings().weight
        head = model.get_output_embeddings().weight
        outside = {id(matrix), id(head)}
        config = text_config(model.config)
        heads = getattr(config, "num_attention_heads", None) or 0
        head_dim = head_width(config, heads) if heads else 0
        return cls(
            # Adapters are left out: a budget is the same before and after they are put in.
            body=sum(
                p.numel()
                for name, p in model.named_parameters()
                if id(p) not in outside and ".lora_" not in name
            ),
            matrix_rows=head.shape[0],
            width=head.shape[1],
            layers=config.num_hidden_layers,
            attention_width=head_dim * heads,
        )

    def flops(
        self,
        lengths: Iterable[int],
        trains: Trains = "all",
        head_positions: int | None = None,
    ) -> float:
        """FLOPs over sequences of the given lengths.

        Args:
            lengths: tokens per sequence.
            trains: "all" weights, only "rows" of the matrix, or "nothing" (a forward pass).
            head_positions: positions the head is applied to in all; default every token (the
                plain form). Fewer gives the actual cost of answer-only logits.
        """
        lengths = list(lengths)
        tokens = sum(lengths)
        body = 2.0 * self.body * tokens
        attention = sum(2.0 * self.layers * self.attention_width * n * (n + 1) for n in lengths)
        positions = tokens if head_positions is None else head_positions
        head = 2.0 * self.matrix_rows * self.width * positions
        if trains == "nothing":
            return body + attention + head
        return (3.0 if trains == "all" else 2.0) * body + 3.0 * (attention + head)

    def spent_flops(
        self, lengths: Iterable[int], targets: int, trains: Trains, before: int = 0
    ) -> float:
        """FLOPs really spent: the head at the `targets` alone, no gradient of rows not trained.

        Args:
            lengths: tokens per sequence that are run.
            targets: positions that the head is applied to.
            trains: see `flops`.
            before: constant tokens that each sequence attends to and that are not run with it
                (`gti.train.constant_prefixes`).
        """
        lengths = list(lengths)
        passes = 1.0 if trains == "nothing" else 3.0
        attention = passes * 4.0 * self.layers * self.attention_width * before * sum(lengths)
        if trains != "rows":
            return self.flops(lengths, trains, head_positions=targets) + attention
        # Forward and back through the head, and no gradient of the matrix. That of the new rows
        # is about a hundredth of it and not counted.
        head = 4.0 * self.matrix_rows * self.width * targets
        return self.flops(lengths, trains, head_positions=0) + attention + head
