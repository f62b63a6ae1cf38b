"""Optimal return on Pendulum-v1: python benchmarks/pendulum_optimum.py.

Dynamic programming with the known dynamics, for the 200 steps of an episode, on a grid
of angles and angular velocities. The resulting policy acts in the environment itself,
from the fixed initial states of `nengo_epes.rl.evaluation` and from others, so the
written return is a lower bound of the optimum. It takes a minute.
"""

import json
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

from nengo_epes.files import write_atomically
from nengo_epes.rl.evaluation import FIRST_RESET, make_fixed

N_ANGLES = N_VELOCITIES = 301
TORQUES = np.linspace(-2, 2, 41)
N_STEPS = 200
TABLE = Path(__file__).parent / "results" / "pendulum_optimum.json"


def step(angle, velocity, torque):
    """Return angle, velocity and reward of a step, as Gymnasium documents them."""
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
    reward = -(wrapped**2 + 0.1 * velocity**2 + 0.001 * torque**2)
    velocity = np.clip(velocity + 0.05 * (15 * np.sin(angle) + 3 * torque), -8, 8)
    return angle + 0.05 * velocity, velocity, reward


def cell(angle, velocity):
    """Return the grid coordinates of states, in cells."""
    turn = (angle + np.pi) % (2 * np.pi) / (2 * np.pi)
    return turn * (N_ANGLES - 1), (velocity + 8) / 16 * (N_VELOCITIES - 1)


def values():
    """Return the largest return with 0, 1, ... steps left, on the grid."""
    angle, velocity = np.meshgrid(
        np.linspace(-np.pi, np.pi, N_ANGLES),
        np.linspace(-8, 8, N_VELOCITIES),
        indexing="ij",
    )
    outcomes = []
    for torque in TORQUES:
        *after, reward = step(angle, velocity, torque)
        outcomes.append((cell(*after), reward))
    left = [np.zeros_like(angle)]
    for _ in range(N_STEPS - 1):
        of_torques = [
            reward + map_coordinates(left[-1], where, order=1)
            for where, reward in outcomes
        ]
        left.append(np.max(of_torques, axis=0))
    return left


def earn(left, n_episodes, first_reset):
    """Return the returns of the best torques in the environment, one per episode."""
    env = make_fixed("Pendulum-v1", first=first_reset)
    returns = []
    for _ in range(n_episodes):
        env.reset()
        total = 0.0
        for remaining in reversed(left):
            *after, reward = step(*env.unwrapped.state, TORQUES)
            worth = reward + map_coordinates(remaining, cell(*after), order=1)
            _, earned, *_ = env.step(TORQUES[[np.argmax(worth)]])
            total += earned
        returns.append(total)
    return np.array(returns)


def main():
    """Write the table."""
    left = values()
    table = {"command": "python benchmarks/pendulum_optimum.py"}
    for name, n_episodes, first in (
        ("fixed beginnings", 100, FIRST_RESET),
        ("other beginnings", 1000, FIRST_RESET + 100),
    ):
        returns = earn(left, n_episodes, first)
        table[name] = {
            "episodes": n_episodes,
            "mean": float(returns.mean()),
            "standard deviation": float(returns.std()),
        }
    text = json.dumps(table, indent=1) + "\n"
    write_atomically(TABLE, lambda path: path.write_text(text))
    print(text)


if __name__ == "__main__":
    main()
