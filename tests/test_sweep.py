"""A sweep: every trial once, whatever happens to processes."""

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import nengo
import numpy as np
import pandas as pd
import pytest
import sweep_trials
from distributed import Client, LocalCluster
from nengo.exceptions import ValidationError

from nengo_epes import demos as delayed_error
from nengo_epes.__main__ import main
from nengo_epes.rl import cartpole
from nengo_epes.sweep import grid, read, sweep


@pytest.fixture(scope="module")
def client():
    """Two processes, for all tests that do not harm them."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as two,
        Client(two, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def places(tmp_path):
    """A folder for trials, and a file in which they tell that they ran."""
    return tmp_path / "trials", tmp_path / "log"


def test_every_combination_once(client, places, tmp_path):
    """Each case and seed is run once and has one row, in order, with its parameters and
    numbers; the lists are in the files; CSV and Parquet hold the same table."""
    folder, log = places
    cases = grid(factor=[10, 100], log=[str(log)])
    path = tmp_path / "table.parquet"
    table = sweep(sweep_trials.counted, cases, range(3), folder, path, client)
    expected = [(factor, seed) for factor in (10, 100) for seed in range(3)]
    assert sweep_trials.runs(log) == dict.fromkeys(expected, 1)
    columns = ["case", "seed", "factor", "log", "product", "odd"]
    assert list(table) == [*columns, "error", "wall seconds"]
    assert list(zip(table["factor"], table["seed"], strict=True)) == expected
    assert list(table["product"]) == [f * s for f, s in expected]
    assert list(table["case"]) == [c for c in cases for _ in range(3)]
    assert table["odd"].isna().sum() == 4 and table["error"].isna().all()
    assert (table["wall seconds"] >= 0).all()

    records = read(folder)
    assert {
        (r["parameters"]["factor"], r["seed"]): r["result"]["returns"] for r in records
    } == {(f, s): list(range(s)) for f, s in expected}

    pd.testing.assert_frame_equal(pd.read_parquet(path), table)
    csv = tmp_path / "table.csv"
    sweep(sweep_trials.counted, cases, range(3), folder, csv, client)
    pd.testing.assert_frame_equal(
        pd.read_csv(csv).drop(columns="error"), table.drop(columns="error")
    )


def test_goes_on(client, places):
    """A second call runs only what is not there, and what failed; the first failure is
    a row with its error, and stops nothing."""
    folder, log = places
    cases = {"a": {"log": str(log), "fails": [1]}}
    first = sweep(sweep_trials.counted, cases, range(3), folder, client=client)
    assert list(first["error"].fillna("")) == [
        "",
        "ArithmeticError: seed 1 is not to be",
        "",
    ]
    assert first["product"].isna().tolist() == [False, True, False]
    (failed,) = [r for r in read(folder) if r["error"]]
    assert failed["seed"] == 1 and "Traceback" in failed["error"]["traceback"]

    sweep(sweep_trials.counted, cases, range(4), folder, client=client)
    assert sweep_trials.runs(log) == {(1, 0): 1, (1, 1): 2, (1, 2): 1, (1, 3): 1}


def test_another_name_of_a_case(places, client):
    """A case that is called something else is the same trial, under the new name."""
    folder, log = places
    for name in ("old", "new"):
        cases = {name: {"log": str(log)}}
        table = sweep(sweep_trials.counted, cases, [5], folder, client=client)
    assert sweep_trials.runs(log) == {(1, 5): 1}
    assert list(table["case"]) == [r["case"] for r in read(folder)] == ["new"]


def test_nothing_to_do_needs_no_processes(client, places):
    """Where all is done, nobody is connected to."""
    folder, log = places
    cases = {"a": {"log": str(log)}}
    first = sweep(sweep_trials.counted, cases, [1], folder, client=client)
    nobody = "tcp://127.0.0.1:1"
    again = sweep(sweep_trials.counted, cases, [1], folder, client=nobody)
    pd.testing.assert_frame_equal(first, again)


def test_one_thread_each(tmp_path, monkeypatch):
    """In the local processes linear algebra has one thread, whatever it has here; and
    the environment here stays as it is."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    before = dict(os.environ)
    table = sweep(sweep_trials.threads, {"a": {}}, [0], tmp_path)
    assert list(table["error"].fillna("")) == [""]
    assert table["OMP_NUM_THREADS"].tolist() == ["1"] and table["BLAS"].tolist() == [1]
    assert dict(os.environ) == before


