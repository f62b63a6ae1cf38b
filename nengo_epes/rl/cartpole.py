"""CartPole-v1, learned by an actor-critic whose decoders EPES learns.

A pole stands on a cart, which is pushed to the left or to the right in every step; each
step until the pole falls, 500 at most, earns 1. The observation is position, velocity,
angle and angular velocity of the pole.
"""

from __future__ import annotations

import nengo
import numpy as np

from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.networks import ActorCritic, SoftmaxPolicy, random_features
from nengo_epes.rl.environment import Environment
from nengo_epes.rl.presets import connect
from nengo_epes.rl.training import solved_after, train

ENVIRONMENT = "CartPole-v1"
N_STEPS = 70_000
# the cases that a study compares, see `nengo_epes.sweep`; each with the learning rates
# that suit it
STUDY = {
    "with traces": {"lambda_": 0.9},
    "without traces": {"lambda_": 0.0, "eta_actor": 0.0002},
}
CRITERION, WINDOW = 475.0, 50

# m, m/s, rad, rad/s: beyond the first and third an episode ends
RANGES = (2.4, 3.0, 0.21, 3.0)

# options of `build` by kind of neurons; Alpha smooths spikes more than a Lowpass that
# forgets the last state as quickly
NEURONS = {
    "relu": {},
    "lif": {
        "neuron_type": nengo.LIF(),
        "steps_per_action": 15,
        "pre_synapse": nengo.Alpha(0.005),
    },
}


def build(
    seed=0,
    lambda_=0.9,
    eta_critic=0.4,
    eta_actor=0.02,
    intentional=True,
    n_neurons=1000,
    neuron_type=None,
    steps_per_action=2,
    pre_synapse=None,
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
        Of `Intentional`, or the textbook's step sizes, for activities in hertz.
    intentional : bool
        Which of them.
    n_neurons : int
        Neurons that represent the observation.
    neuron_type : nengo.neurons.NeuronType, optional
        None for `nengo.RectifiedLinear`. For spiking ones see ``NEURONS["lif"]``.
    steps_per_action : int
        Simulator steps a step of the environment.
    pre_synapse : Synapse or float or None
        By which spikes are filtered.
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
    >>> network, world, agent = build(n_neurons=50)
    >>> world.output.steps_per_action, agent.action.size_out
    (2, 2)
    """
    env = Environment(
        environment,
        steps_per_action=steps_per_action,
        discount_factor=0.99,
        reward_scale=0.05,
        observation_range=RANGES,
        seed=seed,
    )
    critic_step, actor_step = eta_critic, eta_actor
    if intentional:
        critic_step = Intentional(eta_critic)
        actor_step = Intentional(eta_actor, normalize=True)
    with nengo.Network(seed=seed, label="cart-pole") as network:
        world = nengo.Node(env, label="cart and pole")
        state = random_features(n_neurons, 4, neuron_type)
        policy = SoftmaxPolicy(env.n_actions, trigger=True, label="policy")
        agent = ActorCritic(
            state,
            policy,
            discount=0.99,
            lambda_=lambda_,
            critic_step=critic_step,
            actor_step=actor_step,
            entropy_bonus=0.01,
            pre_synapse=pre_synapse,
        )
        connect(world, agent, evaluate)
    return network, world, agent


def trial(seed, n_steps=150_000, n_after=WINDOW, **options):
    """Let an agent learn until it has learned, and for some episodes more.

    Parameters
    ----------
    seed : int
        See `build`.
    n_steps : int
        Steps of the environment after which it has failed.
    n_after : int
        How many episodes more.
    **options
        For `build`.

    Returns
    -------
    dict
        ``episodes`` and ``steps`` after which the mean return of 50 episodes was at
        least 475, or None; ``mean after``, of the episodes that followed, or None;
        ``mean of last 50``; and all ``returns``.

    Examples
    --------
    >>> result = trial(seed=1000, n_steps=50, n_neurons=50)
    >>> result["episodes"] is None, sum(result["returns"]) >= 50
    (True, True)
    """

    def enough(returns):
        solved = solved_after(returns, CRITERION, WINDOW)
        return solved is not None and len(returns) >= solved + n_after

    result = train(build, seed, n_steps, enough, **options)
    returns = result["returns"]
    solved = solved_after(returns, CRITERION, WINDOW)
    after = [] if solved is None else returns[solved:]
    return {
        "episodes": solved,
        "steps": None if solved is None else int(result["steps"][solved - 1]),
        "mean after": float(np.mean(after)) if len(after) else None,
        "mean of last 50": float(np.mean(returns[-WINDOW:])),
        "returns": [int(x) for x in returns],
    }
