"""What an agent has learned, measured: greedy episodes from fixed beginnings."""

from __future__ import annotations

import functools

import nengo
import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.rl.spaces import check_gymnasium
from nengo_epes.rl.training import run_episode, solved_after, train

gymnasium = check_gymnasium()

# far from the seeds of training
FIRST_RESET = 1_000_000


class FixedResets(gymnasium.Wrapper):
    """An environment whose n-th episode begins from a seed of its own.

    Parameters
    ----------
    env : gymnasium.Env
        The environment.
    first : int
        Seed of the first episode; the others follow.

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
        """Begin the next episode, whatever the seed."""
        seed = self.first + self.episodes
        self.episodes += 1
        return self.env.reset(seed=seed, options=options)


def make_fixed(environment, first=FIRST_RESET, **arguments):
    """Make an environment with fixed beginnings.

    Parameters
    ----------
    environment : str
        As `gymnasium.make` knows it.
    first : int
        See `FixedResets`.
    **arguments
        For `gymnasium.make`.

    Returns
    -------
    FixedResets

    Examples
    --------
    >>> world = make_fixed("Pendulum-v1", g=9.81)
    >>> world.first, world.unwrapped.g
    (1000000, 9.81)
    """
    return FixedResets(gymnasium.make(environment, **arguments), first)


def evaluate(preset, weights, seed=0, n_episodes=100, environment=None, **options):
    """Return what a trained agent earns, greedy, from the same beginnings for all.

    Parameters
    ----------
    preset : module
        With ``ENVIRONMENT`` and ``build``, see `nengo_epes.rl.presets.preset`.
    weights : dict of str to array
        From `nengo_epes.rl.training.learned_weights`.
    seed : int
        With which the agent was built and trained.
    n_episodes : int
        How many beginnings.
    environment : callable, optional
        Makes the environment; None for `make_fixed` of the preset's.
    **options
        With which it was built.

    Returns
    -------
    (n_episodes,) array
        The return of each.

    Raises
    ------
    ValidationError
        If there is no episode, or the weights are those of another agent.

    Examples
    --------
    >>> from nengo_epes.rl import cartpole
    >>> from nengo_epes.rl import training
    >>> trained = training.train(cartpole.build, n_steps=50, n_neurons=50)
    >>> evaluate(cartpole, trained["weights"], n_episodes=2, n_neurons=50).shape
    (2,)
    """
    if n_episodes < 1:
        raise ValidationError(f"must be at least 1 (got {n_episodes})", "n_episodes")
    if environment is None:
        environment = functools.partial(make_fixed, preset.ENVIRONMENT)
    network, world, agent = preset.build(
        seed, environment=environment, evaluate=True, **options
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
        return np.array([run_episode(simulator, world)[0] for _ in range(n_episodes)])


def train_and_evaluate(preset, seed, n_steps, n_episodes=100, **options):
    """Let an agent learn, and measure how well it does without its noise.

    Parameters
    ----------
    preset : module
        As `evaluate` takes it, with ``CRITERION``, the mean return over ``WINDOW``
        episodes that counts as learned.
    seed : int
        Of the network, the environment and the actions.
    n_steps : int
        Steps of the environment after which no new episode begins.
    n_episodes : int
        Greedy episodes, see `evaluate`.
    **options
        For ``build`` of the preset.

    Returns
    -------
    dict
        ``greedy mean`` and ``greedy least``, of the returns of the greedy episodes;
        ``episodes`` and ``steps`` after which the criterion was met in training, or
        None; and the ``returns`` and ``lengths`` of all episodes of training.

    Examples
    --------
    >>> from nengo_epes.rl import cartpole
    >>> result = train_and_evaluate(cartpole, 0, 50, n_episodes=2, n_neurons=50)
    >>> result["returns"] == result["lengths"], result["episodes"]
    (True, None)
    """
    trained = train(preset.build, seed, n_steps, **options)
    greedy = evaluate(preset, trained["weights"], seed, n_episodes, **options)
    learned = solved_after(trained["returns"], preset.CRITERION, preset.WINDOW)
    return {
        "greedy mean": float(greedy.mean()),
        "greedy least": float(greedy.min()),
        "episodes": learned,
        "steps": None if learned is None else int(trained["steps"][learned - 1]),
        "returns": [round(x, 2) for x in trained["returns"].tolist()],
        "lengths": np.diff(trained["steps"], prepend=0).tolist(),
    }
