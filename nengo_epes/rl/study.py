"""Many runs: a folder for each seed, trained by Dask, and one table of them all.

The folder of a study contains ``table.csv`` and a run folder for each seed, ``seed-0``
and so on; see `nengo_epes.rl.runs`. A run that failed also has ``error.json``.
"""

from __future__ import annotations

import json
import logging
import operator
import sys
import traceback
from pathlib import Path

import nengo
import numpy as np

from nengo_epes.files import make_folder, write_atomically
from nengo_epes.rl import runs

TABLE, ERROR = "table.csv", "error.json"


def study(
    environment, seeds, folder, scheduler=None, neurons=None, steps=None, episodes=None
):
    """Train and evaluate an agent for each seed, several at a time.

    Complete runs are skipped. Runs that were interrupted or failed are resumed. In a
    script, call `study` under ``if __name__ == "__main__":``, because the local
    processes import the script.

    Parameters
    ----------
    environment : str
        Id of a preset, see `nengo_epes.rl.presets`.
    seeds : iterable of int
        Seeds of network, environment and actions, one for each run.
    folder : path
        Folder of the study. Workers on other machines need it at the same path.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://192.168.0.1:8786``. By default,
        one process for each core of this machine, with one thread each.
    neurons : str, optional
        Name of the kind of neurons; the first of the preset by default.
    steps, episodes : int, optional
        Limits of each run, in environment steps and in episodes. By default the steps
        of the preset, or the limits with which the run in the folder was created.

    Returns
    -------
    pandas.DataFrame
        See `read_table`; also written to ``table.csv``.

    Raises
    ------
    ImportError
        If distributed or pandas is not installed.
    ValidationError
        If there is no such preset or kind of neurons.
    ValueError
        If the folder contains a run with other settings, or the address is invalid.
    OSError
        If the scheduler cannot be reached, or is lost.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from distributed import LocalCluster
    >>> threads = LocalCluster(
    ...     processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0"
    ... )
    >>> with TemporaryDirectory() as folder, threads as cluster:
    ...     table = study(
    ...         "CartPole-v1", [3], folder, cluster.scheduler_address, episodes=2
    ...     )
    >>> table[["seed", "neurons", "episodes"]].values.tolist()
    [[3, 'relu', 2]]
    """
    _check_installed()
    folder = make_folder(folder).absolute()
    settings = {"environment": environment, "neurons": neurons}
    settings |= {"steps": steps, "episodes": episodes}
    folders = {folder / f"seed-{seed}": seed for seed in map(operator.index, seeds)}
    for path, seed in folders.items():
        _create(path, seed=seed, **settings)
    missing = [path for path in folders if not _is_complete(path)]
    if missing:
        _run_all(missing, scheduler)
    table = read_table(folder)
    write_atomically(folder / TABLE, lambda path: table.to_csv(path, index=False))
    return table


def _check_installed():
    try:
        import distributed  # noqa: F401
        import pandas  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"a study needs {error.name}: pip install 'nengo-epes[studies]'"
        ) from error


def _create(folder, **settings):
    """Create a run, unless the folder has one with the same settings."""
    if not (folder / runs.RECORD).exists():
        runs.create_run(folder, **settings)
        return
    found = runs.read_settings(folder)
    for name, value in settings.items():
        if value not in (None, found[name]):
            raise ValueError(
                f"{folder} contains a run with {name} {found[name]} (got {value}); "
                "use the same settings, or another folder"
            )


def _run_all(folders, scheduler):
    """Run what is missing, and record the runs whose process died."""
    from dask.system import CPU_COUNT
    from distributed import Client, as_completed
    from distributed.comm import get_address_host_port

    if scheduler is None:
        options = {
            "n_workers": min(CPU_COUNT, len(folders)),
            "threads_per_worker": 1,
            "dashboard_address": "127.0.0.1:0",  # any free port
            "silence_logs": logging.ERROR,  # Ctrl-C would give warnings
            # a terminal sends Ctrl-C to all its processes
            "preload": "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
        }
    else:
        get_address_host_port(scheduler)  # a client blocks after an invalid address
        options = {"address": scheduler}
    with Client(set_as_default=False, **options) as client:
        if not client.nthreads():
            print("waiting for a worker", file=sys.stderr, flush=True)
        futures = {client.submit(_run, path, pure=False): path for path in folders}
        completed = as_completed(futures, loop=client.loop)
        try:
            for number, future in enumerate(completed, start=1):
                if future.status == "cancelled":
                    raise ConnectionError("scheduler: lost; call again to resume")
                if future.status == "error":  # its process died
                    _write_error(futures[future], future.exception())
                print(f"{number} of {len(folders)} runs", file=sys.stderr, flush=True)
        finally:
            client.cancel(list(futures))  # the runs end with their episodes


def _run(folder):
    """Train and evaluate the agent of one run, and record what this raises."""
    # otherwise all processes wait for the lock of the cache
    nengo.rc.set("decoder_cache", "enabled", "False")
    (folder / ERROR).unlink(missing_ok=True)
    try:
        if runs.resume_run(folder, stopped=_is_cancelled):
            runs.evaluate_run(folder)
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
    runs.write_json(folder / ERROR, {"error": message, "traceback": "".join(lines)})


def _is_complete(folder):
    complete = runs.read_record(folder)["complete"]
    evaluated = (folder / runs.EVALUATION).exists()
    return complete and evaluated and not (folder / ERROR).exists()


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

    rows = [_row(path.parent) for path in Path(folder).glob(f"seed-*/{runs.RECORD}")]
    return pd.DataFrame(sorted(rows, key=operator.itemgetter("seed")))


def _row(folder):
    record = runs.read_record(folder)
    settings, returns = record["settings"], record["returns"]
    return {
        "environment": settings["environment"],
        "seed": settings["seed"],
        "neurons": settings["neurons"],
        "episodes": len(returns),
        "steps": runs.total_steps(record["steps"]),
        "mean_return": float(np.mean(returns[-runs.WINDOW :])) if returns else None,
        "greedy_mean": _read(folder / runs.EVALUATION, "mean"),
        "error": _read(folder / ERROR, "error"),
        "folder": str(folder),
    }


def _read(path, key):
    return json.loads(path.read_text())[key] if path.exists() else None
