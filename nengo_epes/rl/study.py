"""Many runs: a folder for each seed, trained by Dask, and a table of all runs.

The folder of a study contains ``table.csv`` and a run folder for each seed, ``seed-0``
and so on; see `nengo_epes.rl.runs`. A run that failed also has ``error.json``.
"""

from __future__ import annotations

import contextlib
import logging
import operator
import sys
import time
import traceback
from pathlib import Path

import nengo
import numpy as np

from nengo_epes.files import make_folder, write_atomically
from nengo_epes.optional import load
from nengo_epes.progress import make_bar
from nengo_epes.rl import runs
from nengo_epes.rl.run_files import RECORD, read_json, read_returns, write_json

TABLE, ERROR = "table.csv", "error.json"


def study(
    env,
    seeds,
    folder,
    scheduler=None,
    neurons="rate",
    n_steps=50_000,
    env_kwargs=None,
    progress_bar=False,
    simulator="nengo",
    **settings,
):
    """Train and evaluate an agent for each seed, several at a time.

    Complete runs are skipped. Runs that were interrupted or failed are resumed. In a
    script, call `study` under ``if __name__ == "__main__":``, because the local
    processes import the script.

    Parameters
    ----------
    env : str
        Id of the environment.
    seeds : iterable of int
        Seeds of network, environment and actions, one for each run.
    folder : path
        Folder of the study. Workers on other machines need it at the same path.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://192.168.0.1:8786``. By default,
        one process for each core of this machine, with one thread each.
    neurons, n_steps, env_kwargs, simulator, **settings
        See `nengo_epes.rl.runs.create_run`.
    progress_bar : bool or callable, optional
        Whether to show a progress bar of tqdm. Also a function of the number of missing
        environment steps that returns a bar, such as ``nengo_epes.progress.Bar``.

    Returns
    -------
    pandas.DataFrame
        See `read_table`; also written to ``table.csv``.

    Raises
    ------
    ImportError
        If distributed or pandas is not installed.
    ValidationError
        If a setting does not fit, or observations or actions cannot be represented.
    ValueError
        If the folder contains a run with other settings, or the address is invalid.
    BlockingIOError
        If another process owns a run.
    OSError
        If the scheduler cannot be reached, or is lost.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from distributed import LocalCluster
    >>> threads = LocalCluster(
    ...     processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0"
    ... )
    >>> options = {"n_steps": 50, "n_neurons": 50}
    >>> with TemporaryDirectory() as folder, threads as cluster:
    ...     address = cluster.scheduler_address
    ...     table = study("CartPole-v1", [3], folder, address, **options)
    >>> table[["seed", "neurons", "steps"]].values.tolist()
    [[3, 'rate', 50]]
    """
    load("distributed", "studies")
    load("pandas", "studies")
    folder = make_folder(folder).absolute()
    wanted = {
        "environment": env,
        "neurons": neurons,
        "env_kwargs": env_kwargs or {},
        "simulator": simulator,
    }
    args = neurons, n_steps, env_kwargs, simulator
    paths = {folder / f"seed-{seed}": seed for seed in map(operator.index, seeds)}
    for path, seed in paths.items():
        if (path / RECORD).exists():
            _check_settings(path, {**settings, **wanted, "seed": seed}, n_steps)
        else:
            runs.create_run(path, env, seed, *args, **settings)
    missing = [path for path in paths if not _is_complete(path, n_steps)]
    if missing:
        _run_all(missing, scheduler, env, n_steps, progress_bar)
    table = read_table(folder)
    write_atomically(folder / TABLE, lambda path: table.to_csv(path, index=False))
    return table


def _check_settings(folder, wanted, n_steps):
    """Refuse a run with other settings, or with more steps."""
    run = runs.read_run(folder)
    found = {**run["settings"], **run}
    different = [name for name, value in wanted.items() if found[name] != value]
    if n_steps < run["steps"]:
        different, wanted = ["steps"], {"steps": n_steps}
    for name in different:
        raise ValueError(
            f"{folder}: contains a run with {name} {found[name]} (got {wanted[name]}); "
            "use the same settings, or another folder"
        )


