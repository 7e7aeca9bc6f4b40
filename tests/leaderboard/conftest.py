"""A factory of honest synthetic records, written through the real write path."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from gti.data.semantic_ids import SemanticIds
from leaderboard.metrics.metrics import metrics, num_users, raw_recall, slices
from leaderboard.records.canonical import file_sha256
from leaderboard.records.facts import MethodFacts
from leaderboard.records.method_facts import shipped_facts
from leaderboard.records.ranks import Ranks, concatenate, write_ranks
from leaderboard.records.record import (
    PROTOCOL_VERSION,
    SCHEMA_VERSION,
    MethodCard,
    cell_hash,
    diagnostics_path,
    ranks_path,
    record_path,
    write_record,
)
from leaderboard.records.setting import MethodParameters, Setting

CUTOFFS = (1, 5, 10, 20)
BEAM = 20
VALIDATION_USERS = 20
LEVELS, CODES, WIDTH = 2, 6, 8
ITEMS, TEXT_ROWS, BODY = 97, 100, 104
SFT_FLOPS, EXTRA_FLOPS = 999_999_996.0, 250_000_008.0
"""Of R, and of what is spent beside it: 249,999,999 and what the last example went over."""
SIDS = SemanticIds(
    np.array([[item % CODES, item // CODES % CODES] for item in range(ITEMS)], dtype=np.int64),
    CODES,
    np.random.default_rng(5).normal(size=(LEVELS, CODES, 3)).astype(np.float16),
    {"made": "for tests"},
)
SKILL = {"mean": 0.30, "random": 0.28, "gti": 0.33, "lc_rec": 0.31, "popularity": 0.15}


def sha(text: str) -> str:
    """Some sha256 that stands for the thing called `text`."""
    from leaderboard.records.canonical import digest_of

    return digest_of(text)


def setting_of(**changes: Any) -> Setting:
    """A small setting; `changes` are top-level fields."""
    optimizer = {
        "learning_rate": 1e-3,
        "batch_size": 16,
        "schedule": "cosine",
        "warmup_share": 0.1,
        "weight_decay": 0.0,
        "betas": (0.9, 0.95),
    }
    content: dict[str, Any] = {
        "name": "toy",
        "summary": "a toy",
        "evidence": False,
        "seeds": (0, 1, 2),
        "dataset": {
            "name": "toy",
            "sha256": sha("dataset"),
            "title_field": "title",
            "detail_fields": (),
            "min_interactions": 3,
            "max_history": 50,
            "seen_items": "keep",
        },
        "semantic_ids": {
            "quantiser": "residual_kmeans",
            "encoder": "toy",
            "pca_dim": 0,
            "levels": LEVELS,
            "codes": CODES,
            "seed": 0,
            "sha256": SIDS.sha256,
        },
        "backbone": {"name": "toy", "dtype": "float32"},
        "prompts": {"style": "sequence", "window": 10, "max_text_tokens": 16},
        "sft": {**optimizer, "passes": 1.0},
        "extra": {"share_of_sft": 0.25},
        "grounding": optimizer,
        "auxiliary": {"mixture": {"item2index": 1.0}, "loss_weight": 1.0},
        "decoding": {"beam": BEAM},
        "evaluation": {
            "cutoffs": CUTOFFS,
            "wordings": 1,
            "validation_users": VALIDATION_USERS,
            "curve_points": 2,
        },
    }
    return Setting.model_validate({**content, **changes})


def ranks_of(method: str, seed: int, users: int, skill: float, reference: bool) -> Ranks:
    """Test and validation ranks; the chance of a hit grows with `skill` and the user's ease."""
    ease = np.random.default_rng(11).normal(0, 0.15, size=users)
    of_item = np.random.default_rng(12).geometric(0.05, size=ITEMS) - 1
    of_item[[4, 11, 18]] = 0  # what the first users are asked for in test: never seen in training
    stream = list(f"{method}/{seed}".encode())
    generator = np.random.default_rng(stream)
    parts = []
    for split in ("test", "validation"):
        items = (7 * np.arange(users) + len(split)) % ITEMS
        popularity = of_item[items]
        inside = generator.random(users) < np.clip(ease + skill, 0, 1)
        ranked = inside | reference
        better = np.where(inside, generator.integers(0, BEAM, users), 25)
        tied = generator.integers(0, 3, users) * (generator.random(users) < 0.2)
        if method == "popularity" and split == "validation":  # its scores, which it ranks by
            better = (of_item > popularity[:, None]).sum(axis=1)
            tied = (of_item == popularity[:, None]).sum(axis=1) - 1
        parts.append(
            Ranks(  # type: ignore[arg-type]
                split=[split] * users,
                user=[f"user-{i:03d}" for i in range(users)],
                wording=np.zeros(users, dtype=int),
                item=[f"item-{item}" for item in items],
                grade=np.ones(users, dtype=int),
                in_beam=ranked,
                num_better=np.where(ranked, better, 0),
                num_tied=np.where(ranked, tied, 0),
                target_popularity=popularity,
                history_length=3 + np.arange(users) % 40,
            )
        )
    return concatenate(parts)


