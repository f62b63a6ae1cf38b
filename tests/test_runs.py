"""Runs: folders that are resumed exactly, owned by one process, and read without
running code."""

import contextlib
import errno
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nengo_epes.rl import Agent, run_files, runs

# few neurons and steps, and many checkpoints
FEW = {"n_neurons": 40}
EVERY = 100


@pytest.fixture(autouse=True, scope="module")
def often():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runs, "EVERY", EVERY)
        patched.setattr(run_files, "PATIENCE", 0.1)
        yield


def make(folder, env="CartPole-v1", seed=0, n_steps=500, trained=True, neurons="rate"):
    """Create and train a run."""
    runs.create_run(folder, env, seed, neurons, n_steps, **FEW)
    if trained:
        assert runs.resume_run(folder)
    return folder


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    return make(tmp_path_factory.mktemp("runs") / "complete")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run of 900 steps."""
    return make(tmp_path_factory.mktemp("runs") / "whole", n_steps=900)


@pytest.fixture
def copied(complete, tmp_path):
    """A copy of a complete run, which a test may damage."""
    shutil.copytree(complete, tmp_path / "copied")
    return tmp_path / "copied"


def learned(folder):
    """Return all learned arrays, and the episodes without their wall time."""
    with runs.load_agent(folder) as agent:
        arrays = {
            name: agent.simulator.signals[signal].copy()
            for name, signal in agent._signals().items()
        }
        rows = [
            (e.environment_steps, e.episode_return, e.length) for e in agent.episodes
        ]
    return arrays, rows


def assert_equal(folder, other):
    (here, rows), (there, other_rows) = learned(folder), learned(other)
    assert rows == other_rows and rows
    assert here.keys() == there.keys()
    for name, array in here.items():
        np.testing.assert_array_equal(array, there[name], err_msg=name)


def contents(folder):
    """Return the content of all files except the lock."""
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {
        path.name: path.read_bytes() for path in files if path.name != run_files.LOCK
    }


# what is stored


def test_files_are_those_of_an_agent(complete):
    """The run has the learned arrays of an agent without a folder, and the CSV file has
    its episodes; each step of CartPole has a reward of 1."""
    with Agent("CartPole-v1", seed=0, **FEW) as agent:
        agent.learn(500, progress_bar=False)
        arrays, rows = learned(complete)
        for name, signal in agent._signals().items():
            np.testing.assert_array_equal(arrays[name], agent.simulator.signals[signal])
        assert [row[1] for row in rows] == agent.returns.tolist()
    header, *lines = (complete / runs.RETURNS).read_text().splitlines()
    assert header == "episode,environment_steps,return,length,seconds"
    table = np.array([line.split(",") for line in lines], dtype=float)
    np.testing.assert_array_equal(table[:, 0], np.arange(len(rows)))
    np.testing.assert_array_equal(table[:, 2], table[:, 3])
    np.testing.assert_array_equal(table[:, 1], np.cumsum(table[:, 2]))
    assert [tuple(row) for row in table[:, 1:4]] == rows
    record = json.loads((complete / runs.RECORD).read_text())
    assert record["environment"] == "CartPole-v1" and record["seed"] == 0
    assert record["settings"]["n_neurons"] == 40 and record["steps"] == 500
    assert set(record["versions"]) == {"nengo-epes", "nengo", "numpy", "gymnasium"}
    run = runs.read_run(complete)
    assert run["is_complete"] and run["trained_steps"] == 500
    assert (complete / runs.CURVE).read_bytes().startswith(b"\x89PNG")
    assert not (complete / run_files.OWNER).exists()


def test_evaluation_is_written(complete, tmp_path):
    """The evaluation equals the agent's, and is written to the file that is named."""
    result = runs.evaluate_run(complete, 3, path=tmp_path / "a.json")
    with runs.load_agent(complete) as agent:
        expected = agent.evaluate(3)
    assert result["returns"] == expected.returns.tolist()
    assert result["lengths"] == expected.lengths.tolist()
    written = json.loads((tmp_path / "a.json").read_text())
    assert written.pop("versions") and written == result
    assert written["std"] == pytest.approx(np.std(expected.returns, ddof=1))
    assert runs.evaluate_run(complete, 1, path=tmp_path / "b.json")["std"] is None


