"""Shares of a profile: which part an operation belongs to, and that all of them add up."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks.inputs.catalogue import find_setting
from benchmarks.perf import where_time_goes
from benchmarks.perf.where_time_goes import OTHER, OUTSIDE, PARTS, WHOLE, part_of, shares


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["aten::mm", "aten::linear", WHOLE], "matrix products of the body"),
        (["aten::mm", "aten::matmul", "_HeadLoss", WHOLE], "head and loss"),
        (["aten::mul", "autograd::engine::evaluate_function: MulBackward0", WHOLE], OTHER),
        (["aten::_fused_adamw_", "Optimizer.step#AdamW.step", WHOLE], "AdamW"),
        (["aten::copy_", "aten::scaled_dot_product_attention", WHOLE], "attention"),
        ([WHOLE], OUTSIDE),
    ],
)
def test_an_operation_belongs_to_what_called_it(names, part):
    assert part_of(names) == part


def test_shares_are_of_own_times_and_the_largest_comes_first():
    whole = SimpleNamespace(name=WHOLE, cpu_parent=None, self_cpu_time_total=1.0)
    linear = SimpleNamespace(name="aten::linear", cpu_parent=whole, self_cpu_time_total=2.0)
    product = SimpleNamespace(name="aten::mm", cpu_parent=linear, self_cpu_time_total=5.0)
    assert shares([whole, linear, product]) == {
        "matrix products of the body": 5 / 8,
        OTHER: 2 / 8,
        OUTSIDE: 1 / 8,
    }


@pytest.fixture
def torch_as_before():
    """Puts back what the command sets for its process."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = filled


@pytest.mark.usefixtures("torch_as_before")
def test_a_real_profile_shows_every_part(capsys):
    where_time_goes.main(["--steps", "1"])
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert {part for part, _ in rows} == {*PARTS, OTHER, OUTSIDE}
    assert sum(float(share.rstrip("%")) for _, share in rows) == pytest.approx(100, abs=0.5)


def test_the_shapes_are_those_that_the_text_names():
    setting = find_setting("ml-100k-nano").setting
    assert f"{setting.sft.batch_size} windows of {setting.prompts.window} items" in (
        where_time_goes.__doc__ or ""
    )
