"""The head in pieces against the plain head: loss and gradients."""

import pytest
import torch

from gti.model import head
from gti.model.head import (
    CHUNK_BYTES,
    head_loss,
    log_probabilities,
    others_logsumexp,
    own_rows_loss,
)
from gti.plain import plain_head_loss


def problem(dtype, targets=37, rows=50, width=8):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(targets, width, generator=generator, dtype=dtype)
    matrix = torch.randn(rows, width, generator=generator, dtype=dtype)
    labels = torch.randint(rows, (targets,), generator=generator)
    return hidden, matrix, labels


@pytest.mark.parametrize("chunk", [1, 7, 36, 37, 100, None])
def test_whole_matrix_loss_and_gradients_equal_the_plain_heads(chunk):
    hidden, matrix, labels = problem(torch.float64)
    ours = [hidden.clone().requires_grad_(), matrix.clone().requires_grad_()]
    plain = [hidden.clone().requires_grad_(), matrix.clone().requires_grad_()]
    loss = head_loss(*ours, labels, chunk=chunk)
    expected = plain_head_loss(*plain, labels)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    (3.0 * loss).backward()
    (3.0 * expected).backward()
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("chunk", [20, None])
def test_bfloat16_gradients_are_those_of_float32_rounded(chunk):
    hidden, matrix, labels = problem(torch.bfloat16)
    ours = [hidden.clone().requires_grad_(), matrix.clone().requires_grad_()]
    plain = [each.float().requires_grad_() for each in (hidden, matrix)]
    (3.0 * head_loss(*ours, labels, chunk=chunk)).backward()
    (3.0 * plain_head_loss(*plain, labels)).backward()
    for a, b in zip(ours, plain, strict=True):
        assert a.grad.dtype == torch.bfloat16
        assert torch.cosine_similarity(a.grad.float().flatten(), b.grad.flatten(), dim=0) > 0.999


def test_own_rows_get_their_part_of_the_matrix_gradient():
    hidden, matrix, labels = problem(torch.float64)
    ids = torch.tensor([3, 49, 17])
    own = matrix[ids].clone().requires_grad_()
    state = hidden.clone().requires_grad_()
    head_loss(state, own, labels, matrix.clone(), ids, chunk=10).backward()
    whole, plain = matrix.clone().requires_grad_(), hidden.clone().requires_grad_()
    plain_head_loss(plain, whole, labels).backward()
    torch.testing.assert_close(own.grad, whole.grad[ids], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(state.grad, plain.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bytes_", [1, 1 << 22])
def test_constant_states_need_but_their_own_rows(bytes_, monkeypatch):
    monkeypatch.setitem(CHUNK_BYTES, "cpu", bytes_)
    hidden, matrix, _ = problem(torch.float64, targets=150)  # more than a piece has room for
    ids = torch.tensor([3, 49, 17])
    labels = torch.arange(len(hidden)) % len(ids)
    own = matrix[ids].clone().requires_grad_()
    spoiled = matrix.clone()
    spoiled[ids] = torch.nan  # never looked at
    loss = own_rows_loss(hidden, own, labels, others_logsumexp(hidden, spoiled, ids))
    loss.backward()
    whole = matrix.clone().requires_grad_()
    expected = plain_head_loss(hidden, whole, ids[labels])
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(own.grad, whole.grad[ids], rtol=1e-10, atol=1e-12)


def test_bfloat16_under_autocast_stays_near_float32():
    hidden, matrix, labels = problem(torch.float32)
    weight = matrix.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = head_loss(hidden.clone().requires_grad_(), weight, labels)
    loss.backward()
    exact = matrix.clone().requires_grad_()
    expected = plain_head_loss(hidden, exact, labels)
    expected.backward()
    assert loss.dtype == weight.grad.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=2e-2, atol=0)
    torch.testing.assert_close(weight.grad, exact.grad, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("targets", [1, 37])
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_log_probabilities_in_pieces_are_those_of_the_whole_vocabulary(monkeypatch, targets, size):
    monkeypatch.setitem(head.SUM_BYTES, "cpu", size)
    hidden, matrix, _ = problem(torch.float64, targets, rows=1000)
    hidden[0] *= 300  # far from where exponentials are finite
    ids = torch.tensor([999, 3, 3, 500])
    expected = (hidden @ matrix.T).log_softmax(dim=1)[:, ids]
    found = log_probabilities(hidden, matrix, ids)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    half = log_probabilities(hidden[-1:].bfloat16(), matrix.bfloat16(), ids)
    assert half.dtype == torch.float32