def test_complete_run_stays(copied):
    """A complete run is neither overwritten nor trained further."""
    before = contents(copied)
    with pytest.raises(FileExistsError, match=r"contains a run already .*--resume"):
        runs.create_run(copied, "CartPole-v1", **FEW)
    assert runs.resume_run(copied)
    with pytest.raises(ValueError, match="has had 500 steps already"):
        runs.resume_run(copied, 499)
    assert contents(copied) == before


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_more_steps_continue(env, tmp_path):
    """A complete run that is extended equals a run that had all steps from the
    start."""
    make(tmp_path / "long", env, n_steps=500)
    make(tmp_path / "short", env, n_steps=250)
    record = json.loads((tmp_path / "short" / runs.RECORD).read_text())
    (tmp_path / "short" / runs.RECORD).write_text(
        json.dumps({**record, "note": "mine"})
    )
    assert runs.resume_run(tmp_path / "short", 500)
    assert_equal(tmp_path / "short", tmp_path / "long")
    assert runs.read_run(tmp_path / "short")["note"] == "mine"


# interruptions


@pytest.mark.parametrize("neurons", ["rate", "lif"])
def test_ctrl_c(neurons, whole, tmp_path):
    """Ctrl-C saves the learned arrays; the resumed run equals an uninterrupted one."""
    steps = 900
    if neurons == "lif":
        steps = 120
        whole = make(tmp_path / "whole", n_steps=steps, neurons=neurons)
    folder = make(tmp_path / "a", n_steps=steps, neurons=neurons, trained=False)

    def interrupt(agent):
        if len(agent.episodes) % 5 == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        runs.resume_run(folder, callback=interrupt)
    run = runs.read_run(folder)
    assert len(run["episodes"]) == 3 and not run["is_complete"]
    assert run["trained_steps"] == run["episodes"][-1].environment_steps
    assert runs.resume_run(folder)
    assert_equal(folder, whole)


KILLED = """
import os, random, signal, sys, threading, time
from nengo_epes import files
from nengo_epes.rl import runs

runs.EVERY, how = 100, sys.argv[2]
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
if how == "write":  # inside the third write of a checkpoint
    replace, names = os.replace, []
    def killing(source, target):
        names.append(os.path.basename(target))
        if names.count("checkpoint.npz") == 3:
            kill()
        replace(source, target)
    os.replace = killing
else:
    learn = runs.Agent.learn
    def learning(*arguments):
        threading.Timer(float(how), kill).start()
        return learn(*arguments)
    runs.Agent.learn = learning
runs.resume_run(sys.argv[1])
os._exit(0)
"""


def kill(folder, how):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(folder), str(how)],
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def test_killed_in_a_write(whole, tmp_path):
    """A run that is killed while it writes a checkpoint resumes from the previous one
    and leaves no temporary files."""
    folder = make(tmp_path / "a", n_steps=900, trained=False)
    assert kill(folder, "write")
    assert (folder / run_files.OWNER).exists()  # the killed process could not remove it
    assert not runs.read_run(folder)["is_complete"]
    assert runs.resume_run(folder)
    assert_equal(folder, whole)
    assert set(contents(folder)) == set(contents(whole))


@pytest.mark.slow
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_killed_at_random_moments(env, tmp_path):
    """30 kills at random times do not change the result."""
    rng, n_killed, k = random.Random(0), 0, 0
    make(tmp_path / "whole", env, n_steps=8000)
    while n_killed < 30:
        folder = tmp_path / f"run{k}"
        if not folder.exists():
            make(folder, env, n_steps=8000, trained=False)
        if kill(folder, rng.uniform(0.0, 0.5)):
            n_killed += 1
        else:  # it was complete before the kill
            assert_equal(folder, tmp_path / "whole")
            k += 1
    assert runs.resume_run(folder)
    assert_equal(folder, tmp_path / "whole")


