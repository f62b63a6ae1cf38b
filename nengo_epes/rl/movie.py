"""A movie of a trained agent; needs the extra ``movies``."""

from __future__ import annotations

import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.files import check_writable, write_atomically
from nengo_epes.optional import load

# a palette for each picture, so that pictures can be written one by one
_GIF = (
    "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1:dither=none"
)
# ffmpeg writes pictures as they come; H.264 needs even numbers of pixels
_ENCODERS = {
    ".gif": {
        "codec": "gif",
        "pix_fmt_out": "pal8",
        "macro_block_size": 1,
        "output_params": ["-vf", _GIF],
    },
    ".mp4": {"codec": "libx264", "macro_block_size": 2},
}


def record(agent, path, n_episodes=1, seed=None, max_steps=10_000, progress_bar=False):
    """Film an agent in the first episodes of `~nengo_epes.rl.Agent.evaluate`.

    The movie has a picture of each initial state and one of each environment step. The
    file appears when it is complete.

    Parameters
    ----------
    agent : Agent
        The agent.
    path : path
        File to write, .gif or .mp4.
    n_episodes, seed, max_steps, progress_bar : optional
        See `~nengo_epes.rl.Agent.evaluate`.

    Returns
    -------
    Evaluation
        Returns and lengths of the episodes.

    Raises
    ------
    ImportError
        If imageio-ffmpeg is not installed.
    ValidationError
        If the file has another suffix, or the environment cannot be made with
        ``render_mode="rgb_array"`` or returns no pictures.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from nengo_epes.rl import Agent
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "pole.mp4"
    ...     with Agent("CartPole-v1", n_neurons=50) as agent:
    ...         result = record(agent, path)
    ...     path.stat().st_size > 0, result.returns.shape
    (True, (1,))
    """
    path = check_writable(path)
    encoder = _ENCODERS.get(path.suffix)
    if encoder is None:
        raise ValidationError(
            f"must have the suffix .gif or .mp4 (got {path.name!r})", attr="path"
        )
    write_frames = load("imageio_ffmpeg", "movies").write_frames
    result = None

    def write(temporary):
        nonlocal result
        movie = None

        def film(env):
            nonlocal movie
            picture = _render(env)
            if movie is None:
                size, rate = picture.shape[1::-1], env.metadata.get("render_fps", 30)
                movie = write_frames(str(temporary), size, fps=rate, **encoder)
                movie.send(None)
            movie.send(picture)

        try:
            result = agent.evaluate(n_episodes, seed, max_steps, film, progress_bar)
        finally:
            if movie is not None:
                movie.close()

    write_atomically(path, write)
    return result


def _render(env):
    try:
        picture = env.render()
    except NotImplementedError:
        picture = None
    if np.ndim(picture) != 3 or np.shape(picture)[2] != 3:
        raise ValidationError(
            f"{env}: render() does not return a picture of shape (height, width, 3) "
            f"(got {type(picture).__name__}); film an environment that supports "
            "render_mode='rgb_array'",
            attr="env",
        )
    return np.ascontiguousarray(picture, dtype=np.uint8)
