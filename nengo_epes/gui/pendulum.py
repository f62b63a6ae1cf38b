"""An agent learns to swing up a pendulum: push it, or stop learning.

Sliders: ``push`` turns the pendulum, in rad/s for each step of the environment; at 1,
``stop learning`` switches learning off, and the agent takes the best action.
"""

import gymnasium
import nengo
import numpy as np

from nengo_epes.gui.monitor import monitor
from nengo_epes.gui.view import view
from nengo_epes.rl.presets import build


class Pushed(gymnasium.Wrapper):
    """A pendulum that the user pushes."""

    push = 0.0

    def step(self, action):
        """Push the pendulum, then take the step."""
        inner = self.unwrapped
        inner.state = np.add(inner.state, [0, self.push])
        return self.env.step(action)


env = Pushed(gymnasium.make("Pendulum-v1", render_mode="rgb_array"))


def give_push(t, x):
    """Pass the value of the slider to the environment."""
    env.push = x.item()


model, env_node, agent = build("Pendulum-v1", env=env, lambda_=0.95)
signals = env_node.output
with model:
    push = nengo.Node(0.0)
    hand = nengo.Node(give_push, size_in=1)
    nengo.Connection(push, hand, synapse=None)
    stop_learning = nengo.Node(0.0, label="stop learning")
    nengo.Connection(stop_learning, agent.evaluate, synapse=None)
    picture = view(env_node)
    episode_return = nengo.Node(size_in=1, label="return of the episode")
    nengo.Connection(env_node[signals.episode_return], episode_return, synapse=None)
    # a pulse of one step every two steps, whose integral is the TD error
    td_error = nengo.Node(size_in=1, label="TD error")
    nengo.Connection(agent.td.output, td_error, transform=0.002, synapse=0.01)
    trace = monitor(
        agent.critic.learned, "eligibility_trace", label="norm of the trace"
    )
