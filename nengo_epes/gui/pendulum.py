"""An agent learns to swing up a pendulum: push it, or stop learning.

Sliders: ``push`` turns the pendulum, in rad/s for each step of the environment;
``stop learning`` at 1 does, and takes the best action always.
"""

import gymnasium
import nengo
import numpy as np

from nengo_epes.gui.monitor import watch
from nengo_epes.gui.view import view
from nengo_epes.rl.presets import build

lambda_ = 0.95


class Pushed(gymnasium.Wrapper):
    """A pendulum that somebody pushes."""

    push = 0.0

    def step(self, action):
        """Push the pendulum, then go on as usual."""
        inner = self.unwrapped
        inner.state = np.add(inner.state, [0, Pushed.push])
        return self.env.step(action)


def give_push(t, x):
    """Tell the environment what the slider says."""
    Pushed.push = x.item()


model, world, agent = build(
    "Pendulum-v1",
    seed=0,
    lambda_=lambda_,
    env=lambda: Pushed(gymnasium.make("Pendulum-v1")),
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
