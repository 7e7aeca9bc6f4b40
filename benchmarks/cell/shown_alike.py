"""Primary contrasts set methods beside each other that were shown alike.

Where a setting's queries know kinds of items, one method may have been taught an item's title
beside its Semantic ID, another a wrong one, a third nothing. That the first finds the item and the
others do not proves nothing of how it was taught. On new items, which no method is shown, it does.
"""

from baselines.registry import methods
from benchmarks.cell.notes import shown_of
from gti.data.warm_cold_new import KINDS
from gti.method import Method
from leaderboard.metrics.slices import QUERIES
from leaderboard.records.setting import Setting, SettingError

RIGHT = {"queries", "titles in first rows", "right pairs", "alignment tasks"}
"""What tells which item a text is of; a method with any of them has been told."""


def check_shown_alike(setting: Setting) -> None:
    """Refuses primary contrasts on kinds of items of which the two methods were told unlike things.

    Raises:
        SettingError: names the contrast, the kind, and what each method was shown of it.
    """
    if setting.queries is None or setting.queries.warm_cold_new is None:
        return
    known = methods()
    for contrast in setting.primary.contrasts if setting.primary else ():
        a, b = known[contrast.a], known[contrast.b]
        asked = {name.removeprefix(QUERIES).partition("-")[0] for name in contrast.on} or set(KINDS)
        for kind in (kind for kind in KINDS if kind in asked):
            if _told(a, kind) != _told(b, kind):
                sides = (f"{m.key} {' and '.join(shown_of(m)[kind]) or 'nothing'}" for m in (a, b))
                raise SettingError(
                    f"setting {setting.name}: primary contrast {a.key} − {b.key} on {kind} items,"
                    f" of which the two were shown unlike things ({', '.join(sides)}); declare it"
                    " on new items, or leave it secondary"
                )


def _told(method: Method, kind: str) -> tuple[bool, bool]:
    """Whether `method` is told which text an item of `kind` has, and whether it is told wrongly."""
    shown = set(shown_of(method)[kind])
    return bool(shown & RIGHT), "wrong pairs" in shown
