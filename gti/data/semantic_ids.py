"""`SemanticIds`: the codes, codebooks and token strings shared by every method of a setting."""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gti.data.dataset import DataError, IntArray


@dataclass(frozen=True)
class SemanticIds:
    """A hashed artefact: one Semantic ID per item.

    Attributes:
        codes: [num_items, num_levels] int64, each in [0, num_codes).
        num_codes: codes per level, K.
        codebooks: [num_levels, num_codes, code_dim] float16, or null where none is known
            (published indices without an encoder). Rows of codes that no item uses are NaN-free
            but meaningless where the quantiser left them so; diagnostics leave them out.
        description: how they were made: quantiser, encoder, seed, …; part of the hash.
    """

    codes: IntArray
    num_codes: int
    codebooks: NDArray[np.float16] | None
    description: dict[str, str]

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or self.codes.dtype != np.int64:
            raise DataError(
                f"codes must be [num_items, num_levels] int64, found {self.codes.dtype}"
                f" of shape {self.codes.shape}"
            )
        if self.codes.size and (self.codes.min() < 0 or self.codes.max() >= self.num_codes):
            raise DataError(
                f"codes must lie in [0, {self.num_codes}), found"
                f" {int(self.codes.min())}…{int(self.codes.max())}"
            )
        if self.codebooks is not None:
            expected = (self.num_levels, self.num_codes)
            if self.codebooks.ndim != 3 or self.codebooks.shape[:2] != expected:
                raise DataError(
                    f"codebooks must be [{expected[0]}, {expected[1]}, code_dim],"
                    f" found {self.codebooks.shape}"
                )

    @property
    def num_items(self) -> int:
        """Number of items."""
        return int(self.codes.shape[0])

    @property
    def num_levels(self) -> int:
        """Codes per Semantic ID, L."""
        return int(self.codes.shape[1])

    @property
    def num_tokens(self) -> int:
        """New tokens: L × K, first those of level 0, then those of level 1, and so on."""
        return self.num_levels * self.num_codes

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """[num_tokens] the token strings `<a_0>` … `<d_255>`, level by level."""
        return tuple(
            f"<{chr(ord('a') + level)}_{code}>"
            for level in range(self.num_levels)
            for code in range(self.num_codes)
        )

    @cached_property
    def token_index(self) -> IntArray:
        """[num_items, num_levels] index into `tokens` of each item's codes."""
        return self.codes + np.arange(self.num_levels, dtype=np.int64) * self.num_codes

    @cached_property
    def used(self) -> NDArray[np.bool_]:
        """[num_tokens] whether any item carries the code."""
        used = np.zeros(self.num_tokens, dtype=bool)
        used[self.token_index.ravel()] = True
        return used

    @property
    def used_per_level(self) -> tuple[int, ...]:
        """Codes in use per level."""
        return tuple(int(n) for n in self.used.reshape(self.num_levels, -1).sum(axis=1))

    @cached_property
    def distinct(self) -> int:
        """Number of distinct Semantic IDs."""
        return len(np.unique(self.codes, axis=0))

    @property
    def collision_rate(self) -> float:
        """Share of items that do not have a Semantic ID of their own: 1 − distinct / items."""
        return 1.0 - self.distinct / self.num_items

    @cached_property
    def sha256(self) -> str:
        """Content hash over codes, codebooks and description."""
        digest = hashlib.sha256()
        shape = [*self.codes.shape, self.num_codes]
        digest.update(json.dumps([shape, sorted(self.description.items())]).encode())
        digest.update(np.ascontiguousarray(self.codes, dtype="<i8").tobytes())
        if self.codebooks is not None:
            digest.update(json.dumps(self.codebooks.shape).encode())
            digest.update(np.ascontiguousarray(self.codebooks, dtype="<f2").tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """The artefact as an npz archive (read back with `from_file`)."""
        arrays: dict[str, NDArray[np.generic]] = {
            "codes": self.codes.astype("<i2" if self.num_codes < 2**15 else "<i4"),
            "num_codes": np.array(self.num_codes, dtype="<i4"),
            "description": np.array(json.dumps(self.description, sort_keys=True)),
        }
        if self.codebooks is not None:
            arrays["codebooks"] = self.codebooks.astype("<f2")
        buffer = io.BytesIO()
        # No allow_pickle here: older numpy takes it for the name of an array (seen with 2.1).
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # its stub takes names for flags
        return buffer.getvalue()

    @classmethod
    def from_file(cls, path: Path) -> "SemanticIds":
        """Reads an artefact written by `to_bytes`; pickled content is refused.

        Raises:
            DataError: the file is missing, truncated or not such an artefact.
        """
        try:
            # Opened here: numpy leaves a damaged archive open.
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as archive:
                codebooks = archive.get("codebooks")
                return cls(
                    codes=archive["codes"].astype(np.int64),
                    num_codes=int(archive["num_codes"]),
                    codebooks=codebooks,
                    description=json.loads(str(archive["description"])),
                )
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: not a Semantic IDs artefact: {error}") from error
