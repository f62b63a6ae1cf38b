"""A movie of a trained agent; needs the extra ``movies``."""

from __future__ import annotations

from nengo.exceptions import ValidationError

from nengo_epes.files import check_writable, write_atomically
from nengo_epes.rl.evaluation import evaluate, make_fixed
from nengo_epes.rl.spaces import check_gymnasium

gymnasium = check_gymnasium()


class Filmed(gymnasium.Wrapper):  # type: ignore[name-defined]
    """An environment that shows a picture of each observation.

    Parameters
    ----------
    env : gymnasium.Env
        Environment made with ``render_mode="rgb_array"``.
    show : callable
        Receives the picture, a (height, width, 3) array of bytes, after each reset and
        each step.

    Examples
    --------
    >>> frames = []
    >>> env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    >>> env = Filmed(env, frames.append)
    >>> _ = env.reset(seed=0), env.step(1), env.step(0)
    >>> len(frames), frames[0].shape
    (3, (400, 600, 3))
    """

    def __init__(self, env, show):
        super().__init__(env)
        self.show = show

    def reset(self, **arguments):
        """Start an episode, and show it."""
        started = self.env.reset(**arguments)
        self.show(self.env.render())
        return started

    def step(self, action):
        """Take an environment step, and show its result."""
        taken = self.env.step(action)
        self.show(self.env.render())
        return taken


def record(environment, weights, path, seed=0, n_episodes=1, **changes):
    """Film a trained, greedy agent in the first episodes of `evaluate`.

    The movie has a picture of each initial state and one of each environment step. The
    file appears when it is complete.

    Parameters
    ----------
    environment : str
        Id of the environment, see `nengo_epes.rl.presets.preset`.
    weights : dict of str to array
        Weights from `nengo_epes.rl.evaluation.learned_weights`.
    path : path
        The file, .gif or .mp4.
    seed : int
        Seed with which the agent was built and trained.
    n_episodes : int
        Number of episodes.
    **changes
        Those with which the agent was built, see `nengo_epes.rl.presets.build`.

    Returns
    -------
    (n_episodes,) ndarray
        Return of each episode.

    Raises
    ------
    ImportError
        If imageio is not installed.
    ValidationError
        If the file has another suffix.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> weights = {"critic": np.zeros((1, 50)), "actor": np.zeros((2, 50))}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "pole.mp4")
    ...     returns = record("CartPole-v1", weights, path, n_neurons=50)
    ...     os.path.getsize(path) > 0, returns.shape
    (True, (1,))
    """
    path = check_writable(path)
    if path.suffix not in (".gif", ".mp4"):
        raise ValidationError(
            f"must have the suffix .gif or .mp4 (got {path.name!r})", attr="path"
        )
    try:
        import imageio.v2 as imageio
    except ImportError as error:
        raise ImportError(
            "movies need imageio: pip install 'nengo-epes[movies]'"
        ) from error
    returns = None

    def write(temporary):
        nonlocal returns
        env = make_fixed(environment, render_mode="rgb_array")
        rate = env.metadata["render_fps"]
        if path.suffix == ".gif":
            options = {"duration": 1000 / rate, "loop": 0}
        else:
            # the codec needs even numbers of pixels; imageio would use multiples of 16
            options = {"fps": rate, "macro_block_size": 2}
        with env, imageio.get_writer(temporary, **options) as movie:
            filmed = Filmed(env, movie.append_data)
            returns = evaluate(
                environment, weights, seed, n_episodes, filmed, **changes
            )

    write_atomically(path, write)
    return returns
