"""CartPole-v1, learned by an actor-critic whose decoders EPES learns.

A pole stands on a cart, which is pushed to the left or to the right in every step; each
step until the pole falls, 500 at most, earns 1. The observation is position, velocity,
angle and angular velocity of the pole.
"""

from __future__ import annotations

import nengo
import numpy as np

from nengo_epes.environments import Environment
from nengo_epes.networks import ActorCritic, SoftmaxPolicy, random_features
from nengo_epes.steps import Intentional
from nengo_epes.synapses import z

# m, m/s, rad, rad/s: beyond the first and third an episode ends
RANGES = (2.4, 3.0, 0.21, 3.0)


def build(
    seed=0,
    lambda_=0.9,
    eta_critic=0.4,
    eta_actor=0.02,
    n_neurons=1000,
    neuron_type=None,
    steps_per_action=2,
    pre_synapse=None,
    evaluate=False,
):
    """Build the agent and its environment.

    Parameters
    ----------
    seed : int
        Of the network, the environment and the actions.
    lambda_ : float
        Of the traces.
    eta_critic, eta_actor : float
        Of `Intentional`.
    n_neurons : int
        Neurons that represent the observation.
    neuron_type : nengo.neurons.NeuronType, optional
        None for `nengo.RectifiedLinear`.
    steps_per_action : int
        Simulator steps a step of the environment.
    pre_synapse : float or None
        Seconds, by which spikes are filtered.
    evaluate : bool
        Whether the agent is greedy and does not learn.

    Returns
    -------
    network : nengo.Network
        To be simulated.
    world : nengo.Node
        With the `Environment` as its output.
    agent : ActorCritic
    """
    env = Environment(
        "CartPole-v1",
        steps_per_action=steps_per_action,
        discount_factor=0.99,
        reward_scale=0.05,
        observation_range=RANGES,
        seed=seed,
    )
    with nengo.Network(seed=seed, label="cart-pole") as network:
        world = nengo.Node(env, label="cart and pole")
        state = random_features(n_neurons, 4, neuron_type)
        policy = SoftmaxPolicy(env.n_actions, trigger=True, label="policy")
        agent = ActorCritic(
            state,
            policy,
            discount=0.99,
            lambda_=lambda_,
            critic_step=Intentional(eta_critic),
            actor_step=Intentional(eta_actor, normalize=True),
            entropy_bonus=0.01,
            pre_synapse=pre_synapse,
        )
        nengo.Connection(world[env.observation], state, synapse=None)
        for name in ("reward", "discount", "learn", "decide", "reset"):
            signal = world[getattr(env, name)]
            nengo.Connection(signal, getattr(agent, name), synapse=None)
        nengo.Connection(nengo.Node(float(evaluate)), agent.evaluate, synapse=None)
        nengo.Connection(agent.action, world, synapse=z**-1)
    return network, world, agent


def run(seed=0, n_steps=70_000, stop=None, **options):
    """Let the agent learn, episode by episode.

    Parameters
    ----------
    seed : int
        See `build`.
    n_steps : int
        Steps of the environment after which no new episode begins.
    stop : callable, optional
        ``stop(returns)`` is asked after every episode whether it was the last.
    **options
        See `build`.

    Returns
    -------
    dict of str to array
        ``returns`` and ``steps``: the sum of rewards of each episode, and the steps of
        the environment until its end, those of all episodes before included.

    Examples
    --------
    >>> result = run(n_steps=50, n_neurons=50)
    >>> bool(result["steps"][-1] >= 50), result["returns"].sum() == result["steps"][-1]
    (True, np.True_)
    """
    network, world, _ = build(seed, **options)
    returns = []
    with nengo.Simulator(network, progress_bar=False) as simulator:
        while sum(returns) < n_steps and not (stop and stop(returns)):
            returns.append(run_episode(simulator, world))
    # an episode's return is its number of steps
    return {"returns": np.array(returns), "steps": np.cumsum(returns)}


def run_episode(simulator, world):
    """Simulate until the current episode is over, and return the sum of its rewards.

    Parameters
    ----------
    simulator : nengo.Simulator
        Of a network of `build`.
    world : nengo.Node
        From `build`.

    Returns
    -------
    float
    """
    env = world.output
    now = simulator.signals[simulator.model.sig[world]["out"]]
    while True:
        for _ in range(env.steps_per_action):
            simulator.step()
        if now[env.terminated] or now[env.truncated]:
            return now[env.episode_return].item()


def solved_after(returns, criterion=475.0, window=50):
    """Return after how many episodes the mean of the last ones reached the criterion.

    Parameters
    ----------
    returns : sequence of float
        The return of each episode.
    criterion : float
        The mean return.
    window : int
        Over how many episodes.

    Returns
    -------
    int or None
        None if it never did.

    Examples
    --------
    >>> solved_after([0, 10, 20, 20], criterion=15, window=2)
    3
    """
    sums = np.cumsum([0.0, *returns])
    reached = np.flatnonzero(sums[window:] - sums[:-window] >= criterion * window)
    return int(reached[0]) + window if len(reached) else None
