"""What the presets share refuses what cannot be."""

import numpy as np
import pytest
from nengo.exceptions import ValidationError

from nengo_epes.rl import acrobot, cartpole, evaluation, mountain_car, pendulum
from nengo_epes.rl.training import train

WEIGHTS = {"critic": np.zeros((1, 10)), "actor": np.zeros((2, 10))}


def evaluate(n_episodes, n_neurons):
    return evaluation.evaluate(
        cartpole, WEIGHTS, n_episodes=n_episodes, n_neurons=n_neurons
    )


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: train(cartpole.build), "n_steps: .*never ends"),
        (lambda: train(cartpole.build, n_steps=0), "n_steps: .*at least 1.*got 0"),
        (lambda: evaluate(0, 10), "n_episodes: .*at least 1.*got 0"),
        (lambda: evaluate(1, 20), r"weights: .*critic.*\(1, 10\).*here \(1, 20\)"),
        (lambda: mountain_car.build(n_cells=1), "n_cells: .*at least 2.*got 1"),
        (lambda: pendulum.build(n_velocities=1), "n_velocities: .*at least 2"),
        (lambda: pendulum.build(n_angles=0), "n_angles: .*got 0"),
        (lambda: acrobot.build(n_angles=1), "n_angles: .*got 1"),
        (lambda: acrobot.build(n_velocities=1), "n_velocities: .*got 1"),
    ],
)
def test_what_cannot_be_is_refused(use, message):
    """Numbers that mean nothing, and the weights of another agent, are refused by the
    name of the parameter."""
    with pytest.raises(ValidationError, match=message):
        use()
