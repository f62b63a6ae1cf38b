"""An agent learns to balance a pole on a cart: push the pole, or stop learning.

Sliders: ``push`` turns the pole, in rad/s for each step of the environment; at 1,
``stop learning`` switches learning off, and the agent takes the best action.
"""

import gymnasium
import nengo
import numpy as np

from nengo_epes.gui.monitor import monitor
from nengo_epes.gui.view import view
from nengo_epes.rl import build_network


class Pushed(gymnasium.Wrapper):
    """A pole that the user pushes."""

    push = 0.0

    def step(self, action):
        """Push the pole, then take the step."""
        pole = self.unwrapped
        pole.state = np.add(pole.state, [0, 0, 0, self.push])
        return self.env.step(action)


env = Pushed(gymnasium.make("CartPole-v1", render_mode="rgb_array"))


def give_push(t, x):
    """Pass the value of the slider to the environment."""
    env.push = x.item()


model = build_network(env, seed=0)
env_node, agent = model.env_node, model.actor_critic
with model:
    push = nengo.Node(0.0)
    hand = nengo.Node(give_push, size_in=1)
    nengo.Connection(push, hand, synapse=None)
    stop_learning = nengo.Node(0.0, label="stop learning")
    nengo.Connection(stop_learning, agent.evaluate, synapse=None)
    picture = view(env_node)
    episode_return = nengo.Node(size_in=1, label="return of the episode")
    returns = env_node[env_node.output.episode_return]
    nengo.Connection(returns, episode_return, synapse=None)
    value = nengo.Node(size_in=1, label="value")
    nengo.Connection(agent.value, value, synapse=None)
    # a pulse every two simulator steps; its integral is the TD error
    td_error = nengo.Node(size_in=1, label="TD error")
    nengo.Connection(agent.td_error, td_error, transform=0.002, synapse=0.01)
    trace = monitor(agent.critic, "eligibility_trace", label="norm of the trace")