def test_missing_checkpoint(copied, tmp_path):
    """A run without a checkpoint starts again only if it has no episode."""
    started = make(tmp_path / "started", trained=False)
    (started / runs.RETURNS).write_text(
        "episode,environment_steps,return,length,seconds\n"
    )
    assert runs.resume_run(started)
    assert_equal(started, copied)

    (copied / runs.CHECKPOINT).unlink()
    assert runs.resume_run(copied)  # complete: nothing remains to be done
    before = contents(copied)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint.npz, but \d+ episodes"):
        runs.resume_run(copied, 600)
    assert contents(copied) == before
    (copied / runs.AGENT).unlink()
    with pytest.raises(FileNotFoundError, match=r"no checkpoint.npz, but \d+ episodes"):
        runs.resume_run(copied)
    command = re.escape(f"nengo-epes train CartPole-v1 --resume --output {copied}")
    with pytest.raises(FileNotFoundError, match=f"has not ended; resume .*{command}"):
        runs.load_agent(copied)
    assert contents(copied)["returns.csv"] == before["returns.csv"]


# one owner


def test_second_process_is_refused(copied):
    """A second process is refused; the message names the process and the machine of the
    first."""
    with (
        run_files.own(copied),
        pytest.raises(BlockingIOError, match=f"process {os.getpid()} on ") as error,
    ):
        runs.resume_run(copied, 600)
    assert os.uname().nodename in str(error.value)
    assert runs.resume_run(copied, 600)


