"""One file makes a method: found by its name, shown in its group, and short enough to read."""

import ast
import sys
from pathlib import Path

import pytest

import baselines
from baselines.registry import methods, select_methods
from gti.method import MethodError

ROOT = Path(__file__).resolve().parent.parent.parent

NEW = '''"""`zeros`: nothing at all."""

import torch

from gti.method import Method


class Zeros(Method):
    """Every row zero."""

    key = "{key}"
    summary = "every new row zero"
    source = "a test"
    group = "initialization"

    def initialize(self, start):
        """Zeros."""
        return torch.zeros(start.num_new, start.width)
'''


@pytest.fixture
def drop_in(tmp_path, monkeypatch):
    """`drop_in(key)`: a further folder of the package with one file `zeros.py` in it."""

    def drop(key):
        (tmp_path / "zeros.py").write_text(NEW.format(key=key), encoding="utf-8")
        monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, str(tmp_path)])
        methods.cache_clear()

    yield drop
    methods.cache_clear()
    sys.modules.pop("baselines.zeros", None)
    if hasattr(baselines, "zeros"):
        del baselines.zeros


def test_a_new_file_is_a_new_method_in_its_group(drop_in, make_start):
    drop_in("zeros")
    assert "zeros" in methods()
    assert "zeros" in [method.key for method in select_methods("initializations")]
    assert select_methods("zeros")[0].initialize(make_start()).abs().sum() == 0


def test_a_file_whose_method_has_another_name_is_refused(drop_in):
    drop_in("nought")
    with pytest.raises(MethodError, match=r"zeros\.py must hold one Method with key 'zeros'"):
        methods()


def test_every_method_is_one_file_of_under_forty_lines():
    files = {path.stem: path for path in (ROOT / "baselines").glob("*.py")}
    assert set(methods()) == set(files) - {"__init__", "registry"}
    for key in set(methods()):
        assert len(files[key].read_text(encoding="utf-8").splitlines()) < 40, key


def without_docstrings(code):
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.dump(tree)


def test_the_walk_through_in_contributing_is_the_file_it_speaks_of():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = text.partition("```python\n")[2].partition("```")[0]
    code = "\n".join(line.removeprefix("   ") for line in shown.splitlines())
    file = (ROOT / "baselines" / "mean.py").read_text(encoding="utf-8")
    assert without_docstrings(code) == without_docstrings(file)
