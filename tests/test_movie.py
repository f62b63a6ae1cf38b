"""A movie of a trained agent is what Gymnasium draws."""

import subprocess
import sys

import gymnasium
import imageio_ffmpeg
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from PIL import Image, ImageSequence

from nengo_epes.rl.evaluation import FIRST_RESET
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
        world.reset(seed=FIRST_RESET + episode)
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
    """The file has a picture of each initial state and one of each step, as Gymnasium
    draws the same actions; the returns are the lengths of the episodes."""
    path = tmp_path / f"pole{suffix}"
    returns = record("CartPole-v1", ALWAYS_RIGHT, path, n_episodes=2, n_neurons=NEURONS)
    pictures, lengths = expected(2)
    assert returns.tolist() == lengths
    found = read_gif(path) if suffix == ".gif" else read_mp4(path)
    assert found.shape == pictures.shape
    difference = np.abs(found.astype(float) - pictures)
    assert difference.mean(axis=(1, 2, 3)).max() < tolerance
    assert [x.name for x in tmp_path.iterdir()] == [path.name]


def test_error_keeps_the_old_file(tmp_path):
    """An error leaves the file that was there before."""
    path = tmp_path / "pole.gif"
    path.write_text("before")
    with pytest.raises(KeyError, match="actor"):
        record(
            "CartPole-v1", {"critic": ALWAYS_RIGHT["critic"]}, path, n_neurons=NEURONS
        )
    assert path.read_text() == "before"
    assert [x.name for x in tmp_path.iterdir()] == [path.name]


def test_other_suffixes_and_folders(tmp_path):
    """Other suffixes and folders that do not exist are refused."""
    for name, error in (
        ("pole.avi", ValidationError),
        ("none/pole.gif", FileNotFoundError),
    ):
        with pytest.raises(error, match=name.split("/")[0]):
            record("CartPole-v1", ALWAYS_RIGHT, tmp_path / name, n_neurons=NEURONS)


def test_without_imageio(tmp_path, monkeypatch):
    """Without imageio the message names the extra, and nothing is written."""
    monkeypatch.setitem(sys.modules, "imageio.v2", None)
    with pytest.raises(ImportError, match=r"pip install 'nengo-epes\[movies\]'"):
        record("CartPole-v1", ALWAYS_RIGHT, tmp_path / "a.gif", n_neurons=NEURONS)
    assert not list(tmp_path.iterdir())
