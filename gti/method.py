"""The `Method` contract: how new tokens come in. GTI, every baseline and every control is one.

A method fills the new rows (`initialize`), may ask for a grounding stage before SFT (`grounding`),
may add tasks beside the retrieval stream (`alignment`), and says how it spends the extra budget A
(`spends`). Nothing else may differ between two methods of a setting.

It also says of itself what its records are checked against (`first_rows`), how it is drawn
(`order`, `look`), and what it is set beside (`question`, `contrasts`). Records carry these facts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from gti.data.dataset import IntArray
from gti.data.semantic_ids import SemanticIds

Group = Literal["core", "initialization", "control"]
"""Run by default · differs in the first rows alone · answers a "what if"."""
Spending = Literal["before", "beside", "after"]
"""When the extra budget A is spent: before, beside or after SFT on R."""
TrainsOn = Literal["texts", "retrieval", "codes", "states"]
"""What the stage before SFT sees: pairs of item text and Semantic ID · the retrieval stream R, the
same that SFT trains on · Semantic IDs alone · pairs, from which the rows learn the hidden states
that the model has behind the text."""
FirstRows = Literal["mean", "words", "drawn", "library"]
"""What first rows can be checked to be: all equal, as `gti.initializers.mean_rows` gives them ·
made of the words of each code's items, as `description` makes them · drawn one by one, hence all
different · what the library left, whose version `detail` names ("transformers 5.23.0")."""
Color = Literal["black", "orange", "sky", "green", "blue", "vermilion", "purple", "grey"]


@dataclass(frozen=True)
class Start:
    """All that `Method.initialize` may read: never a held-out target.

    Attributes:
        matrix: which matrix is being filled; "output" only where the head is not tied.
        text_rows: [num_text, d] float32, rows of the tokens the tokenizer had before; no padding.
        text_ids: [num_text] their token ids, ascending.
        default_rows: [num_new, d] float32, what the library left in the rows when the matrix grew.
        semantic_ids: codes and codebooks.
        item_texts: [num_items] field → text; nothing of items that may not be shown.
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
    """Which pairs of text and Semantic ID the grounding stage trains on, and what stays frozen.

    Attributes:
        text_to_sid: pairs text → Semantic ID.
        sid_to_text: pairs Semantic ID → text.
        shuffled: Semantic IDs are permuted over the items, without fixed points.
        frozen_share: share of the stage's budget with only the new rows trainable; the rest of it
            trains all weights on the same examples (paper §4.1).
        on: what it sees; the first three fields say which pairs where it sees texts.
    """

    text_to_sid: bool = True
    sid_to_text: bool = True
    shuffled: bool = False
    frozen_share: float = 1.0
    on: TrainsOn = "texts"


@dataclass(frozen=True)
class Look:
    """How figures draw a method.

    Attributes:
        color: of the palette.
        pattern: of lines and hatches: 0 is plain, there are four.
    """

    color: Color
    pattern: int = 0


@dataclass(frozen=True)
class Contrast:
    """A pair of methods that tells something, a - b; one of them declares it.

    Attributes:
        a: key of the first method.
        b: key of the second.
        isolates: what `a` has that `b` has not.
        place: among the pairs that answer one question the lower ones stand first, equal ones in
            the order of the methods that declare them.
    """

    a: str
    b: str
    isolates: str
    place: int = 0


class Method:
    """Base class of all methods; a subclass in `baselines/NAME.py` has the key `NAME`.

    How a method is drawn and what it is set beside is its own: a subclass of it starts without. One
    that fills the rows in its own way also says anew what its first rows are.

    Class attributes:
        key: what tables, files and the command line call it.
        summary: one line for `gti-bench list methods`.
        source: the paper or code it comes from.
        group: "core", "initialization" or "control".
        parent: key of the method whose rates it has where it has none of its own, so that the two
            differ in one thing; None: it is tuned itself. A subclass has its base's.
        version: raised when its numbers change; part of the method's hash.
        alignment: whether LC-Rec's alignment tasks run beside the retrieval stream.
        spends: share of the extra budget A spent before, beside and after SFT on R; the shares
            sum to 1, or the mapping is empty where the method uses R alone.
        first_rows: what `verify` holds its first rows to; None: to nothing.
        reads_texts: whether its first rows are made of items' texts, which it is shown by that.
        order: on figures and in legends lower ones stand first, equal ones by name.
        look: how figures draw it; None: in a look that no other method of the board has.
        question: what its contrasts help to answer.
        contrasts: pairs, itself in each, that `gti-bench contrasts` tests.
    """

    key: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    group: ClassVar[Group]
    parent: ClassVar[str | None] = None
    version: ClassVar[int] = 1
    alignment: ClassVar[bool] = False
    spends: ClassVar[dict[Spending, float]] = {}
    first_rows: ClassVar[FirstRows | None] = None
    reads_texts: ClassVar[bool] = False
    order: ClassVar[int] = 100
    look: ClassVar[Look | None] = None
    question: ClassVar[str] = ""
    contrasts: ClassVar[tuple[Contrast, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        fresh = ["order", "look", "question", "contrasts"]
        if "initialize" in vars(cls):
            fresh.append("first_rows")
        for name in set(fresh) - set(vars(cls)):
            setattr(cls, name, getattr(Method, name))

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
        MethodError: a missing attribute, an unknown group, budget shares that do not fit, or facts
            that cannot be.
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
    if method.parent == method.key:
        raise MethodError(f"method {method.key!r} cannot be its own `parent`")
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
    _check_facts(method)


def _check_facts(method: Method) -> None:
    """What the method says of itself can be checked, drawn and set beside others."""
    key, look = method.key, method.look
    if method.first_rows not in (None, *get_args(FirstRows)):
        raise MethodError(
            f"method {key!r}: first_rows {method.first_rows!r} is not one of"
            f" {', '.join(get_args(FirstRows))}, or None where nothing is claimed"
        )
    if method.first_rows == "library" and not method.detail.startswith("transformers "):
        raise MethodError(
            f"method {key!r}: first_rows 'library' needs a `detail` that names the library's"
            f" version, 'transformers X', found {method.detail!r}"
        )
    if look is not None and (look.color not in get_args(Color) or look.pattern not in range(4)):
        raise MethodError(
            f"method {key!r}: {look} must have a color of {', '.join(get_args(Color))} and a"
            " pattern of 0 to 3"
        )
    for contrast in method.contrasts:
        if key not in (contrast.a, contrast.b) or contrast.a == contrast.b:
            raise MethodError(
                f"method {key!r}: a contrast sets it beside another method, found"
                f" {contrast.a!r} and {contrast.b!r}"
            )
    if bool(method.contrasts) != bool(method.question):
        raise MethodError(
            f"method {key!r}: contrasts and the `question` that they answer go together"
        )
