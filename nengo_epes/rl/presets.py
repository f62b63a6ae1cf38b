"""Which tasks have agents with settings, and what builds such an agent."""

from __future__ import annotations

import importlib

import nengo
from nengo.exceptions import ValidationError

from nengo_epes.synapses import z

# each a module of this package with ENVIRONMENT, N_STEPS, NEURONS and build()
PRESETS = {
    "CartPole-v1": "cartpole",
    "Pendulum-v1": "pendulum",
    "MountainCarContinuous-v0": "mountain_car",
    "Acrobot-v1": "acrobot",
}


def preset(environment):
    """Return the module that builds an agent for an environment.

    Parameters
    ----------
    environment : str
        Its name, as Gymnasium knows it.

    Returns
    -------
    module
        With ``ENVIRONMENT``; ``N_STEPS``, how long to learn; ``NEURONS``, see
        `neurons_of`; and ``build``, see `nengo_epes.rl.training.train`.

    Raises
    ------
    ValidationError
        If there is none.

    Examples
    --------
    >>> preset("CartPole-v1").N_STEPS
    70000
    """
    if environment not in PRESETS:
        raise ValidationError(
            f"there is no preset for {environment!r}, but for {', '.join(PRESETS)}; "
            "for another one build an ActorCritic, as the page on agents shows",
            attr="environment",
        )
    return importlib.import_module(f"nengo_epes.rl.{PRESETS[environment]}")


def neurons_of(module, neurons=None):
    """Return the options for which kinds of neurons stand in a module.

    Parameters
    ----------
    module : module
        From `preset`; its ``NEURONS`` has options for its ``build`` by name.
    neurons : str, optional
        One of its keys; None for the first.

    Returns
    -------
    name : str
        The key.
    options : dict
        For ``build``.

    Raises
    ------
    ValidationError
        If the preset has no such neurons.

    Examples
    --------
    >>> neurons_of(preset("CartPole-v1"))
    ('relu', {})
    """
    name = next(iter(module.NEURONS)) if neurons is None else neurons
    if name not in module.NEURONS:
        raise ValidationError(
            f"{module.ENVIRONMENT} has no settings for {neurons!r}, but for "
            f"{', '.join(module.NEURONS)}",
            attr="neurons",
        )
    return name, module.NEURONS[name]


def check_cells(**numbers):
    """Refuse numbers of place cells along a dimension that have no distance.

    Parameters
    ----------
    **numbers
        By the names of the parameters.

    Raises
    ------
    ValidationError
        If one is below 2.

    Examples
    --------
    >>> check_cells(n_angles=21, n_velocities=15)
    """
    for name, number in numbers.items():
        if number < 2:
            raise ValidationError(f"must be at least 2 (got {number})", attr=name)


def connect(world, agent, evaluate=False):
    """Connect an agent to its environment, in both directions.

    Parameters
    ----------
    world : nengo.Node
        With an `nengo_epes.rl.environment.Environment` as its output.
    agent : nengo_epes.networks.ActorCritic
        Who acts in it.
    evaluate : bool
        Whether the agent is greedy and does not learn.

    Examples
    --------
    >>> from nengo_epes.rl.environment import Environment
    >>> from nengo_epes.networks import ActorCritic, SoftmaxPolicy, random_features
    >>> env = Environment("CartPole-v1", steps_per_action=2)
    >>> with nengo.Network():
    ...     world, state = nengo.Node(env), random_features(50, 4)
    ...     agent = ActorCritic(
    ...         state, SoftmaxPolicy(2, trigger=True), discount=0.99, lambda_=0.9
    ...     )
    ...     connect(world, agent)
    """
    env = world.output
    nengo.Connection(world[env.observation], agent.critic.state, synapse=None)
    for name in ("reward", "discount", "learn", "decide", "reset"):
        signal = world[getattr(env, name)]
        nengo.Connection(signal, getattr(agent, name), synapse=None)
    nengo.Connection(
        nengo.Node(float(evaluate), label="evaluate"), agent.evaluate, synapse=None
    )
    nengo.Connection(agent.action, world, synapse=z**-1)
