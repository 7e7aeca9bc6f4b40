"""Settings and methods as they come with the code, and whether records are of them.

Who has the code at hand hands them in: `leaderboard` knows neither settings nor methods.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from leaderboard.records.record import MethodCard
from leaderboard.records.setting import Setting

CHECKED = ("first_rows", "stages", "directions")
"""The facts of a method that its records are held to; the others only say how it is shown."""


@dataclass(frozen=True)
class Difference:
    """A field in which a record is not as its setting and method are shipped.

    Args:
        field: which.
        found: what the record has.
        wanted: what is shipped.
        weight: "error": no record of that name may have it; "warning": it only shows the method in
            another way; "submission": own results may have it, records for the board may not.
    """

    field: str
    found: str
    wanted: str
    weight: Literal["error", "submission", "warning"] = "submission"


@dataclass(frozen=True)
class Shipped:
    """The shipped settings and cards of shipped methods, to compare records with.

    Args:
        settings: name → the setting that comes with the code.
        card: the card that a record of a setting, by its name, and a method, by its key, has now;
            null where the method is not known. Asked of records of a shipped setting alone.
    """

    settings: Mapping[str, Setting]
    card: Callable[[str, str], MethodCard | None]

    def differences(
        self, setting: Setting, method: MethodCard, seed: int, semantic_ids: str | None
    ) -> Iterator[Difference]:
        """Where a record of `setting` and `method` is not as these are shipped.

        Settings of other names are their authors' own; so are the rates of an edited setting, and
        methods of other names.

        Args:
            setting: the record's.
            method: the record's.
            seed: the record's.
            semantic_ids: what the record read, by hash; null for references.
        """
        shipped = self.settings.get(setting.name)
        if shipped is None:
            return
        card = self.card(setting.name, method.key)
        if card is not None:
            yield from _facts(method, card)
        if setting.hash != shipped.hash:
            wanted = f"{shipped.hash}, of the setting {setting.name} as it is shipped"
            yield Difference("setting_hash", setting.hash, wanted)
            return
        yield from _unhashed(setting, shipped, seed, semantic_ids)
        if card is None:
            return
        if method.hash != card.hash:
            found, wanted = _told(method, card)
            yield Difference(
                "method_hash",
                f"{method.hash} ({found})",
                f"{card.hash} ({wanted}), of the method {method.key} as {setting.name} is shipped",
            )
        for name in ("summary", "source"):
            found, wanted = getattr(method, name), getattr(card, name)
            if found != wanted:
                yield Difference(f"method.{name}", found, wanted)


def _unhashed(
    setting: Setting, shipped: Setting, seed: int, semantic_ids: str | None
) -> Iterator[Difference]:
    """What no hash covers, since it grows with a board: seeds, and draws of Semantic IDs.

    A record from before it grew has a part of what is shipped now.
    """
    if more := sorted(set(setting.seeds) - set(shipped.seeds)):
        wanted = f"{list(shipped.seeds)} or some of them: {more} are none of the shipped seeds"
        yield Difference("setting.seeds", str(list(setting.seeds)), wanted)
    own, known = setting.semantic_ids.draws or {}, shipped.semantic_ids.draws or {}
    for number, pin in own.items():
        if pin != known.get(number):
            wanted = known.get(number, "nothing: that draw is not shipped")
            yield Difference(f"setting.semantic_ids.draws.{number}", pin, wanted)
    drawn = known.get(str(seed))
    if semantic_ids is not None and drawn not in (None, semantic_ids):
        wanted = f"{drawn}, the shipped draw of seed {seed}"
        yield Difference("inputs.semantic_ids", semantic_ids, wanted)


def _facts(method: MethodCard, card: MethodCard) -> Iterator[Difference]:
    """What a method says of itself and its shipped card does not; of another version it may."""
    found = method.facts.model_dump(mode="json") if method.facts is not None else {}
    wanted = card.facts.model_dump(mode="json") if card.facts is not None else {}
    for name in found.keys() & wanted.keys():
        if found[name] != wanted[name]:
            weight: Literal["error", "submission", "warning"] = "warning"
            if name in CHECKED:
                weight = "error" if method.version == card.version else "submission"
            yield Difference(f"method.facts.{name}", str(found[name]), str(wanted[name]), weight)


def _told(found: MethodCard, shipped: MethodCard) -> tuple[str, str]:
    """What differs between two cards of one method, said of each."""
    fields: dict[str, tuple[Any, Any]] = {
        name: (getattr(found, name), getattr(shipped, name))
        for name in ("version", "group", "spends", "settings")
    }
    for name in type(found.parameters).model_fields:
        fields[name] = (getattr(found.parameters, name), getattr(shipped.parameters, name))
    if found.facts is not None and shipped.facts is not None:
        for name in ("stages", "directions"):
            fields[name] = (getattr(found.facts, name), getattr(shipped.facts, name))
    differing = {name: pair for name, pair in fields.items() if pair[0] != pair[1]}
    own, other = (
        ", ".join(f"{name} {pair[side]}" for name, pair in differing.items()) for side in (0, 1)
    )
    return own, other
