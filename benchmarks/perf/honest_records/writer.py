"""The writer: from a setting, methods with their effects, seeds and users to a results folder.

    RecordWriter(root).board({"mean": 0.2, "gti": 0.5, "popularity": 0.1}, (0, 1, 2), users=400)

writes records with their sidecars and inputs through the same functions as real cells.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.perf.honest_records.cell import cell_parts
from benchmarks.perf.honest_records.ranks import figures_of, ranks_of, targets_of
from benchmarks.perf.honest_records.rows import PACKAGES
from benchmarks.perf.honest_records.settings import USUAL, Shape, setting_of
from benchmarks.perf.honest_records.sketches import SKETCHES, Sketch
from leaderboard.records.facts import MethodFacts
from leaderboard.records.ranks import write_ranks
from leaderboard.records.record import (
    PROTOCOL_VERSION,
    SCHEMA_VERSION,
    MethodCard,
    cell_hash,
    ranks_path,
    record_path,
    write_record,
)
from leaderboard.records.setting import MethodParameters, Setting

ENVIRONMENT: dict[str, Any] = {
    **dict.fromkeys(("machine", "processor", "platform"), "toy"),
    **dict.fromkeys(("instruction_set", "driver")),
    "device": "cpu",
    "threads": 1,
    "dtype": "float32",
    "deterministic": True,
    "python": "3.11",
    "packages": PACKAGES,
}
REFERENCE: dict[str, Any] = {
    "kind": "reference",
    **dict.fromkeys(("accounting", "manifest", "budget")),
    **{"learning_curve": [], "tasks": {}, "proofs": [], "diagnostics": {}},
    "cost": {"ranking": {"seconds": 0.1}},
}
"""What a reference has where a cell has more."""
OF_CARD = MethodCard.model_fields.keys()


@dataclass
class RecordWriter:
    """Writes honest records.

    Attributes:
        root: the results folder.
        users: how many are asked; on the retrieval track, queries.
        shape: how large all else is.
        setting: which they are of; None: `setting_of(shape)`. Another one names the Semantic IDs
            of `shape`, or `verify` misses those that it names.
        sketches: what is made up of each method.
    """

    root: Path
    users: int = 60
    shape: Shape = USUAL
    setting: Setting | None = None
    sketches: Mapping[str, Sketch] = field(default_factory=lambda: SKETCHES)

    def write(
        self,
        method: str,
        seed: int = 0,
        skill: float | None = None,
        root: Path | None = None,
        setting: Setting | None = None,
        users: int | None = None,
        **changes: Any,
    ) -> Path:
        """Writes one cell or reference and returns the record's path.

        `skill`, `root`, `setting` and `users` stand in place of the sketch's and the writer's,
        `changes` in place of the usual fields of the method's card and of the record.
        """
        sketch = self.sketches.get(method, Sketch())
        setting = setting or self.setting or setting_of(self.shape)
        path = record_path(root or self.root, setting.name, method, seed)
        ranks = ranks_of(
            setting,
            targets_of(setting, users or self.users, self.shape.items),
            f"{method}/{seed}",
            sketch.skill if skill is None else skill,
            only_beam=not sketch.reference,
            by_popularity=method == "popularity",
        )
        own = _card(method, sketch, {name: changes[name] for name in changes.keys() & OF_CARD})
        content = {
            **REFERENCE,
            "schema_version": SCHEMA_VERSION,
            "protocol": PROTOCOL_VERSION,
            "setting": setting.model_dump(mode="json"),
            "setting_hash": setting.hash,
            "method": own.model_dump(mode="json"),
            "method_hash": own.hash,
            "seed": seed,
            "cell_hash": cell_hash(setting.hash, own.hash, seed),
            "environment": ENVIRONMENT,
            "inputs": {
                **dict.fromkeys(("semantic_ids", "backbone", "tokenizer", "prompts")),
                "dataset": setting.dataset.sha256,
                "queries": setting.queries and setting.queries.sha256,
            },
            "code": {"version": "0.1.0", "commit": "abc1234" + 33 * "0", "dirty": False},
            "files": {"ranks": write_ranks(ranks_path(path), ranks), "diagnostics": None},
            "warnings": [],
            **figures_of(ranks, setting, None if sketch.reference else setting.decoding.beam),
        }
        if not sketch.reference:
            content |= cell_parts(path, setting, self.shape, own, sketch, seed, ranks)
        write_record(path, content | {name: changes[name] for name in changes.keys() - OF_CARD})
        return path

    def board(
        self,
        methods: Iterable[str] = ("mean", "random", "gti", "lc_rec", "popularity", "markov"),
        seeds: Sequence[int] = (0, 1, 2),
        users: int | None = None,
    ) -> Path:
        """Writes all `methods` at all `seeds` (references at the first) and returns the root.

        `methods` may be key → skill in place of the sketch's, as `users` of the writer's.
        """
        skills = methods if isinstance(methods, Mapping) else {}
        for method in methods:
            reference = self.sketches.get(method, Sketch()).reference
            for seed in seeds[:1] if reference else seeds:
                self.write(method, seed, skills.get(method), users=users)
        return self.root


def _card(method: str, sketch: Sketch, changes: Mapping[str, Any]) -> MethodCard:
    """The card of a method of which `sketch` is made up, with `changes`."""
    usual = {
        "key": method,
        "summary": f"the method {method}",
        "source": "a test",
        "version": 1,
        "group": "reference" if sketch.reference else "core",
        "spends": sketch.spends,
        "parameters": MethodParameters(),
        "facts": None if sketch.reference else _facts(method, sketch),
    }
    return MethodCard.model_validate({**usual, **changes})


def _facts(method: str, sketch: Sketch) -> MethodFacts:
    """What a shipped method says of itself; of any other what `sketch` makes up of it.

    Where the methods cannot be loaded, for want of torch, all are others.
    """
    try:
        from baselines.registry import methods
        from benchmarks.cell.identity import method_facts
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers"):
            raise
    else:
        known = methods()
        if method in known:
            return method_facts(known[method])
    return MethodFacts.model_validate(
        {
            **{"first_rows": None, "stages": sketch.stages[1:-1]},
            **{"directions": sketch.directions},
            **{"order": 100, "look": None, "contrasts": ()},
        }
    )