def test_what_json_cannot_hold(client, tmp_path):
    """Objects and arrays arrive as they are; each has a file of its own, also
    where they differ in the last digit only."""
    tiny = np.nextafter(1.0, 2.0)
    cases = {
        name: {"neuron_type": nengo.LIF(tau_rc=tau), "array": np.array([0.0, last])}
        for name, tau, last in (("a", 0.02, 1.0), ("b", 0.03, 1.0), ("c", 0.02, tiny))
    }
    table = sweep(sweep_trials.described, cases, [0], tmp_path, client=client)
    assert table["tau"].tolist() == [0.02, 0.03, 0.02]
    assert table["sum"].tolist() == [1.0, 1.0, tiny]
    assert table["neuron_type"].tolist()[1] == "LIF(tau_rc=0.03)"


def test_parameters_of_several_kinds(client, tmp_path):
    """A parameter may be a number here, a text or a list there, and missing elsewhere;
    Parquet holds it, too."""
    cases = {"a": {"x": 0.5}, "b": {"x": "auto"}, "c": {"x": [1, 2]}, "d": {}}
    path = tmp_path / "table.parquet"
    table = sweep(sweep_trials.kind, cases, [0], tmp_path / "t", path, client)
    assert table["kind"].tolist() == ["float", "str", "list", "NoneType"]
    assert table["x"].fillna("").tolist() == ["0.5", "auto", "[1, 2]", ""]
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)


def test_progress(places, client, monkeypatch, capsys):
    """A terminal gets a bar in one line, anything else a line for each tenth that is
    done, and who wants neither gets nothing."""
    folder, log = places
    cases = {"a": {"log": str(log), "fails": [0]}}
    options = {"cases": cases, "seeds": range(20), "client": client}
    sweep(sweep_trials.counted, folder=folder / "lines", **options)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10 and lines[-1] == "20 of 20 trials, 1 failed"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    sweep(sweep_trials.counted, folder=folder / "bar", **options)
    text = capsys.readouterr().err
    assert text.count("\r") == 20 and text.count("\n") == 1
    assert text.endswith(f"\r[{30 * '#'}] 20 of 20 trials, 1 failed\n")
    sweep(sweep_trials.counted, folder=folder / "none", progress_bar=False, **options)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("trial", ["returns_seed", "returns_number"])
def test_results_that_fit_no_table(client, tmp_path, trial):
    """A result with the name of a column, or that is no dict, is an error of its
    trial."""
    table = sweep(getattr(sweep_trials, trial), {"a": {}}, [0], tmp_path, client=client)
    assert table["error"][0].startswith(("ValueError: a result", "TypeError: a trial"))


def test_trials_that_nobody_else_can_import(tmp_path, monkeypatch):
    """What other processes could not import is refused: a lambda, a function within a
    function, part of one, and one of a script or notebook."""

    def inner(seed):
        return {}

    partial = functools.partial(sweep_trials.counted, log="x")
    monkeypatch.setattr(sweep_trials.threads, "__module__", "__main__")
    for trial in (lambda seed: {}, inner, partial, sweep_trials.threads):
        with pytest.raises(ValidationError, match=r"trial: .* can be imported"):
            sweep(trial, {"a": {}}, [0], tmp_path)


@pytest.mark.parametrize(
    "cases, seeds, message",
    [
        ({"a": {"log": "x", "depth": 3}}, [0], "'a': .*unexpected.*'depth'"),
        ({"a": {}}, [0], "'a': missing.*'log'"),
        ({"a": {"log": "x", "error": 1}}, [0], "'a': no parameter can be called"),
        ({"a": {"log": "x"}, "b": {"log": "x"}}, [7], "seed 7 is there twice"),
        ({"a": {"log": "x"}}, [7, 7], "seed 7 is there twice"),
        ({"log": ["x", "y"]}, [0], "must be a dict.*see grid"),
        ({"a": {"log": "x"}}, 3, r"seeds: .*got 3.*range\(3\)"),
        ({"a": {"log": "x"}}, [0.5], r"seeds: .*whole numbers.*got \[0.5\]"),
        ({"a": {"log": "x"}}, [], "seeds: there are none"),
        ([{"log": "x"}], [0], r"cases: .*by its name.*got \[.*grid"),
        ({}, [0], r"cases: .*got \{\}"),
        ({"a": {"log": object()}}, [0], "cannot be told in a file"),
        ({"a": {"log": len}}, [0], "cannot be told in a file"),
    ],
)
def test_cases_that_cannot_be(tmp_path, cases, seeds, message):
    """What cannot be run or told in a file is refused before anything is run."""
    folder = tmp_path / "trials"
    with pytest.raises(ValidationError, match=message):
        sweep(sweep_trials.counted, cases, seeds, folder)
    assert not folder.exists()


def test_other_files(places, client, tmp_path):
    """A table of another suffix, and a file that is no trial's, are refused by name."""
    folder, log = places
    cases = {"a": {"log": str(log)}}
    with pytest.raises(ValidationError, match=r"\.csv or \.parquet \(got t\.xls\)"):
        sweep(sweep_trials.counted, cases, [0], folder, tmp_path / "t.xls")
    sweep(sweep_trials.counted, cases, [0], folder, client=client)
    (path,) = folder.iterdir()
    path.write_text("{")
    with pytest.raises(ValidationError, match=f"{path.name} is not the file of a tri"):
        sweep(sweep_trials.counted, cases, [0], folder)


