"""What the core methods claim of their first rows, and how methods are found."""

import numpy as np
import pytest
import torch

from baselines.registry import UnknownMethodError, methods, select_methods
from gti.data.semantic_ids import SemanticIds
from gti.data.streams import torch_stream
from gti.method import Contrast, GroundingPlan, Look, Method, MethodError, Start, check_method


def start(seed: int = 0, codes: int = 64, width: int = 48) -> Start:
    generator = torch.Generator().manual_seed(9)
    sids = SemanticIds(np.zeros((3, 3), np.int64), codes, None, {})
    return Start(
        matrix="input",
        text_rows=torch.randn(500, width, generator=generator) + 0.3,
        text_ids=torch.arange(500),
        default_rows=torch.zeros(sids.num_tokens, width),
        semantic_ids=sids,
        item_texts=({}, {}, {}),
        train=(),
        tokenize=lambda text: [],
        generator=torch_stream(seed, "init"),
    )


@pytest.mark.parametrize("key", ["mean", "gti", "lc_rec"])
def test_mean_rows_are_numpys_mean_of_the_text_rows_and_all_equal(key):
    given = start()
    rows = methods()[key].initialize(given)
    expected = given.text_rows.double().numpy().mean(axis=0)
    assert rows.shape == (192, 48)
    assert (rows == rows[0]).all()
    np.testing.assert_allclose(rows[0].numpy(), expected, atol=1e-6)


def test_random_rows_have_the_stated_moments_and_follow_the_seed():
    given = start(codes=2000)
    rows = methods()["random"].initialize(given).double()
    assert float(rows.mean()) == pytest.approx(0, abs=4 * 0.02 / rows.numel() ** 0.5)
    assert float(rows.std()) == pytest.approx(0.02, rel=0.01)
    again = methods()["random"].initialize(start(codes=2000))
    other = methods()["random"].initialize(start(seed=1, codes=2000))
    assert torch.equal(rows.float(), again)
    assert not torch.equal(again, other)


def test_the_core_comes_first_and_every_method_keeps_the_contract():
    assert list(methods())[:4] == ["mean", "random", "gti", "lc_rec"]
    for method in methods().values():
        check_method(method)


def test_budgets_of_the_core_are_what_the_design_says():
    spends = {key: method.spends for key, method in methods().items()}
    assert spends["mean"] == spends["random"] == {}
    assert spends["gti"] == {"before": 1.0}
    assert spends["lc_rec"] == {"beside": 1.0}
    assert methods()["gti"].grounding() == GroundingPlan(True, True, False, 1.0)


def test_selection_takes_keys_and_groups_once_each():
    assert [m.key for m in select_methods("gti, core")] == ["gti", "mean", "random", "lc_rec"]
    with pytest.raises(UnknownMethodError, match="did you mean 'random'"):
        select_methods("randon")
    with pytest.raises(UnknownMethodError, match="no method named"):
        select_methods(" , ")


class Broken(Method):
    key, summary, source, group = "broken", "", "", "control"


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"group": "cores"}, "group"),
        ({"spends": {"before": 0.5}}, "sum to 1"),
        ({"spends": {"sometimes": 1.0}}, "before, beside, after"),
        ({"spends": {"before": 1.0}}, "grounding stage"),
        ({"alignment": True}, "alignment tasks"),
        ({"key": None}, "key"),
        ({"first_rows": "zeros"}, "'zeros' is not one of mean, words, drawn, library"),
        ({"first_rows": "library"}, "transformers X"),
        ({"look": Look("pink")}, "color of black"),
        ({"look": Look("blue", 4)}, "pattern of 0 to 3"),
        ({"question": "?", "contrasts": (Contrast("gti", "mean", "all"),)}, "another method"),
        ({"question": "?", "contrasts": (Contrast("broken", "broken", ""),)}, "another method"),
        ({"contrasts": (Contrast("broken", "mean", "all"),)}, "`question`"),
    ],
)
def test_a_method_that_breaks_the_contract_is_refused(attributes, message):
    method = type("Broken2", (Broken,), attributes)()
    with pytest.raises(MethodError, match=message):
        check_method(method)


def test_a_subclass_is_drawn_and_compared_as_its_own_and_its_rows_are_what_it_says():
    class Parent(Broken):
        first_rows, order, look = "mean", 1, Look("blue")
        question, contrasts = "?", (Contrast("broken", "mean", "all"),)

        def initialize(self, start):
            return start.default_rows

    class SameRows(Parent):
        summary = "another stage"

    class OtherRows(Parent):
        def initialize(self, start):
            return -start.default_rows

    for child in (SameRows, OtherRows):
        assert (child.order, child.look, child.question, child.contrasts) == (100, None, "", ())
    assert (Parent.first_rows, SameRows.first_rows, OtherRows.first_rows) == ("mean", "mean", None)


def test_no_two_methods_have_one_look_or_declare_one_pair():
    looks = [method.look for method in methods().values()]
    pairs = [{pair.a, pair.b} for method in methods().values() for pair in method.contrasts]
    assert None not in looks
    assert len(set(looks)) == len(looks)
    assert all(pairs.count(pair) == 1 for pair in pairs)
    assert set().union(*pairs) <= set(methods())
