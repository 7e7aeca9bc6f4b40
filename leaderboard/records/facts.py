"""`MethodFacts`: what a method says of itself beside what can change a number.

Class attributes of `gti.method.Method`, and what follows from its grounding stage. Of a record's
hashes the digest alone covers them.
"""

from typing import Annotated, Literal

from pydantic import Field

from leaderboard.records.specs import Frozen, Name

FirstRows = Literal["mean", "words", "drawn", "library"]
Color = Literal["black", "orange", "sky", "green", "blue", "vermilion", "purple", "grey"]

Phrase = Annotated[str, Field(pattern=r"^[^|\n]+$")]
"""Words that fit into one field of a table."""


class Look(Frozen):
    """How figures draw a method: a colour of the palette, and one of four lines and hatches."""

    color: Color
    pattern: Annotated[int, Field(ge=0, le=3)]


class Contrast(Frozen):
    """A pair of methods, `a` - `b`, and what they differ in.

    Attributes:
        question: what the pair helps to answer.
        a: key of the first method.
        b: key of the second.
        isolates: what `a` has that `b` has not.
        place: among the pairs of a question lower ones stand first.
    """

    question: Phrase
    a: Name
    b: Name
    isolates: Phrase
    place: int


class MethodFacts(Frozen):
    """What `verify` holds a method's records to, how it is drawn, and what it is set beside.

    Attributes:
        first_rows: all equal to the mean row, made of the words of a code's items, drawn one by
            one, or left by the library; null where nothing is claimed.
        stages: training stages before SFT, in their order.
        directions: of the pairs that these train on; "retrieval" or "codes" where they train on
            the retrieval stream R, or on Semantic IDs alone, instead; "states" where pairs teach
            hidden states in the place of tokens.
        order: on figures and in legends lower ones stand first, equal ones by name.
        look: null where the method has none of its own.
        contrasts: pairs, the method in each.
    """

    first_rows: FirstRows | None
    stages: tuple[Literal["grounding", "grounding_free"], ...]
    directions: tuple[Literal["text_to_sid", "sid_to_text", "retrieval", "codes", "states"], ...]
    order: int
    look: Look | None
    contrasts: tuple[Contrast, ...]
