"""Acrobot-v1, learned by an actor-critic whose decoders EPES learns.

Two links hang from a joint; a motor between them, which turns one way, the other or not
at all, is to swing the free end above a line. Each step until then, 500 at most, costs
1. The observation is cosine and sine of both angles, and the angular velocities.
"""

from __future__ import annotations

import nengo
import numpy as np

from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.networks import ActorCritic, SoftmaxPolicy, grid, place_cells
from nengo_epes.rl.environment import Environment
from nengo_epes.rl.evaluation import train_and_evaluate
from nengo_epes.rl.presets import check_cells, connect, preset

ENVIRONMENT = "Acrobot-v1"
N_STEPS = 100_000
# the cases that a study compares, see `nengo_epes.sweep`
STUDY = {"with traces": {"lambda_": 0.9}, "without traces": {"lambda_": 0.0}}
CRITERION, WINDOW = -100.0, 100
# options of `build` by kind of neurons
NEURONS = {"place-cells": {}}

# the last two in rad/s: faster ones are rare, though the environment has them
RANGES = (1.0, 1.0, 1.0, 1.0, 6.0, 9.0)


def centres(n_angles=6, n_velocities=7):
    """Return the centres of place cells on two circles and two lines.

    Parameters
    ----------
    n_angles : int
        Cells around the circle of each angle.
    n_velocities : int
        Cells along each velocity.

    Returns
    -------
    (n_angles**2 * n_velocities**2, 6) array
        As the agent sees its environment, within [-1, 1].

    Examples
    --------
    >>> centres().shape
    (1764, 6)
    """
    angles = np.linspace(0.0, 2 * np.pi, n_angles, endpoint=False)
    velocities = np.linspace(-1.0, 1.0, n_velocities)
    first, second, *both = grid(angles, angles, velocities, velocities).T
    circles = np.cos(first), np.sin(first), np.cos(second), np.sin(second)
    return np.stack([*circles, *both], axis=1)


def build(
    seed=0,
    lambda_=0.9,
    eta_critic=0.4,
    eta_actor=0.005,
    entropy_bonus=0.02,
    n_angles=6,
    n_velocities=7,
    steps_per_action=2,
    environment=ENVIRONMENT,
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
    entropy_bonus : float
        See `ActorCritic`; a step costs 0.05.
    n_angles, n_velocities : int
        See `centres`.
    steps_per_action : int
        Simulator steps a step of the environment.
    environment : str or callable
        See `nengo_epes.rl.environment.Environment`.
    evaluate : bool
        Whether the agent is greedy and does not learn.

    Returns
    -------
    network : nengo.Network
        To be simulated.
    world : nengo.Node
        With the `Environment` as its output.
    agent : ActorCritic

    Examples
    --------
    >>> network, world, agent = build(n_angles=3, n_velocities=3)
    >>> agent.critic.learned.size_in, agent.action.size_out
    (81, 3)
    """
    check_cells(n_angles=n_angles, n_velocities=n_velocities)
    env = Environment(
        environment,
        steps_per_action=steps_per_action,
        discount_factor=0.99,
        reward_scale=0.05,
        observation_range=RANGES,
        seed=seed,
    )
    around, along = 2 * np.sin(np.pi / n_angles), 2.0 / (n_velocities - 1)
    with nengo.Network(seed=seed, label="acrobot") as network:
        world = nengo.Node(env, label="acrobot")
        state = place_cells(centres(n_angles, n_velocities), [around] * 4 + [along] * 2)
        policy = SoftmaxPolicy(env.n_actions, trigger=True, label="policy")
        agent = ActorCritic(
            state,
            policy,
            discount=0.99,
            lambda_=lambda_,
            critic_step=Intentional(eta_critic),
            actor_step=Intentional(eta_actor, normalize=True),
            entropy_bonus=entropy_bonus,
        )
        connect(world, agent, evaluate)
    return network, world, agent


def trial(seed, n_steps=N_STEPS, n_episodes=100, **options):
    """Let an agent learn, and measure how well it swings without noise.

    Parameters
    ----------
    seed : int
        See `build`.
    n_steps : int
        Steps of the environment for which it learns.
    n_episodes : int
        Greedy episodes.
    **options
        For `build`.

    Returns
    -------
    dict
        See `nengo_epes.rl.evaluation.train_and_evaluate`; learned means that the
        mean return of 100 episodes was at least -100.

    Examples
    --------
    >>> result = trial(1000, 500, n_episodes=1, n_angles=3, n_velocities=3)
    >>> sum(result["lengths"]) >= 500, result["episodes"] is None
    (True, True)
    """
    return train_and_evaluate(preset(ENVIRONMENT), seed, n_steps, n_episodes, **options)
