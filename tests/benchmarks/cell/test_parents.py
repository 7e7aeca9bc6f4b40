"""Pairs that differ in one thing: a control has its parent's rates where it has none of its own."""

import pytest

from baselines.gti import Gti
from baselines.gti_shuffled import GtiShuffled
from baselines.registry import _check_parents, methods
from benchmarks.cell.identity import parameters_of
from benchmarks.machine.places import SETTINGS
from benchmarks.run.plan import plan_cells
from gti.method import Method, MethodError, check_method
from leaderboard.records.setting import MethodParameters, SettingFile, parse_setting

TABLES = """
[method.mean]
sft_learning_rate = 5e-4

[method.gti]
sft_learning_rate = 2e-3
grounding_learning_rate = 3e-3

[method.gti_shuffled]
grounding_learning_rate = 4e-3

[method.lc_rec]
auxiliary_loss_weight = 0.5
"""


@pytest.fixture
def file() -> SettingFile:
    """A shipped setting in which methods may have rates of their own, and three have."""
    text = (SETTINGS / "ml-100k-nano.toml").read_text(encoding="utf-8")
    return parse_setting(text.replace('rates = "shared"', 'rates = "own"') + TABLES, "own.toml")


def test_every_shipped_method_but_two_has_the_rates_of_one_of_them():
    shipped = {k: m for k, m in methods().items() if type(m).__module__.startswith("baselines.")}
    assert {key for key, method in shipped.items() if method.parent is None} == {"mean", "gti"}
    grounded = {key for key, method in shipped.items() if method.grounding() is not None}
    assert {key for key in shipped if shipped[key].parent == "gti"} == grounded - {"gti"}


RATES = {
    "mean": (5e-4, None, None),
    "mean_matched": (5e-4, None, None),
    "random": (5e-4, None, None),
    "lc_rec": (5e-4, None, 0.5),
    "gti": (2e-3, 3e-3, None),
    "gti_shuffled": (2e-3, 4e-3, None),
    "sid_only": (2e-3, 3e-3, None),
    "gti_lc_rec": (2e-3, 3e-3, None),  # the weight is inherited by no method
    "mean_two_phase": (2e-3, None, None),  # it has no stage with rows alone
}


@pytest.mark.parametrize("key", RATES)
def test_own_rates_come_first_then_the_parents_that_act_on_the_method(file, key):
    found = parameters_of(file, methods()[key])
    fields = ("sft_learning_rate", "grounding_learning_rate", "auxiliary_loss_weight")
    assert found == MethodParameters(**dict(zip(fields, RATES[key], strict=True)))


def test_run_plans_cells_with_the_inherited_rates(file, tmp_path):
    (cell,) = plan_cells(file, [methods()["gti_shuffled"]], [0], tmp_path)
    assert cell.card.parameters == MethodParameters(
        sft_learning_rate=2e-3, grounding_learning_rate=4e-3
    )


def test_without_tables_no_method_has_anything_of_its_own(file):
    bare = file.model_copy(update={"methods": {}})
    assert {parameters_of(bare, method) for method in methods().values()} == {MethodParameters()}


def test_a_subclass_has_its_bases_parent_unless_it_says_otherwise():
    class Other(GtiShuffled):
        key = "other"

    class Own(GtiShuffled):
        key = "own"
        parent = None

    assert (Other.parent, Own.parent, Gti.parent, Method.parent) == ("gti", None, None, None)


def test_parents_that_are_not_there_or_go_round_are_refused():
    class Lost(Gti):
        key = "lost"
        parent = "gtl"

    class Left(Gti):
        key = "left"
        parent = "right"

    class Right(Gti):
        key = "right"
        parent = "left"

    class Self(Gti):
        key = "self"
        parent = "self"

    known = {**methods(), "lost": Lost(), "left": Left(), "right": Right()}
    with pytest.raises(MethodError, match=r"no parent 'gtl'; did you mean 'gti'\?"):
        _check_parents(known["lost"], known)
    with pytest.raises(MethodError, match="parents go round: left, right"):
        _check_parents(known["left"], known)
    with pytest.raises(MethodError, match="its own `parent`"):
        check_method(Self())
