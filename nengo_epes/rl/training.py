"""Agents that learn, episode by episode, whatever the task."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.exceptions import ValidationError


def run_episode(simulator, world):
    """Simulate until the current episode is over.

    Parameters
    ----------
    simulator : nengo.Simulator
        Of a network that a preset built.
    world : nengo.Node
        The node of the environment, from there.

    Returns
    -------
    episode_return : float
        Sum of its rewards.
    length : int
        Its steps.

    Examples
    --------
    >>> from nengo_epes.rl import cartpole
    >>> network, world, agent = cartpole.build(n_neurons=50)
    >>> with nengo.Simulator(network, progress_bar=False) as simulator:
    ...     episode_return, length = run_episode(simulator, world)
    >>> episode_return == length
    True
    """
    env = world.output
    now = simulator.signals[simulator.model.sig[world]["out"]]
    while True:
        for _ in range(env.steps_per_action):
            simulator.step()
        if now[env.terminated] or now[env.truncated]:
            return now[env.episode_return].item(), int(now[env.step].item())


def learned_weights(simulator, agent):
    """Return copies of what an agent has learned.

    Parameters
    ----------
    simulator : nengo.Simulator
        Not closed yet.
    agent : nengo_epes.networks.ActorCritic
        The one in it.

    Returns
    -------
    dict of str to array
        The weights of ``critic`` and ``actor``, shape (outputs, neurons).

    Examples
    --------
    >>> from nengo_epes.rl import cartpole
    >>> network, world, agent = cartpole.build(n_neurons=50)
    >>> with nengo.Simulator(network, progress_bar=False) as simulator:
    ...     weights = learned_weights(simulator, agent)
    >>> {name: values.shape for name, values in weights.items()}
    {'critic': (1, 50), 'actor': (2, 50)}
    """
    return {
        name: simulator.signals[simulator.model.sig[part.learned]["weights"]].copy()
        for name, part in (("critic", agent.critic), ("actor", agent.actor))
    }


def train(build, seed=0, n_steps=None, stop=None, **options):
    """Let an agent learn, one episode after the other.

    Parameters
    ----------
    build : callable
        ``build(seed, **options)`` of a preset, which returns the network, the node of
        the environment, and the agent.
    seed : int
        Of the network, the environment and the actions.
    n_steps : int, optional
        Steps of the environment after which no new episode begins.
    stop : callable, optional
        ``stop(returns)`` is asked after every episode whether it was the last.
    **options
        For ``build``.

    Returns
    -------
    dict of str to array
        ``returns`` and ``steps``: the sum of rewards of each episode, and the steps of
        the environment until its end, those of all episodes before included;
        ``weights``, see `learned_weights`.

    Raises
    ------
    ValidationError
        If nothing would end it, or it would end before it begins.

    Examples
    --------
    >>> from nengo_epes.rl import cartpole
    >>> result = train(cartpole.build, n_steps=50, n_neurons=50)
    >>> bool(result["steps"][-1] >= 50), result["returns"].sum() == result["steps"][-1]
    (True, np.True_)
    """
    if n_steps is None and stop is None:
        raise ValidationError("give n_steps or stop, or it never ends", attr="n_steps")
    if n_steps is not None and n_steps < 1:
        raise ValidationError(f"must be at least 1 (got {n_steps})", attr="n_steps")
    limit = np.inf if n_steps is None else n_steps
    network, world, agent = build(seed, **options)
    returns, steps = [], []
    with nengo.Simulator(network, progress_bar=False) as simulator:
        while sum(steps) < limit and not (stop and stop(returns)):
            episode_return, length = run_episode(simulator, world)
            returns.append(episode_return)
            steps.append(length)
        weights = learned_weights(simulator, agent)
    return {"returns": np.array(returns), "steps": np.cumsum(steps), "weights": weights}


def solved_after(returns, criterion, window):
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
