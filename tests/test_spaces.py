"""Conversion between Gymnasium's spaces and vectors."""

import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes.rl.spaces import ActionSpace, ObservationSpace, is_finite

OBSERVATIONS = [
    spaces.Box(-1, 1, (3,)),
    spaces.Box(-np.inf, np.inf, (2, 3), dtype=np.float64),
    spaces.Box(0, 255, (5,), dtype=np.uint8),
    spaces.Box(-3, 3, (), dtype=np.int64),
    spaces.Discrete(5),
    spaces.Discrete(5, start=-2),
    spaces.MultiBinary(4),
    spaces.MultiBinary((2, 3)),
    spaces.MultiDiscrete([3, 2, 4]),
    spaces.MultiDiscrete([[3, 2], [4, 1]], start=[[1, 0], [-2, 5]]),
    spaces.Tuple([spaces.Discrete(32), spaces.Discrete(11), spaces.Discrete(2)]),
    spaces.Dict(
        velocity=spaces.Box(-1, 1, (2,)),
        angle=spaces.Discrete(3, start=1),
        nested=spaces.Tuple([spaces.MultiBinary(2), spaces.Dict(x=spaces.Discrete(2))]),
    ),
]


@pytest.mark.parametrize("space", OBSERVATIONS, ids=str)
def test_observations_are_flattened_as_by_gymnasium(space):
    """The vector equals the result of `gymnasium.spaces.utils.flatten`, also after a
    pickle."""
    ours = ObservationSpace(space)
    again = pickle.loads(pickle.dumps(ours))
    assert ours.size == spaces.utils.flatdim(space)
    space.seed(0)
    for _ in range(20):
        observation = space.sample()
        expected = spaces.utils.flatten(space, observation)
        assert_array_equal(ours.flatten(observation), expected)
        assert_array_equal(again.flatten(observation), expected)


def test_observations_outside_of_a_box():
    """Bounds are not validated, because many environments violate theirs."""
    space = ObservationSpace(spaces.Box(-1, 1, (2,)))
    assert_array_equal(space.flatten([1e30, -7]), [1e30, -7])


def test_ranges_count_the_entries_of_the_vector():
    """A Discrete observation has one range per state."""
    space = ObservationSpace(spaces.Discrete(3), np.full(3, 2.0))
    assert_array_equal(space.flatten(1), [0, 0.5, 0])


def test_is_finite():
    """One NaN or infinity is detected in arrays of any size; large numbers are
    finite."""
    for size in (1, 3, 64, 65, 1000):
        for wrong in (np.nan, np.inf, -np.inf):
            for dtype in (np.float32, np.float64):
                array = np.zeros(size, dtype=dtype)
                assert is_finite(array)
                array[-1] = wrong
                assert not is_finite(array)
    assert is_finite(np.full(9, 1.7e308))
    assert is_finite(np.array([True, False]))


ACTIONS = [
    spaces.Discrete(3),
    spaces.Discrete(3, start=5),
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([3, 2]),
    spaces.MultiDiscrete([[3, 2], [1, 4]], start=[[1, 2], [0, -3]], dtype=np.int32),
    spaces.MultiBinary(3),
    spaces.MultiBinary((2, 2)),
    spaces.Box(-2, 3, (3,)),
    spaces.Box(np.array([[0.1, -7.0]]), np.array([[0.3, 9.0]]), dtype=np.float64),
    spaces.Box(0, 255, (2, 2), dtype=np.uint8),
    spaces.Box(-5, 5, (), dtype=np.int64),
    spaces.Box(0, 1, (2,), dtype=bool),
    spaces.Box(-np.inf, np.inf, (2,)),
    spaces.Box(0.0, np.inf, (2,)),
]


@pytest.mark.parametrize("space", ACTIONS, ids=str)
def test_actions_are_of_their_space(space, rng):
    """Any vector gives an action of the space, with the dtype and shape of a sample."""
    ours = pickle.loads(pickle.dumps(ActionSpace(space)))
    sampled = space.sample()
    for scale in (0, 0.1, 1, 1000):
        action = ours.choose(scale * rng.normal(size=ours.size))
        assert space.contains(action)
        assert action.dtype == sampled.dtype and action.shape == sampled.shape


def test_largest_of_each_group():
    """Each group of discrete actions selects its largest entry."""
    multi = ActionSpace(spaces.MultiDiscrete([[3, 2], [1, 4]], start=[[1, 0], [0, 5]]))
    assert (multi.size, multi.sizes) == (10, [3, 2, 1, 4])
    numbers = [0, 9, 1, 5, 4, -3, 0, 0, 7, 0]
    assert_array_equal(multi.choose(numbers), [[1 + 1, 0], [0, 5 + 2]])
    binary = ActionSpace(spaces.MultiBinary(3))
    assert (binary.size, binary.sizes) == (6, [2, 2, 2])
    assert_array_equal(binary.choose([1, 2, 2, 1, 0, 0.5]), [1, 0, 1])
    states = ActionSpace(spaces.Discrete(3, start=5))
    assert (states.size, states.sizes) == (3, [3])
    assert states.choose([-3, -2, -1]) == 7


def test_box_actions():
    """[-1, 1] is scaled to the two bounds and clipped. Entries with one bound are
    clipped by it, unbounded entries are unchanged, and integers are rounded."""
    low = np.array([[0.0, -2.0, -np.inf], [-np.inf, 1.0, -3e38]])
    high = np.array([[10.0, 2.0, 5.0], [np.inf, np.inf, 3e38]])
    space = ActionSpace(spaces.Box(low, high, dtype=np.float64))
    assert (space.size, space.sizes) == (6, None)
    action = space.choose([0.5, -3.0, 7.0, -7.0, 0.25, 123.0])
    assert_allclose(action, [[7.5, -2.0, 5.0], [-7.0, 1.0, 123.0]], rtol=1e-12)
    whole = ActionSpace(spaces.Box(0, 10, (4,), dtype=np.int32))
    assert_array_equal(whole.choose([-1, 0.15, 0.0, 2.0]), [0, 6, 5, 10])
    pendulum = gymnasium.make("Pendulum-v1").action_space
    assert ActionSpace(pendulum).choose([1.0]) == [2.0]
