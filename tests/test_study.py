"""Studies: a run folder for each seed, and one table of them."""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gymnasium
import many
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from toy_environments import Counter

from nengo_epes.__main__ import main
from nengo_epes.rl import Agent, run_files, runs
from nengo_epes.rl.study import read_table, study

TASK = "CartPole-v1"
FEW = {"n_neurons": 40}


@pytest.fixture(scope="module")
def address():
    """A scheduler with two workers, which are threads of this process."""
    options = {"processes": False, "protocol": "tcp://", "threads_per_worker": 1}
    with LocalCluster(2, dashboard_address="127.0.0.1:0", **options) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def two_greedy(monkeypatch):
    """Evaluations of two episodes, which are as good as 100 here."""
    short = functools.partial(runs.evaluate_run, n_episodes=2)
    monkeypatch.setattr(runs, "evaluate_run", short)


def expected_row(seed):
    """Return the numbers of an agent without any folder."""
    with Agent(TASK, seed, **FEW) as agent:
        agent.learn(200, progress_bar=False)
        returns, greedy = agent.returns, agent.evaluate(2)
    return [TASK, seed, "rate", len(returns), 200, returns.mean(), greedy.mean]


def test_two_seeds(address, two_greedy, tmp_path):
    """The rows have the numbers of agents that are trained without a study, the file is
    the same table, and a second call needs no scheduler."""
    table = study(TASK, [5, 3], tmp_path, address, n_steps=200, **FEW)
    names = "environment seed neurons episodes steps mean_return greedy_mean"
    assert list(table) == [*names.split(), "error", "folder"]
    assert table[names.split()].values.tolist() == [expected_row(3), expected_row(5)]
    assert table["error"].isna().all()
    folders = [str(tmp_path / "seed-3"), str(tmp_path / "seed-5")]
    assert table["folder"].tolist() == folders
    pd.testing.assert_frame_equal(read_table(tmp_path), table)
    written = pd.read_csv(tmp_path / "table.csv").drop(columns="error")
    pd.testing.assert_frame_equal(written, table.drop(columns="error"))

    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    nobody = "tcp://127.0.0.1:1"
    again = study(TASK, [3, 5], tmp_path, nobody, n_steps=200, **FEW)
    pd.testing.assert_frame_equal(again, table)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}

    # the evaluation of another run is not that of this one
    shutil.copy(tmp_path / "seed-3/evaluation.json", tmp_path / "seed-5")
    assert pd.isna(read_table(tmp_path)["greedy_mean"][1])
    again = study(TASK, [3, 5], tmp_path, address, n_steps=200, **FEW)
    pd.testing.assert_frame_equal(again, table)


def test_interrupted_run_and_more_steps(address, two_greedy, tmp_path):
    """A run that was interrupted, and then has more steps, has the weights of an
    uninterrupted one."""
    for name in ("study/seed-0", "whole"):
        runs.create_run(tmp_path / name, TASK, n_steps=300, **FEW)
    assert not runs.resume_run(tmp_path / "study/seed-0", callback=lambda agent: False)
    assert runs.resume_run(tmp_path / "whole", 400)
    assert read_table(tmp_path / "study")["episodes"].tolist() == [1]
    table = study(TASK, [0], tmp_path / "study", address, n_steps=400, **FEW)
    assert table["steps"].tolist() == [400]
    with (
        runs.load_agent(tmp_path / "study/seed-0") as found,
        runs.load_agent(tmp_path / "whole") as expected,
    ):
        for name, signal_ in expected._signals().items():
            np.testing.assert_array_equal(
                found.simulator.signals[found._signals()[name]],
                expected.simulator.signals[signal_],
            )


class Exits(Counter):
    """Ends Python, or pretends that somebody has pressed Ctrl-C."""

    def __init__(self, error):
        super().__init__()
        self.error = {"exit": SystemExit(3), "ctrl-c": KeyboardInterrupt()}[error]

    def step(self, action):
        raise self.error


@pytest.mark.parametrize(
    ("error", "message"), [("exit", "SystemExit: 3"), ("ctrl-c", "KeyboardInterrupt")]
)
def test_environment_that_ends_python(error, message, address, tmp_path):
    """`sys.exit` and Ctrl-C inside an environment are failures of that run."""
    gymnasium.register("Exits-v0", entry_point=Exits)
    try:
        kwargs = {"error": error}
        with np.errstate(all="ignore"):
            table = study(
                "Exits-v0",
                [0, 1],
                tmp_path,
                address,
                env_kwargs=kwargs,
                n_steps=20,
                **FEW,
            )
    finally:
        del gymnasium.registry["Exits-v0"]
    assert table["error"].str.startswith(message).all() and len(table) == 2


