"""Rates in a setting's text: only they change, comments stay, what comes out is checked."""

import pytest

from benchmarks.machine.places import SETTINGS
from benchmarks.run.run import check_method_tables
from benchmarks.tune.method_tables import MethodTableError, toml_number, with_rates
from leaderboard.records.setting import MethodParameters, SettingError, parse_setting

SHARED = (SETTINGS / "ml-100k-nano.toml").read_text(encoding="utf-8")
PLAIN = SHARED.replace('rates = "shared"', 'rates = "own"')
TABLES = """
# how mean was tuned
[method.mean]
# found on validation
sft_learning_rate = 2e-3  # once

# gti has its own
[method.gti]
sft_learning_rate = 3e-3
grounding_learning_rate = 2e-2
"""


def own(text: str, method: str) -> MethodParameters:
    return parse_setting(text, "test").parameters(method)


@pytest.fixture
def bare() -> str:
    """A shipped setting, which has no method tables, with rates of methods' own."""
    return PLAIN


def test_new_tables_go_to_the_end_and_the_rest_stays_byte_for_byte(bare):
    text = with_rates(bare, {}, {"gti": {"sft_learning_rate": 5.6e-4}}, "test")
    assert text == bare + "\n[method.gti]\nsft_learning_rate = 5.6e-4\n"
    assert own(text, "gti").sft_learning_rate == 5.6e-4


def test_a_table_is_replaced_where_it_stands_and_comments_stay(bare):
    text = with_rates(
        bare + TABLES, {}, {"mean": {"sft_learning_rate": 1e-3}, "lc_rec": {}}, "test"
    )
    assert text == bare + TABLES.replace("2e-3  # once\n", "1e-3\n").replace(
        "# found on validation\nsft_learning_rate = 1e-3\n",
        "sft_learning_rate = 1e-3\n# found on validation\n",
    )
    assert own(text, "gti") == own(bare + TABLES, "gti")


def test_values_that_went_away_are_taken_out(bare):
    text = with_rates(bare + TABLES, {}, {"gti": {"sft_learning_rate": 3e-3}}, "test")
    assert own(text, "gti") == MethodParameters(sft_learning_rate=3e-3)


def test_an_empty_table_is_removed_with_its_header(bare):
    text = with_rates(bare + TABLES, {}, {"mean": {}, "gti": {}}, "test")
    assert "[method." not in text
    assert "# gti has its own" in text
    assert parse_setting(text, "test").setting == parse_setting(bare, "test").setting


def test_tables_in_another_form_are_refused_with_a_way_out(bare):
    text = "method = { gti = { sft_learning_rate = 1e-3 } }\n" + bare
    with pytest.raises(MethodTableError, match="enter the values by hand"):
        with_rates(text, {}, {"gti": {"sft_learning_rate": 2e-3}}, "test")


def test_shared_rates_are_replaced_in_their_tables_alone():
    text = with_rates(SHARED, {"sft": 5e-4, "grounding": 3e-2}, {}, "test")
    expected = SHARED.replace("learning_rate = 1e-3\n", "learning_rate = 5e-4\n")
    expected = expected.replace("learning_rate = 1e-2\n", "learning_rate = 3e-2\n")
    assert text == expected
    changed = [a for a, b in zip(SHARED.splitlines(), text.splitlines(), strict=True) if a != b]
    assert changed == ["learning_rate = 1e-3", "learning_rate = 1e-2"]
    setting = parse_setting(text, "test").setting
    assert (setting.sft.learning_rate, setting.grounding.learning_rate) == (5e-4, 3e-2)


def test_a_remark_goes_with_the_rate_that_it_was_on_and_stays_on_one_that_does_not_change():
    told = SHARED.replace("learning_rate = 1e-3\n", "learning_rate = 1e-3  # as published\n")
    assert with_rates(told, {"sft": 1e-3}, {}, "test") == told
    assert with_rates(told, {"sft": 2e-3}, {}, "test") == SHARED.replace(
        "learning_rate = 1e-3\n", "learning_rate = 2e-3\n"
    )


def test_a_rate_in_another_form_is_refused_with_a_way_out():
    text = SHARED.replace("[sft]\n", '[sft]\n"learning_rate" = 1e-3\n')
    text = text.replace("\nlearning_rate = 1e-3\n", "\n", 1)
    with pytest.raises(MethodTableError, match=r"rates of sft as text.* enter the values by hand"):
        with_rates(text, {"sft": 2e-3}, {}, "test")


def test_an_own_sft_rate_is_not_written_where_all_methods_share_one():
    with pytest.raises(MethodTableError):
        with_rates(SHARED, {}, {"gti": {"sft_learning_rate": 2e-3}}, "test")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1e-3, "1e-3"),
        (5.6e-4, "5.6e-4"),
        (0.022, "2.2e-2"),
        (0.5, "0.5"),
        (10.0, "10.0"),
        (0.00123, "0.00123"),
    ],
)
def test_numbers_read_as_people_write_them(value, written):
    assert toml_number(value) == written
    assert float(toml_number(value)) == value


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[method.gtl]\nsft_learning_rate = 1e-3", "did you mean 'gti'"),
        ("[method.mean]\nauxiliary_loss_weight = 3.0", "mean has no auxiliary_loss_weight"),
        ("[method.mean_two_phase]\ngrounding_learning_rate = 1e-3", "has no grounding_learning"),
    ],
)
def test_tables_that_would_do_nothing_are_refused(bare, table, message):
    with pytest.raises(SettingError, match=message):
        check_method_tables(parse_setting(f"{bare}\n{table}\n", "mine.toml"))


def test_tables_of_what_methods_have_are_taken(bare):
    gti = "[method.gti]\ngrounding_learning_rate = 1e-3"
    lc_rec = "[method.lc_rec]\nauxiliary_loss_weight = 2.0"
    check_method_tables(parse_setting(f"{bare}\n{gti}\n{lc_rec}\n", "mine.toml"))
