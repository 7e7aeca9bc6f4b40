"""Grounded Token Initialization (GTI, arXiv 2604.02324), usable with any Hugging Face causal LM."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gti.token_pairs import TokensError
    from gti.tokens import GroundedTokens, ground_tokens, initialize_tokens

__all__ = ["GroundedTokens", "TokensError", "ground_tokens", "initialize_tokens"]


def __getattr__(name: str) -> Any:
    """Loads the short way when it is asked for: it needs torch, which parts of this do without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import gti.tokens

    return getattr(gti.tokens, name)
