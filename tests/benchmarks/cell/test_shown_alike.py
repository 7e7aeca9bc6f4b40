"""Which contrasts a setting whose items are warm, cold and new may declare as primary."""

import pytest

from benchmarks.cell.shown_alike import check_shown_alike
from benchmarks.inputs.catalogue import find_setting
from leaderboard.records.setting import SettingError
from leaderboard.records.specs import PrimarySpec


def declared(a: str, b: str, *on: str):
    contrast = {"a": a, "b": b, "on": on, "claim": "a test"}
    primary = PrimarySpec.model_validate(
        {"outcome": "trie_nll", "margin": 0.1, "rule": "holm", "contrasts": [contrast]}
    )
    setting = find_setting("ml-100k-language-nano").setting
    return setting.model_copy(update={"primary": primary})


@pytest.mark.parametrize(
    ("a", "b", "kinds"),
    [
        ("gti", "mean_matched", ("warm", "new")),  # both were trained on queries of warm items
        ("gti", "gti_shuffled", ("new",)),
        ("gti", "mean_two_phase", ("warm", "cold", "new")),
        ("gti", "lc_rec", ("warm", "cold", "new")),
        ("mean", "sid_only", ("cold",)),  # Semantic IDs alone tell nothing of texts
    ],
)
def test_methods_that_were_told_the_same_or_neither_may_be_compared(a, b, kinds):
    check_shown_alike(declared(a, b, *(f"queries:{kind}-title" for kind in kinds)))


@pytest.mark.parametrize(
    ("a", "b", "on", "said"),
    [
        ("gti", "mean_matched", ("queries:cold-title",), "gti right pairs, mean_matched nothing"),
        ("gti", "gti_shuffled", ("queries:warm-title",), "gti_shuffled queries and wrong pairs"),
        ("gti", "mean", (), "on cold items"),
    ],
)
def test_what_was_taught_to_one_alone_is_no_primary_contrast(a, b, on, said):
    with pytest.raises(SettingError, match=said) as found:
        check_shown_alike(declared(a, b, *on))
    assert "\n" not in str(found.value)


def test_settings_without_kinds_of_items_are_not_asked():
    check_shown_alike(find_setting("ml-100k-nano").setting)
