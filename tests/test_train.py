"""Training, evaluation and movies from the command line."""

import json
import os
import shutil
import signal
import subprocess
import sys

import gymnasium
import imageio.v2 as imageio
import numpy as np
import pytest
from nengo.exceptions import NengoWarning
from toy_environments import Counter

from nengo_epes.__main__ import main
from nengo_epes.rl import Agent, run_files, runs

TASK = ["train", "CartPole-v1", "--set", "n_neurons=40"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run, and the folder of nobody."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main([*TASK, "--steps", "600", "--output", str(folder)]) == 0
    return folder


def test_compiled_simulator(tmp_path, capsys):
    """A run of the compiled simulator is that of Nengo's, resumes, and is evaluated."""
    pytest.importorskip("numba")
    for name in ("nengo", "compiled"):
        options = [f"--simulator={name}", f"--output={tmp_path / name}"]
        assert main([*TASK, "--steps=120", *options]) == 0
        words = ["--resume", "--steps=240", f"--output={tmp_path / name}"]
        assert main(["train", "CartPole-v1", *words]) == 0
        assert main(["evaluate", str(tmp_path / name), "--episodes=2"]) == 0
    ours, found = (runs.read_run(tmp_path / name) for name in ("nengo", "compiled"))
    assert found["simulator"] == "compiled" and found["trained_steps"] == 240
    returns = [[e.episode_return for e in run["episodes"]] for run in (ours, found)]
    assert returns[0] == returns[1]


def python(*arguments, **variables):
    """Run a command in another process; return status, output and errors."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "nengo_epes", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
    )
    return done.returncode, done.stdout, done.stderr


def contents(folder):
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name != run_files.LOCK
    }


def test_train_is_that_of_an_agent(trained, tmp_path, capsys):
    """The command trains the agent of its options, and says so."""
    options = ["--seed=7", "--neurons=lif", "--steps=150", "--set=eta_actor=0.02"]
    options += ["--env-arg=sutton_barto_reward=true", f"--output={tmp_path / 'a'}"]
    assert main([*TASK, *options]) == 0
    changes = {"n_neurons": 40, "eta_actor": 0.02}
    kwargs = {"sutton_barto_reward": True}
    with Agent("CartPole-v1", 7, "lif", kwargs, **changes) as agent:
        agent.learn(150, progress_bar=False)
        expected = agent.returns
    found = runs.read_run(tmp_path / "a")
    assert [e.episode_return for e in found["episodes"]] == expected.tolist()
    assert set(expected) == {-1.0}  # as that option has it
    first, last = capsys.readouterr().out.splitlines()[:2]
    assert first.startswith("training CartPole-v1")
    assert f"150 steps, {len(expected)} episodes, mean return -1.0" in last


def test_evaluate(trained, tmp_path, capsys):
    """The command prints and writes what the agent gets."""
    path = tmp_path / "a.json"
    assert main(["evaluate", str(trained), "--episodes=3", f"--json={path}"]) == 0
    with runs.load_agent(trained) as agent:
        expected = agent.evaluate(3).returns
    assert json.loads(path.read_text())["returns"] == expected.tolist()
    out = capsys.readouterr().out
    std = np.std(expected, ddof=1)
    assert (
        f"after 600 steps of training: mean {expected.mean():.1f}, std {std:.1f}" in out
    )
    assert str(path) in out


def test_movie(trained, tmp_path, capsys):
    """The movie has a picture of each state of the first episodes."""
    path = tmp_path / "pole.mp4"
    assert main(["movie", str(trained), f"--output={path}", "--episodes=2"]) == 0
    with runs.load_agent(trained) as agent:
        expected = agent.evaluate(2)
    with imageio.get_reader(path) as movie:
        assert movie.count_frames() == expected.lengths.sum() + 2
    assert f"mean return {expected.mean:.1f}" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end(number, tmp_path, monkeypatch, capsys):
    """Both signals save what was learned, and the command says how to resume."""
    learn = Agent.learn

    def interrupted(agent, n_steps, callback, *arguments):
        def interrupt(agent):
            callback(agent)
            if len(agent.episodes) == 3:
                signal.raise_signal(number)

        return learn(agent, n_steps, interrupt, *arguments)

    before = signal.getsignal(number)
    command = [*TASK, "--steps=400", "--output", str(tmp_path)]
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as status:
        patched.setattr(Agent, "learn", interrupted)
        main(command)
    assert status.value.code == 128 + number
    assert signal.getsignal(number) is before
    assert len(runs.read_run(tmp_path)["episodes"]) == 3
    out = capsys.readouterr().out
    assert f"nengo-epes train CartPole-v1 --resume --output {tmp_path}" in out
    assert main(["train", "CartPole-v1", "--resume", "--output", str(tmp_path)]) == 0
    assert runs.read_run(tmp_path)["is_complete"]


def test_resume_without_environment(trained, tmp_path, capsys, monkeypatch):
    """The folder has the id; the start line says that steps are repeated, and progress
    counts all steps."""
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    monkeypatch.setattr(runs, "EVERY", 100)
    command = ["train", "--resume", "--output", str(folder)]
    assert main([*command, "--steps=800"]) == 0
    (folder / runs.AGENT).unlink()  # as after a lost machine
    capsys.readouterr()
    assert main(command) == 0
    assert runs.read_run(folder)["trained_steps"] == 800
    out, err = capsys.readouterr()
    start = f"resuming {folder} from its last checkpoint; later steps are repeated"
    assert out.splitlines()[0] == start
    counts = [int(line.partition(" of 800 steps")[0]) for line in err.splitlines()]
    assert min(counts) > 600 and counts[-1] == 800


def test_tensorboard(tmp_path, monkeypatch):
    """Each episode's return and length are written."""
    import tensorboardX

    written = []
    monkeypatch.setattr(
        tensorboardX.SummaryWriter, "add_scalar", lambda self, *row: written.append(row)
    )
    arguments = ["--steps=200", "--tensorboard", f"--output={tmp_path / 'a'}"]
    assert main([*TASK, *arguments]) == 0
    expected = []
    for e in runs.read_run(tmp_path / "a")["episodes"]:
        expected += [("episode/return", e.episode_return, e.environment_steps)]
        expected += [("episode/length", e.length, e.environment_steps)]
    assert written == expected and expected
    assert list((tmp_path / "a" / "tensorboard").iterdir())


def test_terminal_that_cannot_show_the_name(trained, tmp_path):
    """Characters that a terminal cannot encode are replaced, and the files exist."""
    folder = tmp_path / "läufe 漢"
    shutil.copytree(trained, folder)
    variables = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    command = ["train", "CartPole-v1", "--resume", "--output", str(folder)]
    status, out, err = python(*command, **variables)
    assert status == 0, err
    assert "läufe \\u6f22".encode("cp1252") in out
    status, out, err = python("evaluate", str(folder), "--episodes=2", **variables)
    assert status == 0, err
    assert len(json.loads((folder / runs.EVALUATION).read_text())["returns"]) == 2
    status, _, err = python("evaluate", str(folder / "漢"), **variables)
    assert status == 1 and b"\\u6f22" in err and b"Traceback" not in err


OWN = """
import gymnasium
from toy_environments import Counter

gymnasium.register("Own-v0", entry_point=lambda **options: Counter(**options))
"""


def test_own_module(tmp_path, monkeypatch, capsys):
    """A module in the current folder is found if the user names it, and is not imported
    because a file names it."""
    (tmp_path / "own_environment.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    env, few = "own_environment:Own-v0", "--set=n_neurons=40"
    arguments = ["--steps=30", "--env-arg=length=5", "--output=a"]
    assert main(["train", env, few, *arguments]) == 0
    # rewards of 10, 20, ... 50
    assert {e.episode_return for e in runs.read_run("a")["episodes"]} == {150.0}
    del sys.modules["own_environment"], gymnasium.registry["Own-v0"]
    for command, remedy in (
        (["evaluate", "a"], f"--env {env}"),
        (["movie", "a"], f"--env {env}"),
        (["train", "--resume", "--output=a"], f"nengo-epes train {env} --resume ..."),
    ):
        assert main(command) == 1
        assert capsys.readouterr().err.endswith(f"name it yourself: {remedy}\n")
    assert "own_environment" not in sys.modules
    capsys.readouterr()
    assert main(["movie", "a", "--env", env]) == 1
    assert "cannot be filmed" in capsys.readouterr().err.splitlines()[-1]
    assert main(["evaluate", "a", "--episodes=2", "--env", env]) == 0
    assert json.loads((tmp_path / "a/evaluation.json").read_text())["mean"] == 150.0
    assert main(["train", env, "--resume", "--steps=40", "--output=a"]) == 0
    assert main(["evaluate", "a", "--env", "CartPole-v1"]) == 1
    assert "the run is of own_environment:Own-v0" in capsys.readouterr().err
    # by default the folder has a name that every system allows
    assert main(["train", env, few, "--steps=10"]) == 0
    assert runs.read_run("own_environment-Own-v0-rate-0")["is_complete"]


def test_environment_without_end(tmp_path):
    """Training ends after its steps, evaluation and movie after a limit, with a message
    that names the remedy."""
    gymnasium.register(
        "Endless-v0", entry_point=lambda **options: Counter(0, **options)
    )
    try:
        folder = tmp_path / "a"
        command = ["train", "Endless-v0", "--steps=50", f"--output={folder}"]
        assert main([*command, "--set=n_neurons=40"]) == 0
        run = runs.read_run(folder)
        assert run["trained_steps"] == 50 and run["episodes"] == []
        with pytest.warns(NengoWarning, match="add a gymnasium.wrappers.TimeLimit"):
            result = runs.evaluate_run(folder, 2, max_steps=30)
        assert result["lengths"] == [30, 30]
    finally:
        del gymnasium.registry["Endless-v0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "CartPole-v1", "--output={}"], "contains a run already"),
        (["train", "CartPole-v1", "--resume", "--seed=1", "--output={}"], "has seed 0"),
        (
            ["train", "CartPole-v1", "--resume", "--set=eta_actor=1", "--output={}"],
            "has eta_actor 0.04 (got 1); leave this out",
        ),
        (
            ["train", "CartPole-v1", "--resume", "--simulator=compiled", "--output={}"],
            "has simulator nengo (got compiled); leave this out",
        ),
        (
            ["train", "Pendulum-v1", "--resume", "--output={}"],
            "environment CartPole-v1 (got Pendulum-v1); leave this out",
        ),
        (["train", "CartPole-v1", "--resume", "--output={}/none"], "contains no run"),
        (
            ["train", "CartPole-v1", "--resume", "--steps=2", "--output={}"],
            "has had 600 steps already (got 2 steps in total)",
        ),
        (["train", "Chess-v77", "--output={}/a"], "Chess-v77: not registered"),
        (
            ["train", "no_such_module:A-v0", "--output={}/a"],
            "no module 'no_such_module'; run this in the folder of its file",
        ),
        (["evaluate", "{}/none"], "contains no run"),
        (["evaluate", "{}", "--json={}"], "is a folder"),
        (["movie", "{}/none"], "contains no run"),
    ],
)
def test_refused(arguments, message, trained, capsys):
    """Impossible requests end with a message of one line, and nothing is written."""
    before = contents(trained)
    assert main([word.format(trained) for word in arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert contents(trained) == before


@pytest.mark.parametrize("name", [runs.RECORD, runs.AGENT, runs.CHECKPOINT])
@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"PK\x03\x04 half"])
def test_damaged(name, text, trained, tmp_path, capsys):
    """Damaged files are refused by their name, in one line."""
    folder = tmp_path / "copy"
    shutil.copytree(trained, folder)
    (folder / name).write_bytes(text)
    commands = [
        ["train", "CartPole-v1", "--resume", "--steps=700", f"--output={folder}"]
    ]
    if name != runs.CHECKPOINT:
        commands += [["evaluate", str(folder)], ["movie", str(folder)]]
    for command in commands:
        assert main(command) == 1
        error = capsys.readouterr().err
        assert name in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("shrink=none", None),
        ("shrink=100", 100),
        ("scale_rewards=false", False),
        ("discount=0.9", 0.9),
        ("n_neurons=64", 64),
    ],
)
def test_types_of_settings(text, value, tmp_path):
    """Values have the types of their fields."""
    arguments = ["--steps=10", f"--set={text}", f"--output={tmp_path / 'a'}"]
    assert main([*TASK, *arguments]) == 0
    found = runs.read_run(tmp_path / "a")["settings"][text.partition("=")[0]]
    assert found == value and type(found) is type(value)
