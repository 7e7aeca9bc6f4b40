"""What could go wrong with new tokens, looked at before model or tokenizer are touched."""

import copy
import math
import unicodedata
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from gti.model.capabilities import context_of, text_config, why_not_plain
from gti.prompts.chat_form import ChatFormError, chat_form
from gti.token_pairs import TokenPairs, TokensError

WORDING = 32
"""Tokens that a prompt's own words take at most, besides the chat template's."""
LEAST_SPARE = 1024
"""Rows that a matrix has beyond its tokenizer's without anybody asking why."""


def check_options(
    passes: Any, learning_rate: Any, batch_size: Any, max_text_tokens: Any, seed: Any
) -> None:
    """Refuses numbers that are none, or too small.

    Raises:
        TokensError: names the option and what was found.
    """
    for name, value in (("passes", passes), ("learning_rate", learning_rate)):
        if not isinstance(value, Real) or not math.isfinite(value) or value <= 0:
            raise TokensError(f"{name} must be a number above 0, found {value!r:.40}")
    for name, value in (("batch_size", batch_size), ("max_text_tokens", max_text_tokens)):
        if not isinstance(value, Integral) or value < 1:
            raise TokensError(f"{name} must be a whole number above 0, found {value!r:.40}")
    check_seed(seed)


def check_seed(seed: Any) -> None:
    """Refuses what is no whole number of 0 or more.

    Raises:
        TokensError: with what was found.
    """
    if not isinstance(seed, Integral) or seed < 0:
        raise TokensError(f"seed must be a whole number of 0 or more, found {seed!r:.40}")


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuses a `value` that is not among `choices`.

    Raises:
        TokensError: lists what there is.
    """
    if value not in choices:
        raise TokensError(f"unknown {name} {value!r:.40}; there are {', '.join(choices)}")


def check_model_and_tokenizer(model: Any, tokenizer: Any, named: TokenPairs) -> None:
    """Looks at all about the two that could go wrong later.

    Raises:
        TokensError: one sentence, with the way out.
    """
    if not hasattr(model, "get_input_embeddings"):
        raise TokensError(f"model is {model!r:.40}, expected a causal LM of transformers")
    if getattr(model, "is_quantized", False) or getattr(model, "hf_quantizer", None) is not None:
        raise TokensError(
            "the model is quantised: load it in bfloat16 or float32, ground, then quantise"
        )
    if any(weight.device.type == "meta" for weight in model.parameters()):
        raise TokensError("the model lies on the meta device and has no weights; load it first")
    if (reason := why_not_plain(model)) is not None:
        raise TokensError(f"{type(model).__name__}: {reason}")
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise TokensError(
            f"{type(tokenizer).__name__} is no fast tokenizer, one with a tokenizer.json; load it"
            " with AutoTokenizer"
        )
    _check_belongs(model, tokenizer)
    known = tokenizer.get_vocab()
    for token in named.tokens:
        if token in known:
            raise TokensError(
                f"token {token!r} is in the vocabulary already; take another name, or leave it out"
            )
    _check_whole(tokenizer, named)


def _check_belongs(model: Any, tokenizer: Any) -> None:
    """Refuses a tokenizer that is another model's, as far as numbers tell."""
    ids = tokenizer.get_vocab().values()
    rows = len(model.get_input_embeddings().weight)
    if max(ids) >= rows:
        raise TokensError(
            f"the tokenizer has ids up to {max(ids)}, the model {rows} rows: they do not belong"
            " together"
        )
    if rows > 2 * len(ids) and rows > len(ids) + LEAST_SPARE:
        raise TokensError(
            f"the tokenizer has {len(ids)} tokens, the model {rows} rows: they do not belong"
            " together"
        )
    config = text_config(model.config)
    for name in ("bos_token_id", "eos_token_id"):
        said = getattr(config, name, None)
        for number in said if isinstance(said, list | tuple) else (said,):
            if isinstance(number, int) and 0 <= number < rows and number not in ids:
                raise TokensError(
                    f"the model's {name} is {number}, which the tokenizer does not have: they do"
                    " not belong together"
                )