def _run_all(folders, scheduler, env, n_steps, progress_bar):
    """Run the missing runs, and record the runs that lost their process."""
    from dask.system import CPU_COUNT
    from distributed import Client
    from distributed.comm import get_address_host_port

    if scheduler is None:
        options = {
            "n_workers": min(CPU_COUNT, len(folders)),
            "threads_per_worker": 1,
            "dashboard_address": "127.0.0.1:0",  # any free port
            # after Ctrl-C, processes log errors of connections that they lose
            "silence_logs": logging.CRITICAL,
            # a terminal sends Ctrl-C to all its processes
            "preload": "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
        }
    else:
        get_address_host_port(scheduler)  # a client blocks after an invalid address
        options = {"address": scheduler}
    trained = _count_steps(folders, n_steps)
    with (
        Client(set_as_default=False, **options) as client,
        make_bar(len(folders) * n_steps, progress_bar, trained) as bar,
    ):
        if not client.nthreads():
            print("waiting for a worker", file=sys.stderr, flush=True)
        futures = {
            client.submit(_run, path, env, n_steps, pure=False): path
            for path in folders
        }
        left = dict(futures)
        try:
            while left:
                time.sleep(0.5)
                for future in [future for future in left if future.done()]:
                    _check_ended(future, left.pop(future))
                n_ended = len(folders) - len(left)
                now = n_ended * n_steps + _count_steps(left.values(), n_steps)
                bar.set_postfix_str(f"{n_ended} of {len(folders)} runs", refresh=False)
                bar.update(now - trained)
                trained = now
        finally:
            client.cancel(list(futures))  # the runs end with their episodes


def _check_ended(future, folder):
    """Raise if a run cannot be completed now; record that its process died."""
    if future.status == "cancelled":
        raise ConnectionError("scheduler: lost; call again to resume")
    if future.status == "error":
        error = future.exception()
        if isinstance(error, BlockingIOError):
            raise error
        _write_error(folder, error)


def _count_steps(folders, n_steps):
    """Return the environment steps of incomplete runs."""
    total = 0
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):  # the run itself reports it
            _, episodes = read_returns(folder / runs.RETURNS)
            steps = episodes[-1].environment_steps if episodes else 0
            total += min(steps, n_steps - 1)  # the evaluation follows
    return total


def _run(folder, env, n_steps):
    """Train and evaluate the agent of one run, and record any error."""
    # otherwise all processes wait for the lock of the cache
    nengo.rc.set("decoder_cache", "enabled", "False")
    try:
        is_complete = runs.resume_run(
            folder, n_steps, env, callback=lambda agent: not _is_cancelled()
        )
        if is_complete:
            runs.evaluate_run(folder, env=env)
            (folder / ERROR).unlink(missing_ok=True)
    except BlockingIOError:  # another process owns the run
        raise
    except BaseException as error:  # SystemExit would end the worker, too
        _write_error(folder, error)


def _is_cancelled():
    """Whether the study that submitted this run has ended."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:  # not on a worker
        return False
    task = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state == "cancelled"


def _write_error(folder, error):
    lines = traceback.format_exception(error)
    message = f"{type(error).__name__}: {error}"
    write_json(folder / ERROR, {"error": message, "traceback": "".join(lines)})


def _is_complete(folder, n_steps):
    run = runs.read_run(folder)
    is_done = run["is_complete"] and run["steps"] >= n_steps
    return is_done and "mean" in _read_evaluation(folder, run)


def read_table(folder):
    """Read the table of a study from its run folders.

    Parameters
    ----------
    folder : path
        Folder of the study.

    Returns
    -------
    pandas.DataFrame
        A row for each run, sorted by seed: ``environment``, ``seed``, ``neurons``,
        ``episodes`` and ``steps`` of training, ``mean_return`` of the last 50 episodes,
        ``greedy_mean`` of the evaluation, ``error`` (missing if none), ``folder``.

    Examples
    --------
    See `study`.
    """
    import pandas as pd

    rows = [_row(path.parent) for path in Path(folder).glob(f"seed-*/{RECORD}")]
    return pd.DataFrame(sorted(rows, key=operator.itemgetter("seed")))


def _row(folder):
    run = runs.read_run(folder)
    returns = [episode.episode_return for episode in run["episodes"]]
    ends = [episode.environment_steps for episode in run["episodes"]]
    error = folder / ERROR
    return {
        "environment": run["environment"],
        "seed": run["seed"],
        "neurons": run["neurons"],
        "episodes": len(returns),
        "steps": max([run["trained_steps"], *ends]),
        "mean_return": float(np.mean(returns[-runs.WINDOW :])) if returns else None,
        "greedy_mean": _read_evaluation(folder, run).get("mean"),
        "error": read_json(error).get("error") if error.exists() else None,
        "folder": str(folder),
    }


def _read_evaluation(folder, run):
    """Return the evaluation of a run; empty without an evaluation."""
    path = folder / runs.EVALUATION
    found = read_json(path) if path.exists() else {}
    is_own = all(found.get(name) == run[name] for name in ("run", "trained_steps"))
    return found if is_own else {}
