"""Spaces of Gymnasium with entries that cannot change."""

import gymnasium
import numpy as np
from numpy.testing import assert_allclose

from nengo_epes.rl.spaces import ObservationSpace


def test_entry_of_one_value():
    """An entry that has one value is scaled to 0; the others are scaled as ever."""
    low, high = (
        np.array([[0.5, 0.0], [-2.0, -np.inf]]),
        np.array([[0.5, 4.0], [6.0, 1]]),
    )
    space = ObservationSpace(gymnasium.spaces.Box(low, high, dtype=np.float64))
    seen = space.scale(np.array([[0.5, 1.0], [4.0, 0.3]]))
    assert_allclose(seen, [0.0, -0.5, 0.5, np.tanh(0.3)], rtol=1e-12)