def _check_whole(tokenizer: Any, named: TokenPairs) -> None:
    """Tries on a copy that each token is read whole wherever it stands, and written as it is."""
    from tokenizers import AddedToken

    tried = copy.deepcopy(tokenizer)
    tried.add_tokens([AddedToken(each, normalized=False, special=False) for each in named.tokens])
    ids = dict(zip(named.tokens, tried.convert_tokens_to_ids(list(named.tokens)), strict=True))
    for token, number in ids.items():
        for around in ("{}", "a {} b", "a{}b", "{}{}"):
            expected = [number] * around.count("{}")
            _check_read(tried, [token], around.replace("{}", token), expected, {number})
        _check_written(tried, token, number)
    for index in {tuple(each.tolist()): None for each in named.token_index}:
        row = [named.tokens[number] for number in index]
        _check_read(tried, row, "".join(row), [ids[token] for token in row], {*ids.values()})


def _check_read(
    tried: Any, row: Sequence[str], text: str, expected: list[int], new: set[int]
) -> None:
    """Refuses tokens where `text` is read as other ones of those with ids `new` than `expected`."""
    ids = tried.backend_tokenizer.encode(text, add_special_tokens=False).ids
    if [number for number in ids if number in new] != expected:
        what = f"token {row[0]!r}" if len(row) == 1 else f"each of the tokens {', '.join(row)}"
        raise TokensError(
            f"the tokenizer does not keep {what} whole: it reads {text!r} as"
            f" {tried.convert_ids_to_tokens(ids)}; choose another name, without spaces, such as"
            f" <{_plain(row[0])}>"
        )


def _check_written(tried: Any, token: str, number: int) -> None:
    """Refuses `token` where its id is decoded to something else, alone or between words."""
    core = tried.backend_tokenizer
    for before, after in (("", ""), ("a ", " b")):
        ids = [
            *core.encode(before, add_special_tokens=False).ids,
            number,
            *core.encode(after, add_special_tokens=False).ids,
        ]
        written = core.decode(ids, skip_special_tokens=False)
        if token not in written or (not before and written != token):
            raise TokensError(
                f"the tokenizer reads token {token!r} but writes it as {written!r}; choose another"
                f" name, of plain letters, digits and signs, such as <{_plain(token)}>"
            )


def _plain(token: str) -> str:
    """`token` in plain letters, digits and signs, as an example of a name."""
    bare = unicodedata.normalize("NFKD", token)
    return "".join(each for each in bare if "!" <= each <= "~").strip("<>#") or "name"


def check_lengths(
    model: Any, tokenizer: Any, named: TokenPairs, max_text_tokens: int, template: bool
) -> int:
    """Looks whether texts, cut as they will be, fit into the context with a prompt around them.

    Args:
        model: a causal LM.
        tokenizer: before the tokens are added.
        named: the pairs.
        max_text_tokens: longer texts are cut there.
        template: whether prompts stand in the tokenizer's chat template, if it has one.

    Returns:
        How many pairs have a text that is cut.

    Raises:
        TokensError: they do not fit, or the template takes no question.
    """
    title, *others = named.fields
    lengths = [
        [
            len(tokenizer(text, add_special_tokens=False)["input_ids"])
            for text in (each[title], " ".join(each.get(name, "") for name in others))
        ]
        for each in named.texts
    ]
    context = context_of(model.config)
    room = _around(tokenizer, template) + max(map(len, named.token_index))
    longest = max(sum(min(length, max_text_tokens) for length in each) for each in lengths)
    if context is not None and room + longest > context:
        most = (context - room) // (2 if others else 1)
        if most < 1:
            raise TokensError(
                f"a prompt around the texts takes {room} tokens and the model's context is"
                f" {context}" + ('; style = "plain" asks without a template' if template else "")
            )
        raise TokensError(
            f"texts of {longest} tokens and {room} around them do not fit into the model's context"
            f" of {context}; lower max_text_tokens to {most}"
        )
    return sum(any(length > max_text_tokens for length in each) for each in lengths)


def _around(tokenizer: Any, template: bool) -> int:
    """Tokens that a prompt takes, at most, besides texts and new tokens."""
    if not template or getattr(tokenizer, "chat_template", None) is None:
        return WORDING
    try:
        form = chat_form(tokenizer)
    except ChatFormError as error:
        raise TokensError(str(error).replace("prompts.style", "style")) from error
    return WORDING + len(tokenizer(form.question("") + form.end())["input_ids"])
