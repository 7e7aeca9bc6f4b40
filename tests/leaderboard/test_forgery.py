"""Every number of a record: changed by a digit, with a digest that fits, it is found and named."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf.honest_records.edits import edit
from gti.data.semantic_ids import SemanticIds
from leaderboard.records.semantic_ids import artefact_path, read_semantic_ids
from leaderboard.verify.verify import DIGEST_ALONE, MEASURED, verify

Forge = Callable[[Path, Iterable[str]], list[str]]

DERIVED_HERE = (
    "accounting.beam_used_min",
    "budget.extra_flops",
    "cost.sft.last_loss",
    "diagnostics.init.norm_mean",
    "manifest.norm_*",
    "manifest.pairwise_cosine_mean",
    "proofs.0.*",
    "learning_curve.2.metrics.*nll",
    "treatment.pairs.0.tokens",
    "treatment.pairs.2.tokens",
    "treatment.found.seen.recall_shown",
    "treatment.found.*.chance",
    "treatment.pairs.*.shown",
    "learning_curve.0.nominal_flops",
    "learning_curve.2.nominal_flops",
    "learning_curve.2.train_loss",
    "tasks.retrieval",
)
"""What may be underivable in other records, but follows in these."""


def is_listed(field: str) -> bool:
    """Whether the list says that only the digest covers `field`."""
    if any(fnmatch(field, pattern) for pattern in DERIVED_HERE):
        return False
    return any(fnmatch(field, pattern) for pattern in (*MEASURED, *DIGEST_ALONE))


SECTIONS = (
    "metrics",
    "slices",
    "num_users",
    "accounting",
    "learning_curve",
    "tasks",
    "manifest",
    "proofs",
    "diagnostics",
    "cost",
    "budget",
    "environment",
    "treatment",
    "retention",
)


@pytest.mark.parametrize("method", ["gti", "lc_rec"])
@pytest.mark.parametrize("section", SECTIONS)
def test_a_number_changed_by_a_digit_is_named(
    factory: Any, forge: Forge, section: str, method: str
) -> None:
    path = factory.write(method)
    assert verify(path) == []
    unlisted = [field for field in forge(path, [section]) if not is_listed(field)]
    if method != "gti":  # no stage that trains rows alone gives the width away
        unlisted = [field for field in unlisted if field != "proofs.0.trainable_parameters"]
    assert unlisted == []


def test_settings_and_methods_are_named_by_their_hash(factory: Any, forge: Forge) -> None:
    path = factory.write("gti")
    missed = forge(path, ["setting", "method", "seed", "schema_version"])
    for field in missed:
        by_hash = field.startswith("setting.") or field in ("method.version", "schema_version")
        assert by_hash or is_listed(field)


def test_the_artefact_must_be_there_and_be_the_one_named(factory: Any) -> None:
    path = factory.write("gti")
    sha256 = read_semantic_ids(next((factory.root / "inputs").iterdir())).sha256
    artefact = artefact_path(path, sha256)
    whole = SemanticIds.from_file(artefact)
    other = SemanticIds(whole.codes[::-1].copy(), whole.num_codes, whole.codebooks, {"made": "x"})
    artefact.write_bytes(other.to_bytes())
    (finding,) = verify(path)
    assert finding.field == "inputs.semantic_ids"
    assert other.sha256 in finding.found
    artefact.write_bytes(whole.to_bytes()[:100])
    assert "not a Semantic IDs artefact" in str(verify(path)[0])
    artefact.unlink()
    (finding,) = verify(path.parent)
    assert finding.field == "inputs.semantic_ids"
    assert f"copy inputs/{sha256}.npz" in finding.expected


@pytest.mark.parametrize("with_codebooks", [True, False])
@pytest.mark.parametrize("num_codes", [8, 40_000])
def test_the_hash_is_that_of_the_code_that_made_it(
    tmp_path: Path, num_codes: int, with_codebooks: bool
) -> None:
    rng = np.random.default_rng(num_codes)
    codes = rng.integers(0, num_codes, size=(30, 3))
    codebooks = rng.normal(size=(3, num_codes, 2)).astype(np.float16) if with_codebooks else None
    made = SemanticIds(codes, num_codes, codebooks, {"quantiser": "é", "a": "b"})
    path = tmp_path / "artefact.npz"
    path.write_bytes(made.to_bytes())
    found = read_semantic_ids(path)
    assert found.sha256 == made.sha256 == SemanticIds.from_file(path).sha256
    assert tuple(found.used.sum(axis=1)) == made.used_per_level
    assert found.distinct == made.distinct


def test_cells_of_a_setting_share_what_one_record_cannot_prove(factory: Any) -> None:
    factory.write("gti")
    shares = {
        "manifest": {"text_norm_mean": 1.001},
        "budget": {"sft_flops": 999_999_990.0},
        "tasks": {"retrieval": 318},
    }
    for section, changes in shares.items():
        edit(factory.write("mean"), lambda c, s=section, new=changes: c[s].update(new))
        (name,) = changes
        assert f"{section}.{name}" in [finding.field for finding in verify(factory.root)]
