"""Pendulum-v1, learned by an actor-critic whose decoders EPES learns.

A pendulum is to be swung up and held there by a torque that is too weak to lift it at
once. Each of the 200 steps of an episode costs the square of the angle from upright,
and a little for speed and torque. The observation is the angle's cosine and sine, and
the angular velocity; the torque is drawn from a Gaussian.
"""

from __future__ import annotations

import nengo
import numpy as np

from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.networks import ActorCritic, GaussianPolicy, grid, place_cells
from nengo_epes.rl.environment import Environment
from nengo_epes.rl.evaluation import train_and_evaluate
from nengo_epes.rl.presets import check_cells, connect, preset

ENVIRONMENT = "Pendulum-v1"
N_STEPS = 60_000
DISCOUNT = 0.98
# the cases that a study compares, see `nengo_epes.sweep`
STUDY = {"with traces": {"lambda_": 0.95}, "without traces": {"lambda_": 0.0}}
CRITERION, WINDOW = -300.0, 20
# options of `build` by kind of neurons
NEURONS = {"place-cells": {}}


def centres(n_angles=21, n_velocities=15):
    """Return the centres of place cells on a cylinder.

    Parameters
    ----------
    n_angles : int
        Cells around the circle.
    n_velocities : int
        Cells from the largest velocity in one direction to that in the other.

    Returns
    -------
    (n_angles * n_velocities, 3) array
        Cosine and sine of the angle, and velocity in units of the largest.

    Examples
    --------
    >>> centres(n_angles=2, n_velocities=2).round(9).tolist()[:2]
    [[1.0, 0.0, -1.0], [1.0, 0.0, 1.0]]
    """
    angles, velocities = grid(
        np.linspace(0.0, 2 * np.pi, n_angles, endpoint=False),
        np.linspace(-1.0, 1.0, n_velocities),
    ).T
    return np.stack([np.cos(angles), np.sin(angles), velocities], axis=1)


def build(
    seed=0,
    lambda_=0.95,
    eta_critic=0.2,
    eta_actor=0.01,
    std=0.8,
    n_angles=21,
    n_velocities=15,
    width=1.0,
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
    std : float
        Standard deviation of the torque, in units of the largest one.
    n_angles, n_velocities : int
        See `centres`.
    width : float
        Of the place cells, in distances of neighbours.
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
    >>> network, world, agent = build(n_angles=6, n_velocities=5)
    >>> agent.critic.learned.size_in, agent.action.size_out
    (30, 1)
    """
    check_cells(n_angles=n_angles, n_velocities=n_velocities)
    env = Environment(
        environment,
        steps_per_action=steps_per_action,
        discount_factor=DISCOUNT,
        seed=seed,
    )
    around, along = 2 * np.sin(np.pi / n_angles), 2 / (n_velocities - 1)
    with nengo.Network(seed=seed, label="pendulum") as network:
        world = nengo.Node(env, label="pendulum")
        state = place_cells(
            centres(n_angles, n_velocities), width * np.array([around, around, along])
        )
        # clipped, not squashed by tanh: a mean beyond the bounds still has a slope, and
        # can come back
        policy = GaussianPolicy(
            trigger=True, fixed_std=std, action_low=-1, action_high=1, label="policy"
        )
        agent = ActorCritic(
            state,
            policy,
            discount=DISCOUNT,
            lambda_=lambda_,
            critic_step=Intentional(eta_critic),
            actor_step=Intentional(eta_actor, normalize=True),
        )
        connect(world, agent, evaluate)
    return network, world, agent


def trial(seed, n_steps=N_STEPS, n_episodes=100, **options):
    """Let an agent learn, and measure how well it does without noise.

    Parameters
    ----------
    seed : int
        See `build`.
    n_steps : int
        Steps of the environment for which it learns.
    n_episodes : int
        Greedy episodes, see `nengo_epes.rl.evaluation.evaluate`.
    **options
        For `build`.

    Returns
    -------
    dict
        See `nengo_epes.rl.evaluation.train_and_evaluate`; learned means that the
        mean return of 20 episodes was at least -300.

    Examples
    --------
    >>> result = trial(1000, 200, n_episodes=1, n_angles=6, n_velocities=5)
    >>> result["lengths"], result["episodes"] is None
    ([200], True)
    """
    return train_and_evaluate(preset(ENVIRONMENT), seed, n_steps, n_episodes, **options)
