"""The `Method` contract: how new tokens come in. GTI, every baseline and every control is one.

A method fills the new rows (`initialize`), may ask for a grounding stage before SFT (`grounding`),
may add tasks beside the retrieval stream (`alignment`), and says how it spends the extra budget A
(`spends`). Nothing else may differ between two methods of a setting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from gti.data.dataset import IntArray
from gti.data.semantic_ids import SemanticIds

Group = Literal["core", "initialization", "control"]
Spending = Literal["before", "beside", "after"]


@dataclass(frozen=True)
class Start:
    """All that `Method.initialize` may read: never a held-out target.

    Attributes:
        matrix: which matrix is being filled; "output" only where the head is not tied.
        text_rows: [num_text, d] float32, rows of the tokens the tokenizer had before; no padding.
        text_ids: [num_text] their token ids, ascending.
        default_rows: [num_new, d] float32, what the library left in the rows when the matrix grew.
        semantic_ids: codes and codebooks.
        item_texts: [num_items] field → text.
        train: per user the training items, in order of time.
        tokenize: text → token ids, as before the tokenizer grew.
        generator: stream "init" of the cell's seed; draw on the CPU.
    """

    matrix: Literal["input", "output"]
    text_rows: Tensor
    text_ids: Tensor
    default_rows: Tensor
    semantic_ids: SemanticIds
    item_texts: tuple[dict[str, str], ...]
    train: tuple[IntArray, ...]
    tokenize: Callable[[str], list[int]]
    generator: torch.Generator

    @property
    def num_new(self) -> int:
        """Number of new rows, L × K, those of unused codes included."""
        return self.semantic_ids.num_tokens

    @property
    def width(self) -> int:
        """Width of a row, d."""
        return int(self.text_rows.shape[1])


@dataclass(frozen=True)
class GroundingPlan:
    """What the stage before SFT trains on (METHOD §2).

    Attributes:
        text_to_sid: pairs text → Semantic ID.
        sid_to_text: pairs Semantic ID → text.
        shuffled: Semantic IDs are permuted over the items, without fixed points.
        frozen_share: share of the stage's budget with only the new rows trainable; the rest of it
            trains all weights on the same pairs (paper §4.1).
    """

    text_to_sid: bool = True
    sid_to_text: bool = True
    shuffled: bool = False
    frozen_share: float = 1.0


class Method:
    """Base class of all methods; a subclass in `baselines/NAME.py` has the key `NAME`.

    Class attributes:
        key: what tables, files and the command line call it.
        summary: one line for `gti-bench list methods`.
        source: the paper or code it comes from.
        group: "core", "initialization" or "control".
        version: raised when its numbers change; part of the method's hash.
        alignment: whether LC-Rec's alignment tasks run beside the retrieval stream.
        spends: share of the extra budget A spent before, beside and after SFT on R; the shares
            sum to 1, or the mapping is empty where the method uses R alone.
    """

    key: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    group: ClassVar[Group]
    version: ClassVar[int] = 1
    alignment: ClassVar[bool] = False
    spends: ClassVar[dict[Spending, float]] = {}

    def initialize(self, start: Start) -> Tensor:
        """[num_new, d] float32: what the new rows hold first."""
        raise NotImplementedError(f"method {self.key!r} does not say how it initializes")

    def grounding(self) -> GroundingPlan | None:
        """The stage before SFT, or null where there is none."""
        return None

    @property
    def detail(self) -> str:
        """What a manifest must name beside key and version (a library's version); mostly empty."""
        return ""

    @property
    def initializer(self) -> str:
        """Who wrote the first rows, as the record's manifest names it."""
        return f"{self.key} v{self.version}" + (f" ({self.detail})" if self.detail else "")


class MethodError(ValueError):
    """A method that breaks the contract; the message names it and the clause."""


def check_method(method: Method) -> None:
    """Checks the class attributes of `method` against the contract.

    Raises:
        MethodError: a missing attribute, an unknown group, or budget shares that do not fit.
    """
    name = type(method).__name__
    for attribute in ("key", "summary", "source", "group"):
        if not isinstance(getattr(method, attribute, None), str):
            raise MethodError(f"method class {name} must set `{attribute}` to a string")
    if method.group not in ("core", "initialization", "control"):
        raise MethodError(
            f"method {method.key!r}: group {method.group!r} is not one of core, initialization,"
            " control"
        )
    shares = method.spends
    if set(shares) - {"before", "beside", "after"} or (
        shares and abs(sum(shares.values()) - 1) > 1e-9
    ):
        raise MethodError(
            f"method {method.key!r}: `spends` must give shares of before, beside, after that"
            f" sum to 1 (or nothing), found {shares}"
        )
    if ("before" in shares) != (method.grounding() is not None):
        raise MethodError(
            f"method {method.key!r}: a grounding stage and spends['before'] go together"
        )
    if ("beside" in shares) != method.alignment:
        raise MethodError(
            f"method {method.key!r}: alignment tasks and spends['beside'] go together"
        )
