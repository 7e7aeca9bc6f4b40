"""`python -m gti MODEL PAIRS.jsonl OUT`: adds tokens to a model on disk, grounded in texts."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads model and pairs, grounds, writes; returns 0, or 2 where the input cannot be used."""
    asked = _parser().parse_args(arguments)
    from gti.token_pairs import TokensError
    from gti.tokens import ground_tokens

    try:
        pairs = read_pairs(asked.pairs)
        if asked.out.exists() and any(asked.out.iterdir()):
            raise TokensError(f"{asked.out} is not empty; name another folder for the new model")
        tokenizer, model = _load(asked.model)
        report = ground_tokens(
            model,
            tokenizer,
            pairs,
            init=asked.init,
            passes=asked.passes,
            learning_rate=asked.rate,
            batch_size=asked.batch_size,
            style=asked.style,
            seed=asked.seed,
            progress=_progress if sys.stderr.isatty() else None,
        )
    except (TokensError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    model.save_pretrained(asked.out)
    tokenizer.save_pretrained(asked.out)
    print(report)
    print(f"written to {asked.out}")
    return 0


def read_pairs(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file: {"tokens": …, "text": …} each.

    Raises:
        TokensError: names the line that is none.
    """
    from gti.token_pairs import TokensError

    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TokensError(f"{path}: not UTF-8 ({error.reason}, byte {error.start})") from error
    pairs = []
    # Not splitlines(): it also splits at characters that may stand inside a text.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            pair = json.loads(line)
        except ValueError as error:
            raise TokensError(f"{path}, line {number}: not valid JSON: {error}") from error
        if not isinstance(pair, dict):
            raise TokensError(f'{path}, line {number}: expected {{"tokens": …, "text": …}}')
        pairs.append(pair)
    return pairs


def _load(name: str) -> tuple[Any, Any]:
    """Tokenizer and model of a folder or a hub name."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoTokenizer.from_pretrained(name), AutoModelForCausalLM.from_pretrained(name)


def _progress(done: int, steps: int, loss: float) -> None:
    print(f"\rstep {done} of {steps}, loss {loss:.2f} ", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gti", description=__doc__)
    parser.add_argument("model", help="a model folder, or a name on the hub")
    parser.add_argument(
        "pairs", type=Path, help='lines of {"tokens": "<new>", "text": "what it is"}'
    )
    parser.add_argument("out", type=Path, help="an empty or new folder")
    parser.add_argument("--init", default="mean", help="first rows (default: mean)")
    parser.add_argument("--passes", type=float, default=10, help="over the pairs (default: 10)")
    parser.add_argument("--rate", type=float, default=1e-2, help="learning rate (default: 0.01)")
    parser.add_argument("--batch-size", type=int, default=32, help="examples a step (default: 32)")
    parser.add_argument("--style", choices=("chat", "plain"), default="chat", help="prompts")
    parser.add_argument("--seed", type=int, default=0, help="of rows and order (default: 0)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
