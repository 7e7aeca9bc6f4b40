"""What else two methods differ in, read from their records: a contrast isolates one thing or none.

A contrast says what it isolates. Beside that, the two sides must have been computed alike: with the
same rates, numbers and machines, from the same inputs. What they spend of the extra budget, and
when, belongs to the method and is no difference here.
"""

from collections.abc import Callable, Sequence

from leaderboard.records.cells import named_seeds
from leaderboard.records.record import Record

Told = Callable[[Record], object]


def differences(one: Sequence[Record], other: Sequence[Record]) -> tuple[str, ...]:
    """What differs between two methods beside the methods, in words; empty where they are alike.

    Values are pooled over the seeds of a side: cells are computed wherever there is room, and what
    kinds of processor differ in, the last bits, favours no method as long as both sides met the
    same kinds. Inputs are compared seed by seed, since each seed may have Semantic IDs of its own.

    Args:
        one: the records of the first method, at the seeds compared.
        other: of the second, at the same seeds.
    """
    found = [
        f"{name} differs ({_values(one, told)} against {_values(other, told)})"
        for name, told in _told(one[0], other[0])
        if {told(record) for record in one} != {told(record) for record in other}
    ]
    return (*found, *_inputs(one, other))


def _told(one: Record, other: Record) -> list[tuple[str, Told]]:
    """What is compared, by name; rates of the stages alone that both methods have."""
    told: list[tuple[str, Told]] = [("SFT rate", _sft_rate)]
    if all(record.method.facts and record.method.facts.stages for record in (one, other)):
        told.append(("grounding rate", _grounding_rate))
    if all(record.method.spends.get("beside") for record in (one, other)):
        told.append(("weight of alignment tasks", _auxiliary_weight))
    return [
        *told,
        ("dtype", lambda record: record.environment.dtype),
        ("device", _device),
        ("form (--plain or not)", lambda record: "plain" if record.code.plain else "everyday"),
        *((f"version of {name}", _version(name)) for name in ("torch", "transformers")),
    ]


def _sft_rate(record: Record) -> float:
    """The learning rate of SFT: the method's own, else the setting's."""
    return record.method.parameters.sft_learning_rate or record.setting.sft.learning_rate


def _grounding_rate(record: Record) -> float:
    """The learning rate of the stage before SFT."""
    own = record.method.parameters.grounding_learning_rate
    return own or record.setting.grounding.learning_rate


def _auxiliary_weight(record: Record) -> float:
    """The weight of the alignment tasks' loss."""
    return record.method.parameters.auxiliary_loss_weight or record.setting.auxiliary.loss_weight


def _device(record: Record) -> str:
    """A GPU by its name, a CPU by its instruction set, which decides on the last bits."""
    where = record.environment
    if where.device == "cpu":
        more = f", {where.bfloat16}" if where.bfloat16 else ""
        return f"cpu, {where.instruction_set or where.machine}{more}"
    return f"{where.device}, {where.machine}"


def _version(package: str) -> Told:
    """The version of `package` that a record names."""
    return lambda record: record.environment.packages.get(package)


def _values(records: Sequence[Record], told: Told) -> str:
    """What `records` say, each value once."""
    found = dict.fromkeys("unknown" if (v := told(r)) is None else f"{v}" for r in records)
    return ", ".join(found)


def _inputs(one: Sequence[Record], other: Sequence[Record]) -> list[str]:
    """Inputs that are not the same on both sides at some seed."""
    theirs = {record.seed: record.inputs for record in other}
    unlike: dict[str, list[int]] = {}
    for record in one:
        if (own := theirs.get(record.seed)) is None:
            continue
        for name, sha256 in record.inputs:
            if getattr(own, name) != sha256:
                unlike.setdefault(name, []).append(record.seed)
    return [f"input {name} differs (at {named_seeds(seeds)})" for name, seeds in unlike.items()]
