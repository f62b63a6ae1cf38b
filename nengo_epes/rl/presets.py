"""Agents for four tasks of Gymnasium: a table of settings, and `build`.

Each agent is an `ActorCritic` whose decoders `EPES` learns. `PRESETS` has the settings
by the id of the environment; for any other environment build an `ActorCritic`, as the
page on agents shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.networks import (
    ActorCritic,
    GaussianPolicy,
    SoftmaxPolicy,
    grid,
    place_cells,
    random_features,
)
from nengo_epes.rl.environment import Environment
from nengo_epes.synapses import z


@dataclass(frozen=True)
class Preset:
    """Settings of an agent for one task.

    Parameters
    ----------
    labels : (str, str)
        Labels of the network and of the Node of the environment.
    n_steps : int
        Environment steps of a training.
    criterion, window : float, int
        The task is learned once the mean return of ``window`` episodes reaches
        ``criterion``.
    n_neurons : int
        Neurons of `random_features`; 0 for place cells.
    circles, lines : tuple of int
        Numbers of place cells around each angle, of which cosine and sine are observed,
        and along each other entry of the observation, the angles first.
    neuron_type : nengo.neurons.NeuronType, optional
        Type of the random features.
    observation_range, reward_scale, steps_per_action
        See `nengo_epes.rl.environment.Environment`.
    discount, lambda_, entropy_bonus, pre_synapse
        See `ActorCritic`.
    eta_critic, eta_actor : float
        Step sizes: fractions for `Intentional`, or learning rates.
    intentional : bool
        Whether the step sizes are `Intentional`.
    normalize : bool
        Whether the actor's step size is divided by a running scale of its updates, see
        `Intentional`.
    std : float, optional
        Standard deviation of a `GaussianPolicy`, in units of the largest action; None
        for a `SoftmaxPolicy`.
    bounded : bool
        Whether the Gaussian policy clips its action to [-1, 1] itself.
    neurons : dict
        Kinds of neurons: a dict of changed settings for each name, the default first.

    Examples
    --------
    >>> PRESETS["Pendulum-v1"].circles, list(PRESETS["CartPole-v1"].neurons)
    ((21,), ['relu', 'lif'])
    """

    labels: tuple[str, str]
    n_steps: int
    criterion: float
    window: int
    n_neurons: int = 0
    circles: tuple[int, ...] = ()
    lines: tuple[int, ...] = ()
    neuron_type: object = None
    observation_range: tuple[float, ...] | None = None
    reward_scale: float = 0.05
    steps_per_action: int = 2
    discount: float = 0.99
    lambda_: float = 0.9
    entropy_bonus: float = 0.0
    pre_synapse: object = None
    eta_critic: float = 0.4
    eta_actor: float = 0.02
    intentional: bool = True
    normalize: bool = True
    std: float | None = None
    bounded: bool = False
    neurons: dict = field(default_factory=lambda: {"place-cells": {}})


PRESETS = {
    "CartPole-v1": Preset(
        labels=("cart-pole", "cart and pole"),
        n_steps=70_000,
        criterion=475.0,
        window=50,
        n_neurons=1000,
        # m, m/s, rad, rad/s: an episode ends beyond the first and the third
        observation_range=(2.4, 3.0, 0.21, 3.0),
        entropy_bonus=0.01,
        neurons={
            "relu": {},
            # Alpha smooths spikes more than a Lowpass that forgets as fast
            "lif": {
                "neuron_type": nengo.LIF(),
                "steps_per_action": 15,
                "pre_synapse": nengo.Alpha(0.005),
            },
        },
    ),
    "Pendulum-v1": Preset(
        labels=("pendulum", "pendulum"),
        n_steps=60_000,
        criterion=-300.0,
        window=20,
        circles=(21,),
        lines=(15,),
        reward_scale=1.0,
        discount=0.98,
        lambda_=0.95,
        eta_critic=0.2,
        eta_actor=0.01,
        std=0.8,
        # clipped instead of squashed: a mean beyond the bounds can come back
        bounded=True,
    ),
    "MountainCarContinuous-v0": Preset(
        labels=("mountain car", "car in a valley"),
        n_steps=50_000,
        criterion=90.0,
        window=20,
        lines=(12, 12),
        eta_actor=0.3,
        normalize=False,
        # not bounded: the largest force to one side is drawn often
        std=1.0,
    ),
    "Acrobot-v1": Preset(
        labels=("acrobot", "acrobot"),
        n_steps=100_000,
        criterion=-100.0,
        window=100,
        circles=(6, 6),
        lines=(7, 7),
        # the last two in rad/s: the environment allows more, which is rare
        observation_range=(1.0, 1.0, 1.0, 1.0, 6.0, 9.0),
        entropy_bonus=0.02,
        eta_actor=0.005,
    ),
}


def preset(environment, neurons=None, **changes):
    """Return the settings for an environment.

    Parameters
    ----------
    environment : str
        Id of the environment, a key of `PRESETS`.
    neurons : str, optional
        Kind of neurons, a key of the preset's ``neurons``; None for the first.
    **changes
        Fields of the `Preset` to replace.

    Returns
    -------
    Preset

    Raises
    ------
    ValidationError
        If there is no preset for this environment, or none for these neurons.

    Examples
    --------
    >>> preset("CartPole-v1", "lif", lambda_=0.8).steps_per_action
    15
    """
    if environment not in PRESETS:
        raise ValidationError(
            f"there is no preset for {environment!r}, but for {', '.join(PRESETS)}; "
            "for another one build an ActorCritic, as the page on agents shows",
            attr="environment",
        )
    found = PRESETS[environment]
    kind = neurons or next(iter(found.neurons))
    if kind not in found.neurons:
        raise ValidationError(
            f"{environment} has no settings for {neurons!r}, but for "
            f"{', '.join(found.neurons)}",
            attr="neurons",
        )
    return replace(found, **{**found.neurons[kind], **changes})


def cells(circles, lines):
    """Return centres and widths of place cells on circles and lines.

    Parameters
    ----------
    circles, lines : tuple of int
        Numbers of cells, see `Preset`; at least 2 each.

    Returns
    -------
    centres : (n_cells, dimensions) ndarray
        Cosine and sine of each angle, then the entries in [-1, 1], for all
        combinations of angles and entries.
    widths : (dimensions,) ndarray
        Distances of neighbours.

    Raises
    ------
    ValidationError
        If a number is below 2.

    Examples
    --------
    >>> centres, widths = cells(circles=(4,), lines=(3,))
    >>> centres.round(9).tolist()[:3]
    [[1.0, 0.0, -1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]]
    >>> widths.round(3).tolist()
    [1.414, 1.414, 1.0]
    """
    if min(*circles, *lines, np.inf) < 2:
        raise ValidationError(
            f"must be at least 2 place cells each (got {circles} and {lines})",
            attr="circles, lines",
        )
    angles = [np.linspace(0.0, 2 * np.pi, n, endpoint=False) for n in circles]
    columns = grid(*angles, *[np.linspace(-1.0, 1.0, n) for n in lines]).T
    around = [f(angle) for angle in columns[: len(circles)] for f in (np.cos, np.sin)]
    widths = [2 * np.sin(np.pi / n) for n in circles for _ in range(2)]
    widths += [2 / (n - 1) for n in lines]
    return np.stack([*around, *columns[len(circles) :]], axis=1), np.array(widths)


def build(environment, seed=0, evaluate=False, env=None, neurons=None, **changes):
    """Build an agent and its environment from a preset.

    Parameters
    ----------
    environment : str
        Id of the environment, a key of `PRESETS`.
    seed : int
        Seed of the network, the environment and the actions.
    evaluate : bool
        Whether the agent is greedy and does not learn.
    env : str or callable or gymnasium.Env, optional
        Environment to use instead, see `nengo_epes.rl.environment.Environment`.
    neurons : str, optional
        Kind of neurons, see `preset`.
    **changes
        Fields of the `Preset` to replace.

    Returns
    -------
    network : nengo.Network
        The network to simulate.
    env_node : nengo.Node
        Node whose output is the `Environment`.
    agent : ActorCritic
        The agent.

    Raises
    ------
    ValidationError
        If there is no such preset, or a field of it is out of range.

    Examples
    --------
    >>> network, env_node, agent = build("CartPole-v1", n_neurons=50)
    >>> agent.critic.learned.size_in, agent.action.size_out
    (50, 2)
    >>> network, env_node, agent = build("Pendulum-v1", circles=(6,), lines=(5,))
    >>> agent.critic.learned.size_in, agent.action.size_out
    (30, 1)
    """
    chosen = preset(environment, neurons, **changes)
    process = Environment(
        environment if env is None else env,
        steps_per_action=chosen.steps_per_action,
        discount_factor=chosen.discount,
        reward_scale=chosen.reward_scale,
        observation_range=chosen.observation_range,
        seed=seed,
    )
    network_label, env_label = chosen.labels
    with nengo.Network(seed=seed, label=network_label) as network:
        env_node = nengo.Node(process, label=env_label)
        agent = _agent(chosen, process)
        connect(env_node, agent, evaluate)
    return network, env_node, agent


def _agent(chosen, process):
    if chosen.n_neurons:
        size = process.observation.stop
        state = random_features(chosen.n_neurons, size, chosen.neuron_type)
    else:
        state = place_cells(*cells(chosen.circles, chosen.lines))
    if chosen.std is None:
        policy = SoftmaxPolicy(process.n_actions, trigger=True, label="policy")
    else:
        low, high = (-1, 1) if chosen.bounded else (None, None)
        policy = GaussianPolicy(
            process.n_actions,
            trigger=True,
            fixed_std=chosen.std,
            action_low=low,
            action_high=high,
            label="policy",
        )
    critic_step, actor_step = chosen.eta_critic, chosen.eta_actor
    if chosen.intentional:
        critic_step = Intentional(critic_step)
        actor_step = Intentional(actor_step, normalize=chosen.normalize)
    return ActorCritic(
        state,
        policy,
        discount=chosen.discount,
        lambda_=chosen.lambda_,
        critic_step=critic_step,
        actor_step=actor_step,
        entropy_bonus=chosen.entropy_bonus,
        pre_synapse=chosen.pre_synapse,
    )


def connect(env_node, agent, evaluate=False):
    """Connect an agent to its environment, in both directions.

    Parameters
    ----------
    env_node : nengo.Node
        Node whose output is an `nengo_epes.rl.environment.Environment`.
    agent : nengo_epes.networks.ActorCritic
        The agent.
    evaluate : bool
        Whether the agent is greedy and does not learn.

    Examples
    --------
    >>> env = Environment("CartPole-v1", steps_per_action=2)
    >>> with nengo.Network():
    ...     env_node, state = nengo.Node(env), random_features(50, 4)
    ...     agent = ActorCritic(state, SoftmaxPolicy(2, trigger=True))
    ...     connect(env_node, agent)
    """
    env = env_node.output
    nengo.Connection(env_node[env.observation], agent.critic.state, synapse=None)
    for name in ("reward", "discount", "learn", "decide", "reset"):
        signal = env_node[getattr(env, name)]
        nengo.Connection(signal, getattr(agent, name), synapse=None)
    nengo.Connection(
        nengo.Node(float(evaluate), label="evaluate"), agent.evaluate, synapse=None
    )
    nengo.Connection(agent.action, env_node, synapse=z**-1)