def test_run_of_another_process(address, tmp_path, monkeypatch):
    """A study in the folder of another study reports its owner, and disturbs
    nothing."""
    monkeypatch.setattr(run_files, "PATIENCE", 0.1)
    runs.create_run(tmp_path / "seed-0", TASK, n_steps=100, **FEW)
    with run_files.own(tmp_path / "seed-0"):
        with pytest.raises(
            BlockingIOError, match=f"seed-0: owned by process {os.getpid()}"
        ):
            study(TASK, [0], tmp_path, address, n_steps=100, **FEW)
    assert not (tmp_path / "seed-0/error.json").exists()


def test_failing_runs(address, two_greedy, tmp_path, monkeypatch, capsys):
    """Whatever a run raises is its error, the others are completed, and the command has
    status 1; the same command runs those that failed again."""
    errors = [ArithmeticError("too much"), SystemExit(3), KeyboardInterrupt()]
    resume_run = runs.resume_run

    def fail(folder, *arguments, **options):
        seed = runs.read_run(folder)["seed"]
        if seed < 3:
            raise errors[seed]
        return resume_run(folder, *arguments, **options)

    arguments = ["study", TASK, "--seeds", "4", "--steps", "100", "--set=n_neurons=40"]
    arguments += ["--scheduler", address, "--output", str(tmp_path)]
    with monkeypatch.context() as patched, pytest.raises(SystemExit, match=r"^1$"):
        patched.setattr(runs, "resume_run", fail)
        main(arguments)
    table = read_table(tmp_path)
    told = ["ArithmeticError: too much", "SystemExit: 3", "KeyboardInterrupt: "]
    assert table["error"].tolist()[:3] == told and pd.isna(table["error"][3])
    assert table["greedy_mean"].isna().tolist() == [True, True, True, False]
    error = json.loads((tmp_path / "seed-0/error.json").read_text())
    assert "too much" in error["traceback"]
    out, err = capsys.readouterr()
    assert f"4 runs of {TASK}, 3 failed" in out and told[0] in out
    assert "4 of 4 runs" in err.splitlines()[-1]

    assert main(arguments) == 0
    table = read_table(tmp_path)
    assert table["error"].isna().all()
    out, err = capsys.readouterr()
    quartiles = np.percentile(table["greedy_mean"], [25, 50, 75])
    line = next(x for x in out.splitlines() if x.startswith("greedy_mean"))
    assert line.split()[1:] == [f"{x:.1f}" for x in quartiles]
    assert "3 of 3 runs" in err.splitlines()[-1]
    figure = tmp_path / "learning-curves.png"
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_refused(tmp_path, capsys):
    """Other settings than those of the folder, unknown environments, seeds that are not
    whole numbers, and invalid addresses are refused."""
    runs.create_run(tmp_path / "seed-1", TASK, 1, "lif", 100, **FEW)
    same = {"env": TASK, "seeds": [1], "folder": tmp_path, "neurons": "lif", **FEW}
    same["n_steps"] = 100
    for changed, message in (
        ({"n_steps": 50}, r"seed-1: contains a run with steps 100 \(got 50\)"),
        ({"neurons": "rate"}, "neurons lif"),
        ({"env": "Acrobot-v1"}, TASK),
        ({"n_neurons": 50}, r"n_neurons 40 \(got 50\)"),
        ({"env_kwargs": {"a": 1}}, "env_kwargs"),
    ):
        with pytest.raises(ValueError, match=message):
            study(**{**same, **changed})
    for wrong in ("nonsense", "tcp://host", "smoke://host:1"):
        with pytest.raises(ValueError, match="address"):
            study(**same, scheduler=wrong)
    with pytest.raises(TypeError):
        study(**{**same, "seeds": [0.5]})
    assert main(["study", "Chess-v77", f"--output={tmp_path / 'a'}"]) == 1
    assert "Chess" in capsys.readouterr().err
    assert not list((tmp_path / "a").iterdir())


@pytest.mark.slow
def test_many(tmp_path):
    """The benchmarks' helper returns the results by case and seed, and reads those that
    have a file."""
    cases = {"a": {}, "b": {"indent": 1}}
    call = functools.partial(many.run_many, json.dumps, cases, [7, 8], tmp_path)
    assert call() == {"a": ["7", "8"], "b": ["7", "8"]}
    (tmp_path / "a, seed 8.json").write_text("80")
    (tmp_path / "b, seed 7.json").unlink()
    assert call() == {"a": ["7", 80], "b": ["7", "8"]}


@contextlib.contextmanager
def python(*arguments):
    """Start another Python; kill it and its children in the end."""
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(condition):
    """Wait until a condition is true, for five minutes at most."""
    end = time.monotonic() + 300
    while not (found := condition()):
        assert time.monotonic() < end, "nothing happened for five minutes"
        time.sleep(0.05)
    return found