@pytest.mark.slow
def test_two_processes_on_one_folder(tmp_path):
    """Of two commands started at the same time, exactly one trains."""
    for k in range(20):
        folder = tmp_path / f"run{k}"
        command = ["-m", "nengo_epes", "train", "CartPole-v1", "--steps=1000"]
        command += ["--set=n_neurons=40", f"--output={folder}"]
        started = [
            subprocess.Popen(
                [sys.executable, "-W", "ignore", *command],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        errors = [process.communicate()[1] for process in started]
        assert sorted(process.returncode for process in started) == [0, 1], errors
        refused = errors[[process.returncode for process in started].index(1)]
        assert "owned by process" in refused or "contains a run already" in refused
        assert runs.read_run(folder)["is_complete"]


# files of other runs, and damaged files


def run_all(folder):
    """Use every file of a run."""
    runs.read_run(folder)
    runs.load_agent(folder).close()
    runs.resume_run(folder, 10_000, callback=lambda agent: False)


@pytest.mark.parametrize("other", [{"seed": 1}, {"env": "Acrobot-v1"}, {}], ids=str)
def test_files_of_another_run(other, complete, tmp_path):
    """A file of another seed, task or run is refused by name."""
    make(tmp_path / "other", **{"n_steps": 600, **other})
    names = [runs.AGENT, runs.CHECKPOINT]
    if other:  # equal settings give equal returns
        names.append(runs.RETURNS)
    for name in names:
        copied = tmp_path / name
        shutil.copytree(complete, copied)
        shutil.copy(tmp_path / "other" / name, copied / name)
        before = contents(copied)
        with pytest.raises(ValueError, match=rf"{name}\b"):
            run_all(copied)
        assert contents(copied) == before


@pytest.mark.parametrize("n", [15, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [runs.AGENT, runs.CHECKPOINT])
def test_flipped_bits_and_cuts(name, n, copied):
    """A file with a flipped bit, or a truncated file, is refused by name or has equal
    content; nothing is written."""
    rng, whole = random.Random(1), (copied / name).read_bytes()
    arrays, rows = learned(copied)
    record = (copied / runs.RECORD).read_bytes()
    n_refused = 0
    for k in range(n):
        damaged = bytearray(whole)
        if k % 5 == 0:
            del damaged[rng.randrange(len(damaged)) :]
        else:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        (copied / name).write_bytes(damaged)
        (copied / runs.RECORD).write_bytes(record)
        before = contents(copied)
        try:
            if name == runs.AGENT:
                found, found_rows = learned(copied)
                assert found_rows == rows
                for key, array in arrays.items():
                    np.testing.assert_array_equal(found[key], array)
            else:
                with runs.load_agent(copied) as agent:
                    runs._restore(agent, copied, json.loads(record))
        except (ValueError, OSError) as error:
            assert name in str(error)
            n_refused += 1
            assert contents(copied) == before
    assert n_refused > n / 2


class Evil:
    def __reduce__(self):
        return os.mkdir, (os.environ["EVIL"],)


def test_no_code_runs(copied, tmp_path, monkeypatch):
    """A pickle in a file and a module named in run.json are not executed."""
    monkeypatch.setenv("EVIL", str(tmp_path / "evil"))
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Evil()))  # it would
    (tmp_path / "evil").rmdir()
    for name in (runs.AGENT, runs.CHECKPOINT):
        kept = (copied / name).read_bytes()
        objects = {"header": np.array([Evil()], object), "array0": np.array([Evil()])}
        with (copied / name).open("wb") as file:
            np.savez(file, **objects)
        with pytest.raises(ValueError, match=name):
            run_all(copied)
        (copied / name).write_bytes(pickle.dumps(Evil()))
        with pytest.raises(ValueError, match=name):
            run_all(copied)
        (copied / name).write_bytes(kept)
    (tmp_path / "evil_module.py").write_text("import os; os.mkdir('evil')")
    monkeypatch.syspath_prepend(tmp_path)
    record = json.loads((copied / runs.RECORD).read_text())
    record["environment"] = "evil_module:CartPole-v1"
    (copied / runs.RECORD).write_text(json.dumps(record))
    for use in (runs.resume_run, runs.load_agent, runs.evaluate_run):
        with pytest.raises(ValueError, match=r"env='evil_module:CartPole-v1'"):
            use(copied)
    assert not (tmp_path / "evil").exists()


def change(**changes):
    """Return a function that changes one key of a record; None deletes the key."""

    def apply(record):
        for name, value in changes.items():
            owner = record["settings"] if name in record["settings"] else record
            if value is None:
                del owner[name]
            else:
                owner[name] = value

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change(seed=None), "'seed' is missing"),
        (change(steps=None, n_steps=500), "'steps' is missing"),
        (change(eta_actor=None), "the settings lack eta_actor"),
        (change(seed=-1), "'seed' must be an int from 0"),
        (change(seed=True), "'seed' must be an int"),
        (change(seed=2**31), "'seed' must be an int from 0"),
        (change(steps=0), "'steps' must be an int of at least 1"),
        (change(steps="500"), "'steps' must be an int"),
        (change(neurons="wet"), "'neurons' must be rate or lif"),
        (change(neurons=[]), "'neurons' must be rate or lif"),
        (change(env_kwargs=[]), "'env_kwargs' must be a dictionary"),
        (change(environment=""), "'environment' must be an id"),
        (change(run=1), "'run' must be a string"),
        (change(settings=7), "'settings' must be a dictionary"),
        (change(eta_actor="0.04"), "eta_actor"),
        (change(scale_rewards=1), "scale_rewards"),
        # valid values that differ from the settings of the files
        (change(seed=1), "agent.npz: belongs to another run, because its seed"),
        (change(eta_actor=0.05), "agent.npz: belongs to another run"),
        (change(run="abc"), "agent.npz: belongs to another run, because its run"),
    ],
)
def test_changed_record(damage, message, copied):
    """Renamed, missing and changed keys are refused by name."""
    record = json.loads((copied / runs.RECORD).read_text())
    damage(record)
    (copied / runs.RECORD).write_text(json.dumps(record))
    for use in (runs.read_run, runs.load_agent, runs.resume_run, runs.evaluate_run):
        with pytest.raises(ValueError, match=message):
            use(copied)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000, b"PK\x03\x04 half"]
)
def test_damaged_json(text, copied):
    """A record that is not a JSON object is refused by name."""
    (copied / runs.RECORD).write_bytes(text)
    with pytest.raises(ValueError, match=r"run\.json: not a JSON object"):
        runs.read_run(copied)


