"""Settings and methods as they come with the code, and whether records are of them.

Who has the code at hand hands them in: `leaderboard` knows neither settings nor methods.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from leaderboard.records.record import MethodCard


@dataclass(frozen=True)
class Shipped:
    """Hashes of the shipped settings and cards of shipped methods, to compare records with.

    Args:
        settings: name → hash of the settings that come with the code.
        card: the card that a record of a setting, by its name, and a method, by its key, has now;
            null where the method is not known. Asked of records of a shipped setting alone.
    """

    settings: Mapping[str, str]
    card: Callable[[str, str], MethodCard | None]

    def differences(
        self, setting: str, setting_hash: str, method: MethodCard, method_hash: str
    ) -> Iterator[tuple[str, str, str]]:
        """Field, what a record has, and what is shipped, where these differ.

        Settings of other names are their authors' own; so are the rates of an edited setting, and
        methods of other names.
        """
        if setting not in self.settings:
            return
        if setting_hash != self.settings[setting]:
            wanted = f"{self.settings[setting]}, of the setting {setting} as it is shipped"
            yield "setting_hash", setting_hash, wanted
            return
        card = self.card(setting, method.key)
        if card is None:
            return
        if method_hash != card.hash:
            found, wanted = _told(method, card)
            yield (
                "method_hash",
                f"{method_hash} ({found})",
                f"{card.hash} ({wanted}), of the method {method.key} as {setting} is shipped",
            )
        for name in ("summary", "source"):
            found, wanted = getattr(method, name), getattr(card, name)
            if found != wanted:
                yield f"method.{name}", found, wanted


def _told(found: MethodCard, shipped: MethodCard) -> tuple[str, str]:
    """What differs between two cards of one method, said of each."""
    fields: dict[str, tuple[object, object]] = {"version": (found.version, shipped.version)}
    for name in type(found.parameters).model_fields:
        fields[name] = (getattr(found.parameters, name), getattr(shipped.parameters, name))
    fields["settings"] = (found.settings, shipped.settings)
    differing = {name: pair for name, pair in fields.items() if pair[0] != pair[1]}
    own, other = (
        ", ".join(f"{name} {pair[side]}" for name, pair in differing.items()) for side in (0, 1)
    )
    return own, other
