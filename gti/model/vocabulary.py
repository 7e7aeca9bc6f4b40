"""New rows of the embedding matrix: added after tokenizer growth, written by token id, proven.

The matrix never shrinks. On a padded vocabulary (Qwen3 has 151,936 rows for about 151,669 tokens)
the first new tokens land on old padding rows; they are written like the rest, and what stays
padding is never counted among the text rows.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gti.data.dataset import IntArray
from gti.model.capabilities import ModelError, why_not_plain


class VocabularyError(ModelError):
    """A tokenizer or model that the new tokens cannot be added to."""


@dataclass(frozen=True)
class Vocabulary:
    """Where new and old tokens live in the matrix.

    Attributes:
        new_ids: [num_new] token ids, in the order of `SemanticIds.tokens`.
        text_ids: [num_text] ids of the tokens the tokenizer had before, ascending.
        rows_before: matrix rows before the extension.
        matrix_rows: matrix rows now.
        tied: whether head and embedding share their matrix.
        default_rows: per matrix [num_new, d] float32: what the library left in the new rows.
        text_sha256_before: `rows_sha256` of the text rows before the tokenizer grew.
        new_sha256_before: `rows_sha256` of the new rows before they were written; null where some
            did not exist.
    """

    new_ids: Tensor
    text_ids: Tensor
    rows_before: int
    matrix_rows: int
    tied: bool
    default_rows: tuple[Tensor, ...]
    text_sha256_before: str
    new_sha256_before: str | None

    @property
    def padding_rows(self) -> int:
        """Rows that belong to no token."""
        return self.matrix_rows - len(self.new_ids) - len(self.text_ids)

    def sid_token_ids(self, token_index: IntArray) -> IntArray:
        """[…] token ids for indices into the new tokens."""
        ids: IntArray = self.new_ids.cpu().numpy()[token_index]
        return ids


def embedding_matrices(model: Any) -> list[torch.nn.Parameter]:
    """The embedding matrix, and the head's own where it is not tied."""
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    return [embedding] if head is embedding else [embedding, head]


def extend_vocabulary(
    tokenizer: Any, model: Any, tokens: tuple[str, ...], seed: int = 0
) -> Vocabulary:
    """Adds `tokens` to `tokenizer` and gives each a row of `model`'s matrix.

    The rows' content is left to the caller (`write_rows`); text rows keep theirs bit for bit. Until
    then the rows hold what the installed transformers leaves: rows past the end of the old matrix
    what `resize_token_embeddings` fills them with by default, old padding rows what stood there.

    Args:
        tokenizer: a Hugging Face tokenizer; changed in place.
        model: a Hugging Face causal LM; changed in place.
        tokens: new token strings, if any; none may exist yet.
        seed: of the library's draws for the rows' first content.

    Raises:
        VocabularyError: a token exists already, or a model that `check_model` refuses.
    """
    reason = why_not_plain(model)
    if reason is not None:
        raise VocabularyError(f"{type(model).__name__}: {reason}")
    known = tokenizer.get_vocab()
    clashes = [token for token in tokens if token in known]
    if clashes:
        raise VocabularyError(f"token {clashes[0]!r} is already in the tokenizer's vocabulary")
    rows_before = model.get_input_embeddings().weight.shape[0]
    text_ids = torch.tensor(sorted(i for i in known.values() if i < rows_before))
    text_before = matrices_sha256(model, text_ids)
    from tokenizers import AddedToken

    added = [AddedToken(token, normalized=False, special=False) for token in tokens]
    tokenizer.add_tokens(added)
    new_ids = torch.tensor(tokenizer.convert_tokens_to_ids(list(tokens)), dtype=torch.long)
    existed = not tokens or int(new_ids.max()) < rows_before
    new_before = matrices_sha256(model, new_ids) if existed else None
    if not existed:
        # The library fills fresh rows from the global generator; most methods overwrite them, but
        # `hf_default` keeps them: forked and seeded, they are the same in every run.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model.resize_token_embeddings(int(new_ids.max()) + 1)
    matrices = embedding_matrices(model)
    return Vocabulary(
        new_ids=new_ids,
        text_ids=text_ids,
        rows_before=rows_before,
        matrix_rows=matrices[0].shape[0],
        tied=len(matrices) == 1,
        default_rows=tuple(read_rows(matrix, new_ids) for matrix in matrices),
        text_sha256_before=text_before,
        new_sha256_before=new_before,
    )


def read_rows(matrix: Tensor, ids: Tensor) -> Tensor:
    """[len(ids), d] float32 copy of the rows `ids` of `matrix`, on the CPU."""
    return matrix.detach()[ids.to(matrix.device)].float().cpu()


def write_rows(matrix: Tensor, ids: Tensor, rows: Tensor) -> None:
    """Writes `rows` [len(ids), d] into the rows `ids` of `matrix`, in its dtype.

    Raises:
        VocabularyError: wrong shape, or a value that is not finite.
    """
    expected = (len(ids), matrix.shape[1])
    if tuple(rows.shape) != expected:
        raise VocabularyError(f"expected rows of shape {expected}, found {tuple(rows.shape)}")
    if not torch.isfinite(rows).all():
        bad = int((~torch.isfinite(rows)).any(dim=1).sum())
        raise VocabularyError(f"{bad} of {len(ids)} new rows hold a value that is not finite")
    with torch.no_grad():
        matrix[ids.to(matrix.device)] = rows.to(device=matrix.device, dtype=matrix.dtype)


def rows_sha256(rows: Tensor) -> str:
    """sha256 of the float32 little-endian bytes of `rows` [n, d]."""
    return hashlib.sha256(rows.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()


def matrices_sha256(model: Any, ids: Tensor) -> str:
    """`rows_sha256` of the rows `ids` of the embedding matrix, and below it of an untied head."""
    return rows_sha256(torch.cat([read_rows(matrix, ids) for matrix in embedding_matrices(model)]))
