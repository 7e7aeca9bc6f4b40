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
    there = asked.out.exists()
    from gti.token_pairs import TokensError
    from gti.tokens import ground_tokens
    from gti.train.training import TrainingError

    try:
        pairs = read_pairs(asked.pairs)
        if asked.out.exists() and (not asked.out.is_dir() or any(asked.out.iterdir())):
            raise TokensError(f"{asked.out} is not an empty folder; name another for the new model")
        tokenizer, model = _load(asked.model, asked.device)
        asked.out.mkdir(parents=True, exist_ok=True)  # before the hours that it may take
        report = ground_tokens(
            model,
            tokenizer,
            pairs,
            init=asked.init,
            passes=asked.passes,
            learning_rate=asked.rate,
            batch_size=asked.batch_size,
            style=asked.style,
            max_text_tokens=asked.max_text_tokens,
            dtype=asked.dtype,
            seed=asked.seed,
        )
        model.save_pretrained(asked.out)
        tokenizer.save_pretrained(asked.out)
    except (ValueError, OSError, TrainingError) as error:
        print(f"error: {' '.join(str(error).split())[:500]}", file=sys.stderr)
        if not there and asked.out.is_dir() and not any(asked.out.iterdir()):
            asked.out.rmdir()
        return 2
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
        raise TokensError(f"{path} is not UTF-8: byte {error.start} is wrong") from error
    pairs = []
    for number, line in enumerate(text.split("\n"), 1):  # a text may hold other ends of lines
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


def _load(name: str, device: str | None) -> tuple[Any, Any]:
    """Tokenizer and model of a folder or a hub name; null: on a GPU that torch sees, if any."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from gti.token_pairs import TokensError

    tokenizer = AutoTokenizer.from_pretrained(name)
    model: Any = AutoModelForCausalLM.from_pretrained(name)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return tokenizer, model.to(device)
    except RuntimeError as error:
        raise TokensError(f"device {device!r} cannot be used: {error}") from error


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
    parser.add_argument(
        "--max-text-tokens", type=int, default=128, help="longer texts are cut (default: 128)"
    )
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), help="default: what the device is fast in"
    )
    parser.add_argument("--device", help="default: cuda where there is one, else cpu")
    parser.add_argument("--seed", type=int, default=0, help="of rows and order (default: 0)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
