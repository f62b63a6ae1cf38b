"""The agent in MountainCarContinuous-v0."""

import gymnasium
import numpy as np
import pytest
from numpy.testing import assert_allclose

from nengo_epes.rl import mountain_car
from nengo_epes.rl.evaluation import FIRST_RESET, evaluate
from nengo_epes.rl.presets import preset
from nengo_epes.rl.training import train

N_CELLS, RATE = 8, 200.0


def drive(weights, seed):
    """Return what place cells with these weights earn, in plain numpy."""
    env = gymnasium.make(mountain_car.ENVIRONMENT)
    low, high = env.observation_space.low, env.observation_space.high
    along = np.linspace(-1, 1, N_CELLS)
    position, velocity = np.meshgrid(along, along, indexing="ij")
    observation, _ = env.reset(seed=seed)
    earned = 0.0
    while True:
        x = 2 * (observation - low) / (high - low) - 1
        distance = (position - x[0]) ** 2 + (velocity - x[1]) ** 2
        rates = np.exp(-distance / 2 / (2 / (N_CELLS - 1)) ** 2)
        force = (weights * rates.ravel()).sum() / rates.sum() * RATE
        observation, reward, terminated, truncated, _ = env.step(
            np.clip([force], -1, 1).astype(np.float32)
        )
        earned += reward
        if terminated or truncated:
            return earned


def test_against_plain_numpy():
    """Weights that push the way the car rolls earn the same in the network and in plain
    numpy, and reach the goal."""
    way = np.tile(np.sign(np.linspace(-1, 1, N_CELLS)), N_CELLS) / RATE
    weights = {"actor": way[None], "critic": np.zeros((1, N_CELLS**2))}
    earned = evaluate(mountain_car, weights, n_episodes=3, n_cells=N_CELLS)
    expected = [drive(way, FIRST_RESET + i) for i in range(3)]
    # forces are rounded to single precision, of which 100 steps make some more
    assert_allclose(earned, expected, atol=1e-4)
    assert min(earned) > 80


def test_it_is_being_learned():
    """In 8000 steps of the environment, eight episodes for a car that never reaches the
    goal, it has been there five times."""
    build = preset("MountainCarContinuous-v0").build
    returns = train(build, 1000, 8000, n_cells=N_CELLS, eta_actor=0.5)["returns"]
    assert np.sum(returns > 0) >= 5


@pytest.mark.slow
def test_it_is_learned():
    """The task is solved after 50,000 steps, and in training much sooner."""
    result = mountain_car.trial(1000)
    assert result["greedy mean"] >= 90
    assert result["steps"] <= 25_000
