"""An agent learns to balance a pole on a cart: push the pole, or stop learning.

Sliders: ``push`` turns the pole, in rad/s for each step of the environment;
``stop learning`` at 1 does, and takes the best action always.
"""

import gymnasium
import nengo
import numpy as np

from nengo_epes.gui.monitor import watch
from nengo_epes.gui.view import view
from nengo_epes.rl.presets import build

n_neurons = 500
lambda_ = 0.9


class Pushed(gymnasium.Wrapper):
    """A pole that somebody pushes."""

    push = 0.0

    def step(self, action):
        """Push the pole, then go on as usual."""
        pole = self.unwrapped
        pole.state = np.add(pole.state, [0, 0, 0, Pushed.push])
        return self.env.step(action)


def give_push(t, x):
    """Tell the environment what the slider says."""
    Pushed.push = x.item()


model, world, agent = build(
    "CartPole-v1",
    seed=0,
    n_neurons=n_neurons,
    lambda_=lambda_,
    env=lambda: Pushed(gymnasium.make("CartPole-v1")),
)
env = world.output
with model:
    push = nengo.Node(0.0)
    hand = nengo.Node(give_push, size_in=1)
    nengo.Connection(push, hand, synapse=None)
    stop_learning = nengo.Node(0.0, label="stop learning")
    nengo.Connection(stop_learning, agent.evaluate, synapse=None)
    picture = view(world)
    episode_return = nengo.Node(size_in=1, label="return of the episode")
    nengo.Connection(world[env.episode_return], episode_return, synapse=None)
    # a pulse of a step every two steps, whose integral is the TD error
    td_error = nengo.Node(size_in=1, label="TD error")
    nengo.Connection(agent.td.output, td_error, transform=0.002, synapse=0.01)
    trace = watch(agent.critic.learned, "eligibility_trace", label="norm of the trace")
