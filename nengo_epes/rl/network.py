"""The two networks of an agent: one learns, and one acts."""

from __future__ import annotations

import math

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.arithmetic.distributions import BoundedGaussian, Softmax
from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.networks import (
    ActorCritic,
    ObservationNormalization,
    RewardScaling,
    sphere_features,
    state_cells,
)
from nengo_epes.rl.environment import Environment
from nengo_epes.rl.settings import choose_neurons, choose_settings
from nengo_epes.synapses import z

__all__ = ["build_network", "connect"]


def connect(env_node, agent, reward=None):
    """Connect an actor and critic with an environment, in both directions.

    Call it inside the network. Connect the observation yourself.

    Parameters
    ----------
    env_node : nengo.Node
        Node whose output is an `Environment`.
    agent : nengo_epes.networks.ActorCritic
        The agent.
    reward : nengo object, optional
        Source of the reward instead of the environment, such as a Node of
        `nengo_epes.networks.RewardScaling`.

    Examples
    --------
    See `~nengo_epes.networks.ActorCritic`.
    """
    env = env_node.output
    # these follow each other in both: one wide connection takes less time than four
    now = slice(env.terminated.start, env.decide.stop)
    controls = agent.node[agent.controls]
    source = env_node[env.reward] if reward is None else reward
    nengo.Connection(env_node[now], controls, synapse=None)
    nengo.Connection(source, agent.reward, synapse=None)
    nengo.Connection(agent.action, env_node, synapse=z**-1)


def build_network(
    env, seed=0, neurons="rate", env_kwargs=None, learned=None, **settings
):
    """Build the learning or the acting network of an `Agent`.

    Parameters
    ----------
    env : str or callable or gymnasium.Env or Environment
        The environment, see `Agent`.
    seed : int, optional
        Seed of the network, the environment and the actions.
    neurons : str or nengo.neurons.NeuronType, optional
        Neurons, see `Agent`.
    env_kwargs : dict, optional
        Keyword arguments for `gymnasium.make` or the constructor.
    learned : dict of str to ndarray, optional
        Weights ``actor`` and ``critic``, and statistics ``observations``. None: the
        network learns in the environment.
    **settings
        Fields of `Settings` to change.

    Returns
    -------
    nengo.Network
        Its parts are attributes: ``state``, the ensemble; ``env_node``,
        ``actor_critic``, and, if they exist, ``normalization`` and ``scaling``. A
        network that acts has the Nodes ``observation``, ``action`` (decoded
        preferences or means) and ``value`` instead. ``settings`` and ``neuron_type``
        are attributes, too.

    Raises
    ------
    ValidationError
        If observations or actions cannot be represented (such as images), or a setting
        is unknown or out of range.

    Examples
    --------
    >>> from nengo_epes.rl import build_network
    >>> network = build_network("CartPole-v1", n_neurons=200)
    >>> network.state.n_neurons, network.actor_critic.actor.size_out
    (200, 2)
    """
    neuron_type, seed = choose_neurons(neurons), check_seed(seed)
    steps = 15 if neuron_type.spiking else 2
    process = env
    if not isinstance(env, Environment):
        process = Environment(env, env_kwargs, steps_per_action=steps, seed=seed)
    settings = choose_settings(process.observes_states, settings)
    pre_synapse = nengo.Alpha(0.005) if neuron_type.spiking else None
    with nengo.Network(seed=seed, label="agent") as network:
        network.settings, network.neuron_type = settings, neuron_type
        statistics = None
        if learned is None:
            network.env_node = nengo.Node(process, label="environment")
        else:
            size = process.observation.stop
            network.observation = nengo.Node(np.zeros(size), label="observation")
            statistics = learned.get("observations")
        if process.observes_states:
            network.state = _represent_states(network, process)
        else:
            network.state = _represent_numbers(network, process, statistics)
        if learned is None:
            _add_learning(network, process, pre_synapse)
            return network
        for name, part in (("action", "actor"), ("value", "critic")):
            node = nengo.Node(size_in=len(learned[part]), label=name)
            setattr(network, name, node)
            nengo.Connection(
                network.state.neurons,
                node,
                transform=learned[part],
                synapse=pre_synapse,
            )
    return network


def _represent_states(network, process):
    """Add one neuron for each state."""
    if hasattr(network, "env_node"):
        observation = network.env_node[process.observation]
    else:
        observation = network.observation
    state = state_cells(observation.size_out, network.neuron_type, seed=network.seed)
    nengo.Connection(observation, state.neurons, synapse=None)
    return state


def _represent_numbers(network, process, statistics):
    """Add running normalization and global and local features."""
    settings, size = network.settings, process.observation.stop
    state = sphere_features(
        settings.n_neurons,
        size,
        network.neuron_type,
        seed=network.seed,
        local_share=settings.local_share,
    )
    normalization = nengo.Node(
        ObservationNormalization(
            size, settings.clip, settings.normalize_observations, statistics
        ),
        label="normalization",
    )
    if statistics is None:
        # the observation, followed by whether it is new
        seen = network.env_node[: process.observe.stop]
        network.normalization = normalization
    else:
        seen = network.observation
    nengo.Connection(seen, normalization, synapse=None)
    nengo.Connection(normalization, state, synapse=None)
    return state


def _add_learning(network, process, pre_synapse):
    settings, env_node = network.settings, network.env_node
    if process.action_sizes is None:
        n = process.n_actions
        # the length of the noise does not grow with the number of actions
        std = settings.std / math.sqrt(n)
        distribution = BoundedGaussian(
            n, std, settings.reach, settings.slow, settings.kept
        )
    else:
        distribution = Softmax(process.action_sizes)
    actor_step = Intentional(
        settings.eta_actor,
        normalize=True,
        floor=settings.floor,
        shrink=settings.shrink,
    )
    network.actor_critic = ActorCritic(
        network.state,
        distribution,
        critic_step=Intentional(settings.eta_critic),
        actor_step=actor_step,
        lambda_critic=settings.lambda_critic,
        lambda_actor=settings.lambda_actor,
        discount=settings.discount,
        entropy_bonus=settings.entropy_bonus,
        pre_synapse=pre_synapse,
    )
    reward = None
    if settings.scale_rewards:
        reward = nengo.Node(RewardScaling(settings.discount), label="scaling")
        network.scaling = reward
        seen = slice(process.observe.start, process.reset.stop)
        nengo.Connection(env_node[seen], reward, synapse=None)
    connect(env_node, network.actor_critic, reward)


def check_seed(seed):
    """Return a seed as an int; raise ValidationError if it is no seed."""
    is_int = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not is_int or not 0 <= seed < 2**31:
        raise ValidationError(
            f"must be an int from 0 to 2**31 - 1 (got {seed!r})", attr="seed"
        )
    return int(seed)