def test_other_versions(places, client):
    """Trials that were run with another version are told of, and kept."""
    folder, log = places
    cases = {"a": {"log": str(log)}}
    sweep(sweep_trials.counted, cases, [0], folder, client=client)
    (path,) = folder.iterdir()
    record = json.loads(path.read_text())
    assert record["versions"]["nengo"] == nengo.__version__
    record["versions"]["nengo"] = "0.1"
    path.write_text(json.dumps(record))
    with pytest.warns(UserWarning, match=r"1 trials .* other versions.*'0\.1'"):
        sweep(sweep_trials.counted, cases, [0], folder)
    assert sweep_trials.runs(log) == {(1, 0): 1}


@pytest.mark.parametrize("address", ["nonsense", "tcp://host", "smoke://host:1", 8786])
def test_addresses_that_are_none(address, tmp_path):
    """What is not the address of a scheduler is refused at once, with an example."""
    cases = {"a": {"log": "x"}}
    with pytest.raises(ValueError, match=f"{address}.* not the address.*tcp://"):
        sweep(sweep_trials.counted, cases, [0], tmp_path / "trials", client=address)


def test_without_distributed(tmp_path, monkeypatch):
    """Where distributed is missing, the message says how to get it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"distributed.*nengo-epes\[sweeps\]"):
        sweep(sweep_trials.counted, {}, [0], tmp_path)


@pytest.mark.slow
def test_trials_that_kill_their_process(places):
    """A trial that ends the process it runs in is a row with an error; those that
    waited in that process, or were run beside it, have none."""
    folder, log = places
    # long enough for the next trial to wait in the process that dies
    cases = {"a": {"log": str(log), "kills": [1], "seconds": 0.5}}
    with (
        # one dead process is enough to blame every trial that was in it
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as one,
        Client(one, set_as_default=False) as client,
    ):
        table = sweep(sweep_trials.counted, cases, range(3), folder, client=client)
    assert table["seed"].tolist() == [0, 1, 2]
    assert table["error"].isna().tolist() == [True, False, True]
    assert table["error"][1].startswith("KilledWorker: ")


def test_study(client, tmp_path, monkeypatch, capsys):
    """The command runs the cases of a trial over the seeds on the scheduler that it is
    told, prints medians, and writes the table."""
    short = {"seconds": 1.0, "delay": 100}
    monkeypatch.setattr(delayed_error, "STUDY", {"short": short})
    address = client.scheduler.address
    arguments = ["--seeds", "3", "--first-seed", "5", "--scheduler", address]
    folder = tmp_path / "study"
    assert main(["study", "delayed_error", *arguments, "--output", str(folder)]) == 0
    table = pd.read_csv(folder / "table.csv")
    expected = [delayed_error.run(seed, **short)["rmse"] for seed in (5, 6, 7)]
    assert table["seed"].tolist() == [5, 6, 7]
    # other processes may add up in another order
    np.testing.assert_allclose(
        table[list(delayed_error.LINES)],
        [[rmse[line] for line in delayed_error.LINES] for rmse in expected],
        rtol=1e-9,
    )
    out, err = capsys.readouterr()
    median = np.median([rmse["EPES"] for rmse in expected])
    assert "short: 3 trials, 0 failed" in out
    assert re.search(rf"EPES +{median:.6g}  3 of 3$", out, re.MULTILINE)
    assert "3 of 3 trials, 0 failed" in err


def test_study_of_episodes(client, tmp_path, monkeypatch, capsys):
    """A result that no trial has reached is told as such; trials that raise are counted
    apart, with their message; returns of episodes are drawn."""
    cases = {
        "short": {"n_steps": 30, "n_neurons": 20},
        "wrong": {"n_steps": 30, "n_neurons": 20, "lambda_": 2.0},
    }
    monkeypatch.setattr(cartpole, "STUDY", cases)
    arguments = ["--seeds", "2", "--scheduler", client.scheduler.address]
    with pytest.raises(SystemExit, match="1"):  # some have failed
        main(["study", "cartpole", *arguments, "--output", str(tmp_path)])
    out = capsys.readouterr().out
    assert "short: 2 trials, 0 failed" in out and "wrong: 2 trials, 2 failed" in out
    assert re.search(r"^  episodes +-  0 of 2$", out, re.MULTILINE)
    assert re.search(r"^  mean of last 50 +\d\S*  2 of 2$", out, re.MULTILINE)
    assert re.search(r"^2 times: ValidationError: .*lambda_", out, re.MULTILINE)
    figure = tmp_path / "learning-curves.png"
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_study_of_what_there_is_not(capsys):
    """An unknown name and impossible seeds are refused, with what there is."""
    assert main(["study", "chess"]) == 1
    assert "'chess', but of acrobot, bandit, cartpole, del" in capsys.readouterr().err
    for wrong in (["--seeds", "0"], ["--first-seed", "-1"]):
        assert main(["study", "delayed_error", *wrong]) == 1
        assert "seeds must be" in capsys.readouterr().err


def python(*arguments):
    """Start another Python that finds the trials of the tests."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,  # to be killed with all its children
        stderr=subprocess.DEVNULL,
    )


