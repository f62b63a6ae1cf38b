"""A movie of a trained agent: what is in the file, and when there is none."""

import subprocess
import sys

import gymnasium
import imageio_ffmpeg
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from PIL import Image, ImageSequence

from nengo_epes.rl import evaluation
from nengo_epes.rl.movie import record

NEURONS = 30
# rates are not negative, so that the second action always is the greedy one
ALWAYS_RIGHT = {
    "critic": np.zeros((1, NEURONS)),
    "actor": np.repeat([[0.0], [1.0]], NEURONS, axis=1),
}


def expected(n_episodes):
    """Return the pictures and lengths of episodes with the second action alone."""
    world = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    pictures, lengths = [], []
    for episode in range(n_episodes):
        world.reset(seed=evaluation.FIRST_RESET + episode)
        pictures.append(world.render())
        over, length = False, 0
        while not over:
            _, _, over, _, _ = world.step(1)
            pictures.append(world.render())
            length += 1
        lengths.append(length)
    return np.array(pictures), lengths


def read_gif(path):
    """Return its pictures at 50 a second; one shown longer stands for several."""
    shown = []
    with Image.open(path) as gif:
        for picture in ImageSequence.Iterator(gif):
            shown += [np.asarray(picture.convert("RGB"))] * (gif.info["duration"] // 20)
    return np.array(shown)


def read_mp4(path):
    """Return its pictures, decoded by ffmpeg itself."""
    decode = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, "-pix_fmt", "rgb24"]
    raw = subprocess.run([*decode, "-f", "rawvideo", "-"], capture_output=True)
    return np.frombuffer(raw.stdout, dtype=np.uint8).reshape(-1, 400, 600, 3)


@pytest.mark.parametrize(
    ("suffix", "tolerance"),
    # of 255 levels on the mean: GIF has few colours, MP4 loses detail
    [(".gif", 0.01), (".mp4", 3.0)],
)
def test_movie_is_what_gymnasium_draws(tmp_path, suffix, tolerance):
    """A picture of each beginning and one of each step, at Gymnasium's size, as
    Gymnasium draws the same actions; and what is returned is what was earned."""
    path = tmp_path / f"pole{suffix}"
    returns = record("CartPole-v1", ALWAYS_RIGHT, path, n_episodes=2, n_neurons=NEURONS)
    pictures, lengths = expected(2)
    assert returns.tolist() == lengths
    found = read_gif(path) if suffix == ".gif" else read_mp4(path)
    assert found.shape == pictures.shape
    difference = np.abs(found.astype(float) - pictures)
    assert difference.mean(axis=(1, 2, 3)).max() < tolerance
    assert [x.name for x in tmp_path.iterdir()] == [path.name]


def test_movie_is_whole_or_not_there(tmp_path):
    """What fails on the way leaves what was there before."""
    path = tmp_path / "pole.gif"
    path.write_text("before")
    with pytest.raises(KeyError, match="actor"):
        record(
            "CartPole-v1", {"critic": ALWAYS_RIGHT["critic"]}, path, n_neurons=NEURONS
        )
    assert path.read_text() == "before"
    assert [x.name for x in tmp_path.iterdir()] == [path.name]


def test_other_kinds_are_refused(tmp_path):
    """Before an episode is run, and with the kinds that there are."""
    with pytest.raises(ValidationError, match=r"\.gif or \.mp4 \(got .*pole\.avi"):
        record("CartPole-v1", ALWAYS_RIGHT, tmp_path / "pole.avi", n_neurons=NEURONS)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        record("CartPole-v1", ALWAYS_RIGHT, tmp_path / "none" / "pole.gif")


def test_missing_library(tmp_path):
    """The message names the extra that has it, and nothing is written."""
    script = f"""
import sys
import numpy as np
from nengo_epes.rl import movie
weights = {{"critic": np.zeros((1, 5)), "actor": np.zeros((2, 5))}}
for name, path in (
    ("PIL", "a.gif"),
    ("imageio", "a.mp4"),
    ("imageio_ffmpeg", "a.mp4"),
    ("pygame", "a.gif"),
):
    there, sys.modules[name] = sys.modules.get(name), None
    try:
        path = {str(tmp_path)!r} + "/" + path
        movie.record("CartPole-v1", weights, path, n_neurons=5)
    except ImportError as error:
        assert "pip install 'nengo-epes[movies]'" in str(error), error
    else:
        raise AssertionError(name)
    del sys.modules[name]
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
    assert not list(tmp_path.iterdir())
