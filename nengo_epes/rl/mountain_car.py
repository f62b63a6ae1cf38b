"""MountainCarContinuous-v0, learned by an actor-critic whose decoders EPES learns.

A car in a valley is too weak to drive up the hill at once; it has to swing. The goal on
the hill earns 100, and every step costs a tenth of the squared force, so that to do
nothing is the best of all that an agent knows which has never been there. The
observation is position and velocity; the force is drawn from a Gaussian.
"""

from __future__ import annotations

import nengo
import numpy as np

from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.networks import ActorCritic, GaussianPolicy, grid, place_cells
from nengo_epes.rl.environment import Environment
from nengo_epes.rl.evaluation import train_and_evaluate
from nengo_epes.rl.presets import check_cells, connect, preset

ENVIRONMENT = "MountainCarContinuous-v0"
N_STEPS = 50_000
# the cases that a study compares, see `nengo_epes.sweep`
STUDY = {"with traces": {"lambda_": 0.9}, "without traces": {"lambda_": 0.0}}
CRITERION, WINDOW = 90.0, 20
# options of `build` by kind of neurons
NEURONS = {"place-cells": {}}


def build(
    seed=0,
    lambda_=0.9,
    eta_critic=0.4,
    eta_actor=0.3,
    std=1.0,
    n_cells=12,
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
        Standard deviation of the force, in units of the largest one.
    n_cells : int
        Place cells along position, and along velocity.
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
    >>> network, world, agent = build(n_cells=5)
    >>> agent.critic.learned.size_in, agent.action.size_out
    (25, 1)
    """
    check_cells(n_cells=n_cells)
    env = Environment(
        environment,
        steps_per_action=steps_per_action,
        discount_factor=0.99,
        reward_scale=0.05,
        seed=seed,
    )
    with nengo.Network(seed=seed, label="mountain car") as network:
        world = nengo.Node(env, label="car in a valley")
        along = np.linspace(-1.0, 1.0, n_cells)
        state = place_cells(grid(along, along), width=2.0 / (n_cells - 1))
        # beyond the largest force, so that one to either side is often the largest
        policy = GaussianPolicy(trigger=True, fixed_std=std, label="policy")
        agent = ActorCritic(
            state,
            policy,
            discount=0.99,
            lambda_=lambda_,
            critic_step=Intentional(eta_critic),
            actor_step=Intentional(eta_actor),
        )
        connect(world, agent, evaluate)
    return network, world, agent


def trial(seed, n_steps=N_STEPS, n_episodes=100, **options):
    """Let an agent learn, and measure how well it drives without noise.

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
        mean return of 20 episodes was at least 90.

    Examples
    --------
    >>> result = trial(1000, 999, n_episodes=1, n_cells=5)
    >>> sum(result["lengths"]) >= 999, result["episodes"] is None
    (True, True)
    """
    return train_and_evaluate(preset(ENVIRONMENT), seed, n_steps, n_episodes, **options)