def checkpoints(folder):
    """Return the checkpoints of all runs of a study."""
    return sorted(folder.glob(f"*/{runs.CHECKPOINT}"))


@pytest.mark.slow
def test_ctrl_c(tmp_path):
    """Ctrl-C in a terminal, which reaches all processes, ends the command with status
    130 and one line."""
    arguments = ["study", TASK, "--seeds", "2", "--set=n_neurons=40"]
    with python(
        "-W", "ignore", "-m", "nengo_epes", *arguments, "--output", tmp_path
    ) as process:
        wait_for(lambda: len(checkpoints(tmp_path)) == 2)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert err == "\ninterrupted; run the same command again to resume\n"
    assert read_table(tmp_path)["error"].isna().all()


# many checkpoints and short evaluations, in the processes of workers
PRELOAD = """
import functools
from nengo_epes.rl import runs

runs.EVERY = 100
runs.evaluate_run = functools.partial(runs.evaluate_run, n_episodes=2)
"""


def _study(seeds, folder, address):
    return study(TASK, seeds, folder, address, n_steps=3000, **FEW)


@contextlib.contextmanager
def servers(folder, n_workers):
    """Start a scheduler and workers as a user would, on this machine; yield the address
    and the processes, the scheduler first."""
    file = folder / "scheduler.json"
    server = ("--dashboard-address", "127.0.0.1:0", "--scheduler-file", file)
    host = ("--host", "127.0.0.1", "--port", 0)
    worker = ("-m", "distributed.cli.dask_worker", "--nthreads", 1, "--no-nanny")
    worker += ("--preload", PRELOAD)
    with contextlib.ExitStack() as stack:
        scheduler = python("-m", "distributed.cli.dask_scheduler", *host, *server)
        started = [stack.enter_context(scheduler)]
        wait_for(file.exists)
        started += [
            stack.enter_context(python(*worker, *server)) for _ in range(n_workers)
        ]
        address = json.loads(file.read_text())["address"]
        with Client(address, set_as_default=False) as client:
            wait_for(lambda: len(client.nthreads()) == n_workers)
        yield address, started


@pytest.mark.slow
def test_killed_worker(tmp_path):
    """When one of two workers is killed, the other one completes its run, too."""
    folder = tmp_path / "study"
    with servers(tmp_path, n_workers=2) as (address, processes):
        with ThreadPoolExecutor() as pool:
            running = pool.submit(_study, range(3), folder, address)
            wait_for(lambda: len(checkpoints(folder)) == 2)
            processes[1].kill()
            table = running.result(timeout=300)
    assert table["seed"].tolist() == [0, 1, 2] and table["error"].isna().all()
    assert (table["steps"] >= 3000).all() and table["greedy_mean"].notna().all()


@pytest.mark.slow
def test_run_whose_processes_die(tmp_path, monkeypatch):
    """A run whose process died more often than the scheduler allows has an error."""
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    folder = tmp_path / "study"
    with servers(tmp_path, n_workers=1) as (address, processes):
        with ThreadPoolExecutor() as pool:
            running = pool.submit(_study, [0], folder, address)
            wait_for(lambda: checkpoints(folder))
            processes[1].kill()
            table = running.result(timeout=300)
    assert table["error"][0].startswith("KilledWorker: ")


@pytest.mark.slow
def test_cancelled_study(tmp_path):
    """When a study is interrupted, its run on another worker ends with the episode."""
    arguments = ["study", TASK, "--seeds=1", "--steps=9000000", "--set=n_neurons=40"]
    arguments += ["--output", tmp_path / "study"]
    with servers(tmp_path, n_workers=1) as (address, _):
        command = ("-m", "nengo_epes", *arguments, "--scheduler", address)
        with python(*command) as process:
            wait_for(lambda: checkpoints(tmp_path / "study"))
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=300)
        assert process.returncode == 130
        # written when training ends
        agent = tmp_path / "study/seed-0" / runs.AGENT
        wait_for(agent.exists)
        assert not runs.read_run(agent.parent)["is_complete"]


@pytest.mark.slow
def test_lost_scheduler(tmp_path, capsys):
    """Without workers a study says that it waits; when the scheduler is lost, it ends
    with an error that says how to resume."""
    with servers(tmp_path, n_workers=0) as (address, processes):
        with ThreadPoolExecutor() as pool:
            running = pool.submit(_study, [0], tmp_path / "study", address)
            wait_for(lambda: "waiting for a worker" in capsys.readouterr().err)
            processes[0].kill()
            with pytest.raises(ConnectionError, match="again to resume"):
                running.result(timeout=300)
    assert Path(tmp_path / "study/seed-0" / runs.RECORD).exists()
