"""Episodes, and the returns of a trained agent from fixed initial states."""

from __future__ import annotations

import functools

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes import learned
from nengo_epes.rl.presets import build
from nengo_epes.rl.spaces import check_gymnasium

gymnasium = check_gymnasium()

# far from the seeds of training
FIRST_RESET = 1_000_000


def run_episode(simulator, env_node):
    """Simulate until the current episode is over.

    Parameters
    ----------
    simulator : nengo.Simulator
        Simulator of the network, at the end of a slot of the environment.
    env_node : nengo.Node
        Node whose output is an `nengo_epes.rl.environment.Environment`.

    Returns
    -------
    episode_return : float
        Sum of the rewards of the episode.
    length : int
        Environment steps of the episode.

    Examples
    --------
    >>> network, env_node, agent = build("CartPole-v1", n_neurons=50)
    >>> with nengo.Simulator(network, progress_bar=False) as simulator:
    ...     episode_return, length = run_episode(simulator, env_node)
    >>> episode_return == length
    True
    """
    env = env_node.output
    now = simulator.signals[simulator.model.sig[env_node]["out"]]
    while True:
        for _ in range(env.steps_per_action):
            simulator.step()
        if now[env.terminated] or now[env.truncated]:
            return now[env.episode_return].item(), int(now[env.step].item())


def learned_weights(simulator, agent):
    """Return copies of the weights that an agent has learned.

    Parameters
    ----------
    simulator : nengo.Simulator
        A simulator that is not closed.
    agent : nengo_epes.networks.ActorCritic
        The agent, in the simulated network.

    Returns
    -------
    dict of str to array
        Weights of ``critic`` and ``actor``, shape (outputs, neurons).

    Examples
    --------
    >>> network, env_node, agent = build("CartPole-v1", n_neurons=50)
    >>> with nengo.Simulator(network, progress_bar=False) as simulator:
    ...     weights = learned_weights(simulator, agent)
    >>> {name: values.shape for name, values in weights.items()}
    {'critic': (1, 50), 'actor': (2, 50)}
    """
    parts = {"critic": agent.critic, "actor": agent.actor}
    return {x: learned.weights(simulator, parts[x].learned) for x in parts}


class FixedResets(gymnasium.Wrapper):  # type: ignore[name-defined]
    """An environment whose n-th episode starts from a seed of its own.

    Parameters
    ----------
    env : gymnasium.Env
        The environment.
    first : int
        Seed of the first episode; episode n has ``first + n``.

    Examples
    --------
    >>> first, second = (FixedResets(gymnasium.make("CartPole-v1")) for _ in range(2))
    >>> bool((first.reset(seed=1)[0] == second.reset(seed=2)[0]).all())
    True
    """

    def __init__(self, env, first=FIRST_RESET):
        super().__init__(env)
        self.first = first
        self.episodes = 0

    def reset(self, *, seed=None, options=None):
        """Start the next episode; the seed is ignored."""
        seed = self.first + self.episodes
        self.episodes += 1
        return self.env.reset(seed=seed, options=options)


def make_fixed(environment, first=FIRST_RESET, **arguments):
    """Make an environment with fixed initial states.

    Parameters
    ----------
    environment : str
        Id for `gymnasium.make`.
    first : int
        Seed of the first episode, see `FixedResets`.
    **arguments
        Arguments of `gymnasium.make`.

    Returns
    -------
    FixedResets

    Examples
    --------
    >>> env = make_fixed("Pendulum-v1", g=9.81)
    >>> env.first, env.unwrapped.g
    (1000000, 9.81)
    """
    return FixedResets(gymnasium.make(environment, **arguments), first)


def evaluate(
    environment, weights, seed=0, n_episodes=100, env=None, neurons=None, **changes
):
    """Return the returns of a trained, greedy agent from fixed initial states.

    Parameters
    ----------
    environment : str
        Id of the environment, see `nengo_epes.rl.presets.preset`.
    weights : dict of str to array
        Weights from `learned_weights`.
    seed : int
        Seed with which the agent was built and trained.
    n_episodes : int
        Number of episodes; the initial states are the same for all agents.
    env : callable, optional
        Constructor of the environment; None for `make_fixed` of its id.
    neurons, **changes
        Those with which the agent was built, see `nengo_epes.rl.presets.build`.

    Returns
    -------
    (n_episodes,) ndarray
        Return of each episode.

    Raises
    ------
    ValidationError
        If ``n_episodes`` is below 1, or the weights are those of another agent.

    Examples
    --------
    >>> weights = {"critic": np.zeros((1, 50)), "actor": np.ones((2, 50))}
    >>> evaluate("CartPole-v1", weights, n_episodes=2, n_neurons=50).shape
    (2,)
    """
    if n_episodes < 1:
        raise ValidationError(f"must be at least 1 (got {n_episodes})", "n_episodes")
    if env is None:
        env = functools.partial(make_fixed, environment)
    network, env_node, agent = build(
        environment, seed, evaluate=True, env=env, neurons=neurons, **changes
    )
    for name, part in (("critic", agent.critic), ("actor", agent.actor)):
        wanted = part.learned.size_out, part.learned.size_in
        if np.shape(weights[name]) != wanted:
            raise ValidationError(
                f"those of the {name} have the shape {np.shape(weights[name])}, and "
                f"here {wanted}; give the options with which it was trained",
                attr="weights",
            )
        part.learned.transform = weights[name]
    with nengo.Simulator(network, progress_bar=False) as simulator:
        return np.array(
            [run_episode(simulator, env_node)[0] for _ in range(n_episodes)]
        )
