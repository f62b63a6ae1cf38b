"""A movie of a trained agent shows Gymnasium's frames."""

import contextlib
import subprocess
import sys
from typing import ClassVar

import gymnasium
import imageio_ffmpeg
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from nengo.exceptions import NengoWarning, ValidationError
from PIL import Image, ImageSequence
from toy_environments import Counter

from nengo_epes.rl import Agent
from nengo_epes.rl.environment import episode_seed
from nengo_epes.rl.evaluation import FIRST_SEED
from nengo_epes.rl.movie import record


@pytest.fixture
def agent():
    """An agent that always takes the second action, because rates are not negative."""
    with Agent("CartPole-v1", n_neurons=40) as agent:
        weights = agent.simulator.model.sig[agent.network.actor_critic.actor]["weights"]
        agent.simulator.signals[weights][...] = [[0.0], [1.0]]
        yield agent


def expected(n_episodes):
    """Return frames and lengths of episodes in which only the second action is
    taken."""
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    pictures, lengths = [], []
    for episode in range(n_episodes):
        env.reset(seed=episode_seed(FIRST_SEED, episode))
        pictures.append(env.render())
        over, length = False, 0
        while not over:
            _, _, over, _, _ = env.step(1)
            pictures.append(env.render())
            length += 1
        lengths.append(length)
    env.close()
    return np.array(pictures), lengths


def read_gif(path):
    """Return the frames of a GIF at 50 per second; a frame shown longer is repeated."""
    shown = []
    with Image.open(path) as gif:
        for picture in ImageSequence.Iterator(gif):
            shown += [np.asarray(picture.convert("RGB"))] * (gif.info["duration"] // 20)
    return np.array(shown)


def read_mp4(path):
    """Return the frames of an MP4, decoded by ffmpeg."""
    decode = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, "-pix_fmt", "rgb24"]
    raw = subprocess.run([*decode, "-f", "rawvideo", "-"], capture_output=True)
    return np.frombuffer(raw.stdout, dtype=np.uint8).reshape(-1, 400, 600, 3)


@pytest.mark.parametrize(
    ("suffix", "tolerance"),
    # mean difference in levels of 255: GIF has few colours, MP4 is lossy
    [(".gif", 0.01), (".mp4", 3.0)],
)
def test_movie_is_what_gymnasium_draws(agent, tmp_path, suffix, tolerance):
    """The file has one frame for each initial state and each step, as Gymnasium draws
    the same actions; the returns are the lengths of the episodes."""
    path = tmp_path / f"pole{suffix}"
    result = record(agent, path, n_episodes=2)
    pictures, lengths = expected(2)
    assert result.returns.tolist() == result.lengths.tolist() == lengths
    found = read_gif(path) if suffix == ".gif" else read_mp4(path)
    assert found.shape == pictures.shape
    difference = np.abs(found.astype(float) - pictures)
    assert difference.mean(axis=(1, 2, 3)).max() < tolerance
    assert [x.name for x in tmp_path.iterdir()] == [path.name]


class Watched(Counter):
    """Environment that counts how often it is opened and closed, and draws nothing."""

    metadata: ClassVar = {"render_modes": ["rgb_array"]}
    n_open = 0

    def __init__(self, render_mode=None, fails=None):
        super().__init__(length=5)
        self.render_mode, self.fails = render_mode, fails
        Watched.n_open += 1

    def step(self, action):
        if self.render_mode and self.fails == "step":
            raise ArithmeticError("in a step")
        return super().step(action)

    def render(self):
        return None if self.fails == "render" else np.zeros((40, 60, 3), np.uint8)

    def close(self):
        Watched.n_open -= 1


@pytest.mark.parametrize(
    ("fails", "error"),
    [(None, None), ("render", ValidationError), ("step", ArithmeticError)],
)
def test_environment_is_closed(fails, error, tmp_path):
    """Every environment is closed, and after an error the previous file remains."""
    path = tmp_path / "counter.gif"
    path.write_text("before")
    with Agent(Watched, env_kwargs={"fails": fails}, n_neurons=40) as agent:
        n_open = Watched.n_open
        with contextlib.nullcontext() if error is None else pytest.raises(error):
            record(agent, path)
        assert Watched.n_open == n_open
    assert (path.read_bytes() == b"before") is (error is not None)
    assert [x.name for x in tmp_path.iterdir()] == [path.name]


class Silent(Watched):
    """Environment with a render mode, but no method `render`."""

    render = gymnasium.Env.render


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            Counter,
            r"filmed \(got metadata\['render_modes'\] = \[\]\); write a m",
        ),
        (
            lambda: TimeLimit(Watched(), 3),
            r"render_mode='rgb_array' \(got .*'render_mode'\); accept render_mode=None",
        ),
        (Silent, r"render\(\) does not return a picture of shape"),
    ],
)
def test_environment_that_cannot_be_filmed(make, message, tmp_path):
    """The message says what the class or the constructor lacks."""
    with Agent(make, n_neurons=40) as agent:
        with pytest.raises(ValidationError, match=message) as error:
            record(agent, tmp_path / "a.gif")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_episode_without_end(tmp_path):
    """A movie stops at a limit, with a message that names the remedy."""

    def make(render_mode=None):
        env = Watched(render_mode)
        env.length = 0
        return env

    with Agent(make, n_neurons=40) as agent:
        with pytest.warns(NengoWarning, match="add a gymnasium.wrappers.TimeLimit"):
            result = record(agent, tmp_path / "a.gif", max_steps=7)
    assert result.lengths.tolist() == [7]


def test_other_suffixes_and_folders(agent, tmp_path):
    """Other suffixes and missing folders are refused."""
    for name, error in (
        ("pole.avi", ValidationError),
        ("none/pole.gif", FileNotFoundError),
    ):
        with pytest.raises(error, match=name.split("/")[0]):
            record(agent, tmp_path / name)


def test_without_imageio(agent, tmp_path, monkeypatch):
    """Without imageio-ffmpeg the message names the extra, and nothing is written."""
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ImportError, match=r"pip install 'nengo-epes\[movies\]'"):
        record(agent, tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())
