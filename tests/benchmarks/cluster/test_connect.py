"""What is said of nodes that differ, and which addresses are this machine's."""

import pytest

from benchmarks.cluster.connect import _is_here, differences


def test_nodes_that_differ_are_named_with_what_each_has():
    one = {"torch": "2.13.0", "instruction set": "AVX512"}
    other = {"torch": "2.12.0", "instruction set": "AVX512"}
    assert differences({"a": one, "b": one}) == []
    assert differences({"a": one, "b": other, "c": one}) == [
        "nodes differ in torch: 2.13.0 on a, c; 2.12.0 on b"
    ]
    assert differences({"a": one, "b": {}})[0] == (
        "nodes differ in instruction set: AVX512 on a; missing on b"
    )
    assert differences({}) == []


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", True), ("localhost", True), ("198.51.100.7", False)]
)
def test_an_address_is_this_machine_s_own_or_is_not(host, here):
    assert _is_here(host) == here
