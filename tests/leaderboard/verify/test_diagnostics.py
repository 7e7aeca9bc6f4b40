"""What stored cosines, rounded, still say of RSA: never further off than the bound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from leaderboard.records.diagnostics import COSINE_STEP
from leaderboard.verify.diagnostics import MOST_UNSURE, unsure_order


@given(
    st.integers(0, 10_000),
    st.integers(3, 300),
    st.sampled_from([3e-5, 3e-4, 3e-3, 0.3]),
    st.floats(0, 1),
)
def test_spearman_of_rounded_cosines_is_within_the_bound(
    seed: int, size: int, spread: float, shared: float
) -> None:
    generator = np.random.default_rng(seed)
    other = generator.standard_normal(size)
    own = 0.5 + spread * (shared * other + generator.standard_normal(size))
    stored = np.round(own / COSINE_STEP) * COSINE_STEP
    if np.ptp(stored) > 0:
        true, told = (spearmanr(side, other).statistic for side in (own, stored))
        assert abs(true - told) <= unsure_order(stored) + 1e-12


@pytest.mark.parametrize(("spread", "compared"), [(0.2, True), (0.02, True), (0.0002, False)])
def test_rsa_is_compared_where_cosines_vary_by_more_than_some_steps(
    spread: float, compared: bool
) -> None:
    cosines = 0.5 + spread * np.random.default_rng(0).standard_normal(2016)  # pairs of 64 codes
    stored = np.round(cosines / COSINE_STEP) * COSINE_STEP
    assert (unsure_order(stored) < MOST_UNSURE) is compared
