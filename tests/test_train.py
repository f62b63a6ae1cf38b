"""Training from the command line: it is kept, goes on exactly, and is evaluated."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys

import imageio.v2 as imageio
import numpy as np
import pytest

from nengo_epes.__main__ import main
from nengo_epes.checkpoints import CheckpointError
from nengo_epes.rl import evaluation, runs

KILLED = """
import os, signal, sys
from nengo_epes.rl import runs
reports, asked = [], []

def stopped():
    asked.append(len(reports))
    # an episode after the second checkpoint, and before the third
    if asked.count(2) == 1:
        os.kill(os.getpid(), signal.SIGKILL)

runs.resume_run(sys.argv[1], int(sys.argv[2]), lambda *_: reports.append(1), stopped)
"""


def python(*arguments, hash_seed=0):
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )


def record(folder):
    return json.loads((folder / runs.RECORD).read_text())


@pytest.mark.parametrize(
    ("neurons", "kills"),
    [
        ("relu", 1),
        pytest.param("relu", 4, marks=pytest.mark.slow),
        pytest.param("lif", 2, marks=pytest.mark.slow),
    ],
)
def test_killed_and_resumed(neurons, kills, tmp_path):
    """A run that is killed, and each time goes on in another process, ends with the
    weights of one that was never interrupted, bit for bit."""
    task = ["train", "CartPole-v1", "--seed", "1000", "--neurons", neurons]
    # an episode is some 50 steps, with a checkpoint after every second or third
    steps = 400 + 300 * kills
    kept = ["--checkpoint", "100", "--output"]
    assert main([*task, "--steps", str(steps), *kept, f"{tmp_path}/alone"]) == 0

    folder = tmp_path / "killed"
    runs.create_run(folder, "CartPole-v1", 1000, neurons, steps=steps)
    for hash_seed in range(kills):
        killed = python("-c", KILLED, str(folder), "100", hash_seed=hash_seed)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (folder / runs.WEIGHTS).exists() and not record(folder)["complete"]
    arguments = ["train", "CartPole-v1", "--resume", *kept, str(folder)]
    resumed = python("-m", "nengo_epes", *arguments, hash_seed=99)
    assert resumed.returncode == 0, resumed.stderr
    assert record(folder) == record(tmp_path / "alone")
    assert record(folder)["complete"] and record(folder)["steps"][-1] >= steps

    straight, episodes = runs.read_weights(tmp_path / "alone")
    weights, episodes_resumed = runs.read_weights(folder)
    assert episodes == episodes_resumed == len(record(folder)["returns"])
    for name in ("critic", "actor"):
        assert np.any(straight[name])
        np.testing.assert_array_equal(weights[name], straight[name])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a short run, and what was printed."""
    folder = tmp_path_factory.mktemp("trained")
    task = ["train", "CartPole-v1", "--episodes", "9", "--checkpoint", "60"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main([*task, "--output", str(folder)]) == 0
    return folder, printed.getvalue()


def test_what_is_written(trained):
    """Settings, versions, returns, weights and a picture; and lines for a log."""
    folder, printed = trained
    written = record(folder)
    assert written["settings"] == {
        "environment": "CartPole-v1",
        "seed": 0,
        "neurons": "relu",
        "steps": None,
        "episodes": 9,
    }
    assert len(written["returns"]) == 9
    # a cart-pole earns 1 in every step
    np.testing.assert_array_equal(written["steps"], np.cumsum(written["returns"]))
    assert written["command"] == (
        "nengo-epes train CartPole-v1 --seed 0 --neurons relu --episodes 9"
    )
    assert set(written["versions"]) == {"nengo-epes", "nengo", "numpy", "gymnasium"}
    assert (folder / runs.CURVE).read_bytes().startswith(b"\x89PNG")
    assert "\r" not in printed
    mean = np.mean(written["returns"])
    assert f"9 episodes   mean return {mean:>9.1f} of the last 9" in printed


def test_evaluate(trained, capsys):
    """The agent earns what the same weights earn in `evaluation.evaluate`."""
    folder, _ = trained
    assert main(["evaluate", str(folder), "--episodes", "3"]) == 0
    expected = evaluation.evaluate("CartPole-v1", runs.read_weights(folder)[0], 0, 3)
    written = json.loads((folder / runs.EVALUATION).read_text())
    assert written["returns"] == expected.tolist()
    assert written["episodes of training"] == 9
    told = f"mean {np.mean(expected):.1f}, sd {np.std(expected, ddof=1):.1f}, min "
    assert told in capsys.readouterr().out


def test_movie(trained, tmp_path, capsys):
    """The first of the same episodes can be filmed; another kind of file is refused
    before anything is run."""
    folder, _ = trained
    path = tmp_path / "pole.mp4"
    command = ["evaluate", str(folder), "--episodes", "2", "--movie"]
    assert main([*command, str(path)]) == 0
    expected = evaluation.evaluate("CartPole-v1", runs.read_weights(folder)[0], 0, 1)
    with imageio.get_reader(path) as movie:
        assert movie.count_frames() == expected[0] + 1
    assert main([*command, str(tmp_path / "pole.avi")]) == 1
    assert "pole.avi" in capsys.readouterr().err


def test_longer(trained):
    """A complete run goes on where it is given more episodes, and not otherwise."""
    folder, _ = trained
    before = record(folder)
    task = ["train", "CartPole-v1", "--resume", "--output", str(folder)]
    assert main(task) == 0
    assert record(folder) == before
    assert main([*task, "--episodes", "11"]) == 0
    after = record(folder)
    assert len(after["returns"]) == 11 and after["returns"][:9] == before["returns"]
    assert after["settings"] == {**before["settings"], "episodes": 11}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end(number, tmp_path, monkeypatch, capsys):
    """Ctrl-C lets the episode end, keeps everything, and says how to go on."""
    run_episode, episodes = runs.run_episode, []

    def interrupted(simulator, env_node):
        episodes.append(simulator.n_steps)
        if len(episodes) == 3:
            signal.raise_signal(number)
        return run_episode(simulator, env_node)

    monkeypatch.setattr(runs, "run_episode", interrupted)
    before = signal.getsignal(number)
    task = ["train", "CartPole-v1", "--output", str(tmp_path)]
    with pytest.raises(SystemExit) as status:
        main(task)
    assert status.value.code == 128 + number
    assert signal.getsignal(number) is before
    assert len(record(tmp_path)["returns"]) == 3 and not record(tmp_path)["complete"]
    assert runs.read_weights(tmp_path)[1] == 3
    assert f"to go on: nengo-epes {' '.join(task[:2])} --resume" in (
        capsys.readouterr().out
    )
    assert main([*task, "--resume", "--episodes", "4"]) == 0
    assert len(episodes) == 4 and record(tmp_path)["complete"]
    # the environment began no other episode
    assert episodes[3] == 2 * (record(tmp_path)["steps"][2] + 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "CartPole-v1", "--output", "{}"], "holds a run already"),
        (
            ["train", "CartPole-v1", "--seed", "1", "--resume", "--output", "{}"],
            "seed 0",
        ),
        (
            ["train", "CartPole-v1", "--resume", "--output", "{}/none"],
            "there is no run",
        ),
        (
            ["train", "CartPole-v1", "--resume", "--episodes=2", "--output", "{}"],
            "more than it is to have; give a larger limit",
        ),
        (["train", "Chess", "--output", "{}/a"], "no preset for 'Chess', but for Cart"),
        (
            ["train", "CartPole-v1", "--neurons", "wet", "--output", "{}/a"],
            "no settings for 'wet', but for relu, lif",
        ),
        (["train", "CartPole-v1", "--steps", "0"], "--steps must be at least 1"),
        (["train", "CartPole-v1", "--seed", "-1"], "--seed must be from 0"),
        (["evaluate", "{}/none"], "there is no run"),
        (["evaluate", "{}", "--episodes", "1"], "at least 2"),
    ],
)
def test_refused(arguments, message, trained, capsys):
    """What cannot be done is said in one line, and nothing is written."""
    folder, _ = trained
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert main([word.format(folder) for word in arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_not_ended(tmp_path):
    """A run that has only begun has no weights, and a damaged checkpoint stays."""
    runs.create_run(tmp_path, "CartPole-v1")
    with pytest.raises(FileNotFoundError, match="training has not ended"):
        runs.read_weights(tmp_path)
    (tmp_path / runs.CHECKPOINT).write_bytes(b"half")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        runs.resume_run(tmp_path)
    assert (tmp_path / runs.CHECKPOINT).read_bytes() == b"half"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"PK\x03\x04 half"])
def test_damaged(text, tmp_path):
    """A damaged record and damaged weights are refused by the name of the file."""
    runs.create_run(tmp_path, "CartPole-v1")
    loads = {runs.WEIGHTS: runs.read_weights, runs.RECORD: runs.read_settings}
    for name, load in loads.items():
        (tmp_path / name).write_bytes(text)
        with pytest.raises(ValueError, match=f"{name} is .*damaged"):
            load(tmp_path)