def test_notes_of_people(copied):
    """Notes in the files are allowed and remain."""
    data = json.loads((copied / runs.RECORD).read_text())
    (copied / runs.RECORD).write_text(json.dumps({"note": "the best one", **data}))
    returns = (copied / runs.RETURNS).read_text()
    (copied / runs.RETURNS).write_text(f"# the best one\n{returns}\n# yes\n")
    assert runs.read_run(copied)["note"] == "the best one"
    assert runs.resume_run(copied, 600)
    assert (copied / runs.RETURNS).read_text().count("#") == 2
    assert runs.read_run(copied)["is_complete"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("length", "size"),
        lambda text: text.replace("\n1,", "\n2,"),
        lambda text: text.replace(".0,", ".5,", 1),  # a return
        lambda text: text.replace(".0,", ".O,", 1),
        lambda text: text.replace(".0,", ".0,,", 1),
        lambda text: text.replace("\n1,", "\n1,-", 1),
        lambda text: text.replace("\n1,", "\n1,nan", 1),
        lambda text: "\n".join(text.split("\n")[1:]),
        lambda text: "\n".join(text.split("\n")[:2] + text.split("\n")[3:]),
        lambda text: text[:60] + "\x00" + text[61:],
    ],
)
def test_damaged_returns(damage, copied):
    """Damaged returns are refused with the name of the file."""
    path = copied / runs.RETURNS
    text = path.read_text()
    path.write_text(damage(text))
    assert path.read_text() != text
    with pytest.raises(ValueError, match=r"returns\.csv"):
        runs.read_run(copied)
    with pytest.raises(ValueError, match=r"returns\.csv"):
        runs.resume_run(copied, 600)


def test_missing_returns(copied):
    """Missing returns are restored from the agent or the checkpoint."""
    expected = runs.read_run(copied)["episodes"]
    (copied / runs.RETURNS).unlink()
    assert runs.read_run(copied)["episodes"] == expected
    assert runs.resume_run(copied, 600)
    found = runs.read_run(copied)["episodes"]
    assert [e.length for e in found[: len(expected)]] == [e.length for e in expected]


def test_line_that_was_cut_off(copied):
    """An incomplete last line, left by a killed process, is not an episode."""
    (copied / runs.AGENT).unlink()
    path = copied / runs.RETURNS
    n_episodes = len(path.read_text().splitlines()) - 1
    path.write_text(path.read_text()[:-4])
    assert len(runs.read_run(copied)["episodes"]) == n_episodes - 1
    assert runs.resume_run(copied)
    assert len(runs.read_run(copied)["episodes"]) == n_episodes


# disks


@pytest.mark.parametrize("name", [runs.CHECKPOINT, runs.AGENT, runs.CURVE])
def test_full_disk_in_a_write(name, copied, whole, monkeypatch):
    """A full disk is reported with the name of the file, whose previous state remains;
    the run resumes when there is space."""
    before, replace = contents(copied), os.replace

    def full(source, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(OSError, match=rf"No space left.*{name}"):
            runs.resume_run(copied, 900)
    assert contents(copied)[name] == before[name]
    assert runs.resume_run(copied)
    assert_equal(copied, whole)


def test_full_disk_for_returns(copied, whole, monkeypatch):
    """A run with an incomplete line of returns can be resumed."""
    open_path = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, text):
            self.file.write(text[:3])

        def flush(self):
            self.file.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(
            Path,
            "open",
            lambda self, mode="r", *a, **k: (
                Full(open_path(self, mode, *a, **k))
                if mode == "a"
                else open_path(self, mode, *a, **k)
            ),
        )
        with pytest.raises(OSError, match=r"No space left.*returns\.csv"):
            runs.resume_run(copied, 900)
    assert runs.resume_run(copied)
    assert_equal(copied, whole)


def test_read_only_folder(copied, monkeypatch):
    """A read-only folder is refused by name, and nothing changes."""
    before = contents(copied)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    for use in (lambda folder: runs.resume_run(folder, 900), runs.evaluate_run):
        with pytest.raises(PermissionError, match="copied"):
            use(copied)
    assert contents(copied) == before


def test_refused_before_anything_is_written(tmp_path):
    """Invalid arguments are refused before a folder is made."""
    for wrong in (
        {"env": "CartPole-v1", "n_steps": 0},
        {"env": "CartPole-v1", "n_steps": 1.5},
        {"env": "CartPole-v1", "seed": -1},
        {"env": "CartPole-v1", "neurons": "wet"},
        {"env": "CartPole-v1", "eta": 1.0},
        {"env": lambda: None},
    ):
        with contextlib.suppress(TypeError), pytest.raises(ValueError):
            runs.create_run(tmp_path / "a", **wrong)
    assert not (tmp_path / "a").exists()
    with pytest.raises(FileNotFoundError, match="contains no run"):
        runs.resume_run(tmp_path)
    assert not list(tmp_path.iterdir())
