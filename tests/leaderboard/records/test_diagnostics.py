"""The diagnostics file: what is packed is read back, small, and nothing ill-formed passes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaderboard.records.diagnostics import (
    DiagnosticsError,
    packed,
    read_diagnostics,
    read_words,
)


def stage_of(rows: int, width: int, codes: int, seed: int = 0) -> dict[str, Any]:
    """Arrays as `diagnose` gives them, of random rows."""
    drawn = np.random.default_rng(seed).standard_normal((rows, width))
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    words = np.array([f"word{n % 40}" for n in range(5 * codes)]).reshape(codes, 5)
    return {
        "singular_values": np.linalg.svd(drawn)[1].astype(np.float32),
        "singular_values_centred": np.linalg.svd(drawn)[1].astype(np.float32),
        "cosine": np.clip(unit @ unit.T, -1, 1),
        "cosine_labels": np.repeat(np.arange(-1, rows // 8 - 1), 8).astype(np.int16),
        "codes": np.array([f"<a_{code}>" for code in range(codes)]),
        "nearest_words": words,
    }


def write(path: Path, stages: dict[str, dict[str, Any]]) -> Path:
    arrays = {n: a for stage, own in stages.items() for n, a in packed(stage, own).items()}
    np.savez_compressed(path, **arrays)
    return path


def test_what_was_packed_is_read_back_and_cosines_within_half_a_step(tmp_path: Path) -> None:
    stages = {"init": stage_of(16, 3, 5), "sft": stage_of(24, 6, 7, seed=1)}
    stages["init"]["cosine"][:, 2] = stages["init"]["cosine"][2] = 0.0  # a row of zeros
    stages["init"]["nearest_words"][2] = ["one", "", "", "", ""]
    path = write(tmp_path / "d.npz", stages)
    found = read_diagnostics(path)
    assert list(found) == ["init", "sft"]
    for stage, own in stages.items():
        for name, array in own.items():
            if name != "cosine":
                np.testing.assert_array_equal(getattr(found[stage], name), array)
        off = found[stage].cosine - own["cosine"]
        assert np.abs(off).max() <= 2.0**-12 + 1e-12
        np.testing.assert_array_equal(found[stage].cosine, found[stage].cosine.T)
    assert found["init"].cosine[2].tolist() == [0.0] * 16
    assert read_words(path, "init")["<a_2>"] == ("one",)
    assert read_words(path, "sft")["<a_6>"] == tuple(stages["sft"]["nearest_words"][6])
    assert read_words(path, "grounding") == {}


def test_storing_keeps_the_order_of_cosines(tmp_path: Path) -> None:
    own = stage_of(128, 24, 8)
    found = read_diagnostics(write(tmp_path / "d.npz", {"sft": own}))["sft"].cosine
    order = np.argsort(own["cosine"], axis=None)
    assert (np.diff(found.ravel()[order]) >= 0).all()


def test_three_stages_of_a_nano_cell_fit_the_size_that_a_record_may_have(tmp_path: Path) -> None:
    # 192 codes and 16 words of random rows: cosines of trained ones vary less, or not at all.
    stages = {name: stage_of(208, 192, 192, seed) for seed, name in enumerate(("a", "b", "c"))}
    assert write(tmp_path / "d.npz", stages).stat().st_size < 3 * 32_000


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("cosine_planes", None, "array sft/cosine_planes is missing"),
        ("cosine_planes", np.zeros((2, 5), np.uint8), r"uint8 \(2, 5\), expected uint8 \(2, 136\)"),
        ("cosine_planes", np.zeros((2, 136), np.uint16), "is uint16"),
        ("cosine_planes", np.full((2, 136), 64, np.uint8), "not in -1 to 1"),
        ("cosine_planes", np.full((2, 136), 128, np.uint8), "not in -1 to 1"),
        ("cosine_labels", np.zeros((2, 8), np.int16), "must be \\[m\\]"),
        ("singular_values", np.array([1.0, 2.0]), "descending"),
        ("singular_values", np.array([np.nan]), "expected finite numbers"),
        ("codes", np.arange(5), "holds int64, expected text"),
        ("nearest_words", np.full((4, 5), "w"), r"is \(4, 5\), expected \[n, k\] for the"),
    ],
)
def test_an_ill_formed_array_is_named(tmp_path: Path, name: str, array: Any, message: str) -> None:
    arrays = packed("sft", stage_of(16, 3, 5)) | {f"sft/{name}": array}
    path = tmp_path / "d.npz"
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(DiagnosticsError, match=message):
        read_diagnostics(path)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticsError, match="cannot read diagnostics"):
        read_words(tmp_path / "d.npz", "sft")
    (tmp_path / "d.npz").write_bytes(b"nothing")
    with pytest.raises(DiagnosticsError, match="not a whole npz file"):
        read_words(tmp_path / "d.npz", "sft")