def spectrum_of(rows: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Numbers and arrays of new rows as a slow, plain computation gives them."""
    generator = np.random.default_rng(0)
    text = generator.normal(size=(5, rows.shape[1]))
    labels = np.array([-1] * 5 + [i // CODES for i in range(len(rows))], dtype=np.int16)

    def values(matrix: np.ndarray) -> np.ndarray:
        found = np.linalg.svd(matrix, compute_uv=False)
        return np.where(found > 1e-10, found, 0.0)

    def rank(singular: np.ndarray) -> float | None:
        shares = singular[singular > 0] / singular.sum() if singular.sum() else []
        return math.exp(-sum(s * math.log(s) for s in shares)) if len(shares) else None

    plain, centred = values(rows), values(rows - rows.mean(axis=0))
    both = np.vstack([text, rows])
    unit = both / np.linalg.norm(both, axis=1, keepdims=True)
    cosine = np.clip(unit @ unit.T, -1, 1)
    new = cosine[5:, 5:]
    upper = np.triu_indices(len(rows), 1)
    within = [
        float(
            new[i * CODES : (i + 1) * CODES, i * CODES : (i + 1) * CODES][
                np.triu_indices(CODES, 1)
            ].mean()
        )
        for i in range(LEVELS)
    ]
    numbers = {
        "num_rows": len(rows),
        "unused_rows": 0,
        "effective_rank": rank(plain),
        "effective_rank_centred": rank(centred),
        "stable_rank": float((plain**2).sum() / plain[0] ** 2),
        "norm_mean": float(np.linalg.norm(rows, axis=1).mean()),
        "cosine_mean": float(new[upper].mean()),
        "cosine_within_level": within,
        "cosine_across_levels": float(new[:CODES, CODES:].mean()),
        **rsa_of(new),
        "text_affinity": float(cosine[5:, :5].max(axis=1).mean()),
        "nearest_words": {token: ["comedy", "drama"] for token in SIDS.tokens},
    }
    arrays = {
        "singular_values": plain.astype(np.float32),
        "singular_values_centred": centred.astype(np.float32),
        "cosine": cosine.astype(np.float32),
        "cosine_labels": labels,
    }
    return numbers, arrays


def rsa_of(cosine: np.ndarray) -> dict[str, Any]:
    """RSA of the rows' cosines against the codebooks, pair by pair."""
    vectors = SIDS.codebooks.reshape(LEVELS * CODES, -1).astype(float)  # type: ignore[union-attr]

    def over(rows: range) -> tuple[float | None, float | None]:
        pairs = [(i, j) for i in rows for j in rows if i < j]
        own = [round(float(cosine[i, j]), 12) for i, j in pairs]
        if len(set(own)) == 1:
            return None, None
        norms = np.linalg.norm(vectors, axis=1)
        other = [float(vectors[i] @ vectors[j] / norms[i] / norms[j]) for i, j in pairs]
        found = (stats.pearsonr(own, other), stats.spearmanr(own, other))
        return float(found[0].statistic), float(found[1].statistic)

    pooled = over(range(LEVELS * CODES))
    levels = [over(range(level * CODES, (level + 1) * CODES)) for level in range(LEVELS)]
    return {
        "rsa_pearson": pooled[0],
        "rsa_spearman": pooled[1],
        "rsa_pearson_per_level": [pearson for pearson, _ in levels],
        "rsa_spearman_per_level": [spearman for _, spearman in levels],
    }


def cost_of(
    seconds: float, steps: int, tokens: int, targets: int, nominal: float, rows_alone: bool
) -> dict[str, Any]:
    """Cost of a training stage whose head ran at the targets alone."""
    head = WIDTH * (TEXT_ROWS + LEVELS * CODES)
    saved = 6 * head * tokens - 4 * head * targets if rows_alone else 6 * head * (tokens - targets)
    return {
        "seconds": seconds,
        "steps": steps,
        "tokens": tokens,
        "nominal_flops": nominal,
        "actual_flops": nominal - saved,
        "first_loss": 6.0,
        "last_loss": 0.25,
        "device_flops": 5e10,
        "utilisation": (nominal - saved) / (seconds * 5e10),
    }


def proof_of(stage: str, moved_text: bool, cell: str) -> dict[str, Any]:
    """The proof of a stage of `cell` in which the text rows moved or not."""
    return {
        "stage": stage,
        "trainable_parameters": BODY + WIDTH * (TEXT_ROWS + LEVELS * CODES)
        if moved_text
        else WIDTH * LEVELS * CODES,
        "new_rows_with_gradient": LEVELS * CODES,
        "text_rows_with_gradient": TEXT_ROWS if moved_text else 0,
        "new_rows_changed": LEVELS * CODES,
        "text_rows_changed": TEXT_ROWS if moved_text else 0,
        "backbone_changed": moved_text,
        "new_rows_sha256": sha(f"new after {stage} {cell}"),
        "text_rows_sha256": sha(f"text after {stage} {cell}") if moved_text else sha("text"),
    }


ACCOUNTING: dict[str, Any] = {
    "num_items": ITEMS,
    "distinct_sids": CODES**LEVELS,
    "collision_rate": 1 - CODES**LEVELS / ITEMS,
    "used_codes": [CODES] * LEVELS,
    "num_codes": CODES,
    "trie_mass": [0.9] * LEVELS,
    "beam": BEAM,
    "beam_used_min": BEAM,
    "beam_used_mean": float(BEAM),
}


def start_of(method: str) -> str | None:
    """What the first rows of `method` are, where several methods start alike at every seed."""
    facts = shipped_facts().get(method)
    return facts.first_rows if facts is not None and facts.first_rows in ("mean", "words") else None


def manifest_of(method: str, seed: int, rows: np.ndarray, cosine: float) -> dict[str, Any]:
    """The manifest of first `rows` [codes of all levels, d]."""
    norms = np.linalg.norm(rows, axis=1)
    return {
        "initializer": f"{method} v1",
        "first_token_id": TEXT_ROWS,
        "num_rows": LEVELS * CODES,
        "rows_before": TEXT_ROWS,
        "rows_after": TEXT_ROWS + LEVELS * CODES,
        "padding_rows": 0,
        "num_text_rows": TEXT_ROWS,
        "tied": True,
        "norm_mean": float(norms.mean()),
        "norm_std": float(norms.std()),
        "text_norm_mean": 1.0,
        "cosine_to_text_mean": 0.5,
        "pairwise_cosine_mean": cosine,
        "identical_rows": method != "random",
        "new_rows_sha256_before": None,
        "new_rows_sha256_after": sha(f"new {start_of(method) or f'{method} {seed}'}"),
        "text_rows_sha256_before": sha("text"),
        "text_rows_sha256_after": sha("text"),
    }


def point_of(step: int, sft_flops: float, sample: Ranks) -> dict[str, Any]:
    """A point of the learning curve after `step` of 20 steps, as many rows of `sample` learned."""
    learned = sample.in_beam & (np.arange(len(sample)) % 20 < step)
    columns = {name: getattr(sample, name) for name in sample.__dataclass_fields__}
    counts = {name: columns[name] * learned for name in ("num_better", "num_tied")}
    scored = Ranks(**{**columns, **counts, "in_beam": learned})
    return {
        "step": step,
        "passes": step / 20,
        "nominal_flops": sft_flops * step / 20,
        "seconds": step * 0.1 + 1,
        "train_loss": None if step == 0 else 5.0 / step,
        "metrics": metrics(scored, CUTOFFS, BEAM),
    }


def cell_parts(method: str, seed: int, path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """What a cell has and a reference has not; writes the diagnostics."""
    grounded = method == "gti"
    stages = ["init", *(["grounding"] if grounded else []), "sft"]
    arrays: dict[str, np.ndarray] = {}
    diagnostics = {}
    first = np.zeros((LEVELS * CODES, WIDTH))
    for stage in stages:
        generator = np.random.default_rng([seed, *method.encode(), *stage.encode()])
        rows = generator.normal(size=(LEVELS * CODES, WIDTH)) + 0.5
        if stage == "init" and method != "random":
            rows = np.ones((LEVELS * CODES, WIDTH)) * 0.5
        first = rows if stage == "init" else first
        diagnostics[stage], found = spectrum_of(rows)
        arrays |= {f"{stage}/{name}": array for name, array in found.items()}
    np.savez_compressed(diagnostics_path(path), **arrays)
    ranks: Ranks = values["ranks"]
    test, validation = ranks.of_split("test"), ranks.of_split("validation")
    sample = validation.where(np.arange(len(validation)) < VALIDATION_USERS)
    beside = method == "lc_rec"
    sft_flops = SFT_FLOPS + (EXTRA_FLOPS if beside else 0.0)
    extra = EXTRA_FLOPS if grounded or beside else 0.0
    tokens = 1300 if beside else 1000
    costs: dict[str, Any] = {
        "init": {"seconds": 0.5},
        "sft": cost_of(60.0 + seed, 20, tokens, 600, sft_flops, rows_alone=False),
        "score": {"seconds": 5.0},
    }
    if grounded:
        costs["grounding"] = cost_of(9.0, 5, 300, 100, extra, rows_alone=True)
    return {
        "accounting": {**ACCOUNTING, "raw_recall": raw_recall(test, CUTOFFS, BEAM)},
        "learning_curve": [point_of(step, sft_flops, sample) for step in (0, 10, 20)],
        "tasks": {
            "retrieval": 320,
            **({"title_to_sid": 40, "sid_to_title": 39} if grounded else {}),
            **({"item2index.title": 30} if beside else {}),
        },
        "manifest": manifest_of(method, seed, first, diagnostics["init"]["cosine_mean"]),
        "proofs": [proof_of(stage, stage == "sft", f"{method} {seed}") for stage in stages[1:]],
        "diagnostics": diagnostics,
        "cost": costs,
        "budget": {
            "sft_flops": SFT_FLOPS,
            "extra_flops": 0.25 * SFT_FLOPS,
            "extra_spent_flops": extra,
        },
        "files": {
            "ranks": values["ranks_sha256"],
            "diagnostics": file_sha256(diagnostics_path(path)),
        },
    }


REFERENCE_PARTS: dict[str, Any] = {
    "accounting": None,
    "learning_curve": [],
    "tasks": {},
    "manifest": None,
    "proofs": [],
    "diagnostics": {},
    "cost": {"ranking": {"seconds": 0.1}},
    "budget": None,
}


ENVIRONMENT: dict[str, Any] = {
    "machine": "toy",
    "processor": "toy",
    "instruction_set": None,
    "device": "cpu",
    "driver": None,
    "threads": 1,
    "dtype": "float32",
    "deterministic": True,
    "python": "3.11",
    "platform": "toy",
    "packages": {},
}


@dataclass
class Factory:
    """Writes honest records under `root`."""

    root: Path
    users: int = 60
    changes: dict[str, Any] = field(default_factory=dict)

    def write(
        self,
        method: str,
        seed: int = 0,
        skill: float | None = None,
        root: Path | None = None,
        setting: Setting | None = None,
        users: int | None = None,
        version: int = 1,
        facts: MethodFacts | None = None,
        **changes: Any,
    ) -> Path:
        """Writes one cell or reference and returns the record's path."""
        reference = method in ("popularity", "markov")
        setting = setting or setting_of(**self.changes)
        path = record_path(root or self.root, setting.name, method, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        level = SKILL.get(method, 0.3) if skill is None else skill
        ranks = ranks_of(method, seed, users or self.users, level, reference)
        ranks_sha256 = write_ranks(ranks_path(path), ranks)
        card = MethodCard(
            key=method,
            summary=f"the method {method}",
            source="a test",
            version=version,
            group="reference" if reference else "core",
            spends={"gti": {"before": 1.0}, "lc_rec": {"beside": 1.0}}.get(method, {}),
            parameters=MethodParameters(),
            facts=facts,
        )
        beam = None if reference else BEAM
        splits = {split: ranks.of_split(split) for split in ("test", "validation")}
        if reference:
            parts = {**REFERENCE_PARTS, "files": {"ranks": ranks_sha256, "diagnostics": None}}
        else:
            parts = cell_parts(method, seed, path, {"ranks": ranks, "ranks_sha256": ranks_sha256})
            artefact = (root or self.root) / "inputs" / f"{SIDS.sha256}.npz"
            artefact.parent.mkdir(exist_ok=True)
            artefact.write_bytes(SIDS.to_bytes())
            parts["manifest"]["initializer"] = f"{method} v{version}"
        content = {
            "schema_version": SCHEMA_VERSION,
            "protocol": PROTOCOL_VERSION,
            "kind": "reference" if reference else "cell",
            "setting": setting.model_dump(mode="json"),
            "setting_hash": setting.hash,
            "method": card.model_dump(mode="json"),
            "method_hash": card.hash,
            "seed": seed,
            "cell_hash": cell_hash(setting.hash, card.hash, seed),
            "metrics": {name: metrics(part, CUTOFFS, beam) for name, part in splits.items()},
            "slices": slices(splits["test"], CUTOFFS, beam),
            "num_users": {name: num_users(part) for name, part in splits.items()},
            "environment": ENVIRONMENT,
            "inputs": {
                "dataset": sha("dataset"),
                "semantic_ids": None if reference else SIDS.sha256,
                "backbone": None if reference else sha("backbone"),
                "tokenizer": None if reference else sha("tokenizer"),
                "prompts": None if reference else sha("prompts"),
            },
            "code": {"version": "0.1.0", "commit": "abc1234", "dirty": False},
            "warnings": [],
            **parts,
            **changes,
        }
        write_record(path, content)
        return path

    def board(
        self,
        methods: Sequence[str] = ("mean", "random", "gti", "lc_rec", "popularity", "markov"),
        seeds: Sequence[int] = (0, 1, 2),
    ) -> Path:
        """Writes all `methods` at all `seeds` (references at seed 0) and returns the root."""
        for method in methods:
            for seed in seeds if method not in ("popularity", "markov") else (0,):
                self.write(method, seed)
        return self.root


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    """A factory that writes under a fresh directory."""
    return Factory(tmp_path / "results")


@pytest.fixture(scope="session")
def new_factory() -> Callable[[Path], Factory]:
    """Makes a factory that writes under the given directory."""
    return Factory


@pytest.fixture(scope="session")
def whole_board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with four methods at three seeds and two references; read only."""
    return Factory(tmp_path_factory.mktemp("board") / "results").board()


@pytest.fixture(scope="session")
def toy_setting() -> Callable[..., Setting]:
    """Makes the toy setting with changed top-level fields."""
    return setting_of
