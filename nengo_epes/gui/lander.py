"""An agent learns to land on the moon, or any other task of Gymnasium.

Change ``environment`` to see another task: the agent stays the same. At 1, the slider
``stop learning`` switches learning off, and the agent takes the best action.
"""

import gymnasium
import nengo

from nengo_epes.gui.monitor import monitor
from nengo_epes.gui.view import view
from nengo_epes.rl import build_network

environment = "LunarLander-v3"  # or "MountainCar-v0", "Pendulum-v1", ...

env = gymnasium.make(environment, render_mode="rgb_array")
model = build_network(env, seed=0)
env_node, agent = model.env_node, model.actor_critic
with model:
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
