"""What a trained agent does, as a movie; needs the extra ``movies``."""

from __future__ import annotations

import importlib

import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.files import check_writable, write_atomically
from nengo_epes.rl.evaluation import evaluate, make_fixed
from nengo_epes.rl.spaces import check_gymnasium

gymnasium = check_gymnasium()

FORMATS = (".gif", ".mp4")
_MISSING = "movies need {}: pip install 'nengo-epes[movies]'"


class Filmed(gymnasium.Wrapper):
    """An environment that shows a picture of each observation.

    Parameters
    ----------
    env : gymnasium.Env
        Made with ``render_mode="rgb_array"``.
    show : callable
        Is given the picture, (height, width, 3) bytes, at each reset and each step.

    Raises
    ------
    ImportError
        If what draws the environment is not installed.

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
        self._show = show

    def reset(self, *, seed=None, options=None):
        """Begin an episode, and show it."""
        begun = self.env.reset(seed=seed, options=options)
        self._film()
        return begun

    def step(self, action):
        """Take a step, and show where it leads."""
        taken = self.env.step(action)
        self._film()
        return taken

    def _film(self):
        try:
            frame = self.env.render()
        except gymnasium.error.DependencyNotInstalled as error:
            raise ImportError(_MISSING.format(f"what draws it ({error})")) from error
        self._show(frame)


def _check(path):
    path = check_writable(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValidationError(
            f"a movie is a file with the suffix {' or '.join(FORMATS)} (got "
            f"{path.name!r})",
            attr="path",
        )
    # GIF is written by Pillow, which comes with imageio
    for library in ("PIL",) if suffix == ".gif" else ("imageio", "imageio_ffmpeg"):
        try:
            importlib.import_module(library)
        except ImportError as error:
            raise ImportError(_MISSING.format(library)) from error
    return path


class _Gif:
    # imageio would keep all pictures as they came, three times as much to remember
    def __init__(self, path, frames_per_second):
        self._path, self._pictures = path, []
        # GIF knows whole hundredths of a second
        self._milliseconds = 10 * round(100 / frames_per_second)

    def __enter__(self):
        return self

    def append_data(self, picture):
        from PIL import Image

        self._pictures.append(Image.fromarray(picture).quantize())

    def __exit__(self, kind, error, traceback):
        if error is None:
            first, *others = self._pictures
            timing = {"duration": self._milliseconds, "loop": 0}
            first.save(self._path, save_all=True, append_images=others, **timing)


def _open(path, frames_per_second):
    if path.suffix.lower() == ".gif":
        return _Gif(path, frames_per_second)
    import imageio.v2 as imageio

    # the codec wants even numbers of pixels; imageio makes them multiples of 16
    return imageio.get_writer(path, fps=frames_per_second, macro_block_size=2)


def record(environment, weights, path, seed=0, n_episodes=1, **changes):
    """Film a trained agent, greedy, in the first episodes of `evaluate`.

    Each episode has a picture of its beginning, and one of each of its steps. The file
    is there when it is whole.

    Parameters
    ----------
    environment : str
        Id of the environment, see `nengo_epes.rl.presets.preset`.
    weights : dict of str to array
        From `nengo_epes.rl.evaluation.learned_weights`.
    path : path
        The file, .gif or .mp4.
    seed : int
        With which the agent was built and trained.
    n_episodes : int
        How many.
    **changes
        Those with which it was built, see `nengo_epes.rl.presets.build`.

    Returns
    -------
    (n_episodes,) array
        The return of each.

    Raises
    ------
    ImportError
        If Pillow (.gif), imageio and imageio-ffmpeg (.mp4), or what draws the
        environment is not installed.
    ValidationError
        If the file is of another kind.
    OSError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile, os
    >>> weights = {"critic": np.zeros((1, 50)), "actor": np.zeros((2, 50))}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "pole.mp4")
    ...     returns = record("CartPole-v1", weights, path, n_neurons=50)
    ...     os.path.getsize(path) > 0, returns.shape
    (True, (1,))
    """
    path = _check(path)
    returns = np.zeros(n_episodes)
    with gymnasium.make(environment) as world:
        frames_per_second = world.metadata["render_fps"]

    def write(temporary):
        with _open(temporary, frames_per_second) as movie:

            def make():
                world = make_fixed(environment, render_mode="rgb_array")
                return Filmed(world, movie.append_data)

            returns[:] = evaluate(
                environment, weights, seed, n_episodes, env=make, **changes
            )

    write_atomically(path, write)
    return returns