def wait_for(condition):
    """Wait until something is so, for a minute at most."""
    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end, "nothing happened for a minute"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def servers(folder, n_workers):
    """Start a scheduler and workers as a user would, on this machine; yield the address
    and the processes, the scheduler first."""
    told = folder / "scheduler.json"
    server = ("--dashboard-address", "127.0.0.1:0", "--scheduler-file", told)
    host = ("--host", "127.0.0.1", "--port", 0)
    started = [python("-m", "distributed.cli.dask_scheduler", *host, *server)]
    try:
        wait_for(told.exists)
        worker = ("-m", "distributed.cli.dask_worker", "--nthreads", 1, "--no-nanny")
        started += [python(*worker, *server) for _ in range(n_workers)]
        yield json.loads(told.read_text())["address"], started
    finally:
        for process in started:
            process.kill()
            process.wait()


SCRIPT = """
import sys, sweep_trials
from nengo_epes.sweep import sweep
if __name__ == "__main__":
    cases = {"a": {"log": sys.argv[2], "seconds": 0.5}}
    sweep(sweep_trials.counted, cases, range(8), sys.argv[1])
"""


@pytest.mark.slow
def test_killed_sweep_goes_on(client, places, tmp_path):
    """When the process of a sweep is killed, the next one runs the trials that have no
    file yet, and none that has one."""
    folder, log = places
    (tmp_path / "script.py").write_text(SCRIPT)
    sweeping = python(tmp_path / "script.py", folder, log)
    wait_for(lambda: len(list(folder.glob("*.json"))) >= 2)
    sweeping.send_signal(signal.SIGKILL)
    sweeping.wait()
    done = {record["seed"] for record in read(folder)}
    assert 2 <= len(done) < 8
    cases = {"a": {"log": str(log), "seconds": 0.5}}
    table = sweep(sweep_trials.counted, cases, range(8), folder, client=client)
    assert table["seed"].tolist() == list(range(8)) and table["error"].isna().all()
    runs = sweep_trials.runs(log)
    assert [runs[1, seed] for seed in sorted(done)] == [1] * len(done)
    assert set(runs) == {(1, seed) for seed in range(8)}


@pytest.mark.slow
def test_killed_worker_of_a_scheduler(places, tmp_path):
    """A scheduler and two workers over TCP, one of which is killed in the middle of a
    trial: no trial is lost or fails, each has one row, and only what that worker had is
    run again."""
    folder, log = places
    with servers(tmp_path, n_workers=2) as (address, processes):
        with ThreadPoolExecutor() as pool:
            with Client(address, set_as_default=False) as client:
                client.wait_for_workers(2, timeout=60)
            cases = {"a": {"log": str(log), "seconds": 1.0}}
            running = pool.submit(
                sweep, sweep_trials.counted, cases, range(8), folder, client=address
            )
            wait_for(lambda: len(list(folder.glob("*.json"))) >= 2)
            done = {record["seed"] for record in read(folder)}
            processes[1].send_signal(signal.SIGKILL)
            table = running.result(timeout=60)
    assert table["seed"].tolist() == list(range(8)) and table["error"].isna().all()
    assert len(read(folder)) == 8
    runs = sweep_trials.runs(log)
    assert set(runs) == {(1, seed) for seed in range(8)}
    assert [runs[1, seed] for seed in sorted(done)] == [1] * len(done)
    # the one that it was running, and at most one whose result it still held
    assert 1 <= sum(runs.values()) - 8 <= 2


@pytest.mark.slow
def test_lost_scheduler(places, tmp_path, capsys):
    """Without workers a sweep says that it waits; when the scheduler is lost, it ends
    with an error that says how to go on."""
    folder, log = places
    with servers(tmp_path, n_workers=0) as (address, processes):
        with ThreadPoolExecutor() as pool:
            cases = {"a": {"log": str(log)}}
            running = pool.submit(
                sweep, sweep_trials.counted, cases, [0], folder, client=address
            )
            wait_for(lambda: "waiting for a worker" in capsys.readouterr().err)
            processes[0].kill()
            with pytest.raises(ConnectionError, match="scheduler was lost"):
                running.result(timeout=60)
