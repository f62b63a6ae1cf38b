"""Where trials run, and what a worker does."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import time
import traceback

import nengo

from nengo_epes.sweep import records
from nengo_epes.sweep.planning import OWN_COLUMNS

# one thread a trial: as many trials as cores run at a time
ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
}


def run_trial(trial, parameters, seed):
    """Run one trial, and catch what it raises: what a worker does.

    Parameters
    ----------
    trial : str
        ``module:function``.
    parameters : dict
        Of the case.
    seed : int
        Of the trial.

    Returns
    -------
    dict
        ``result``, or None; ``error`` with ``type``, ``message`` and ``traceback``, or
        None; ``wall seconds``; ``versions``.

    Examples
    --------
    >>> run_trial("nengo_epes.demos:trial", {"seconds": 0}, 0)["error"][
    ...     "type"
    ... ]
    'ValidationError'
    """
    start = time.perf_counter()
    result = error = None
    # all processes would wait for the one lock of the decoder cache
    cache = nengo.rc.get("decoder_cache", "enabled")
    nengo.rc.set("decoder_cache", "enabled", "False")
    try:
        module, _, function = trial.partition(":")
        function = getattr(importlib.import_module(module), function)
        result = records.plain_result(function(seed, **parameters))
        taken = {*OWN_COLUMNS, *parameters} & set(result)
        if taken:
            result = None
            raise ValueError(f"a result has the name of another column: {taken}")
    except Exception as raised:
        error = _described(raised)
    finally:
        nengo.rc.set("decoder_cache", "enabled", cache)
    seconds = time.perf_counter() - start
    return _outcome(result, error, seconds)


def _outcome(result, error, seconds):
    return {
        "result": result,
        "error": error,
        "wall seconds": seconds,
        "versions": versions(),
    }


def _described(error):
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


def versions():
    """Return the versions of what a trial depends on.

    Returns
    -------
    dict of str to str
    """
    found = {}
    for name in ("nengo-epes", "nengo", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@contextlib.contextmanager
def connected(client, n_trials):
    """Connect to those who run the trials.

    Parameters
    ----------
    client : distributed.Client, str or None
        See `nengo_epes.sweep.sweep`.
    n_trials : int
        For how many.

    Yields
    ------
    distributed.Client
        Closed in the end, with its processes, unless it was given.
    """
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    if isinstance(client, Client):
        yield client
    elif client is not None:
        _check_address(client)
        with Client(client, set_as_default=False) as remote:
            yield remote
    else:
        with (
            _environment(ONE_THREAD),
            LocalCluster(
                n_workers=min(CPU_COUNT, n_trials),
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",  # any free port
            ) as cluster,
            Client(cluster, set_as_default=False) as local,
        ):
            yield local


def _check_address(address):
    """Refuse what is no address; the client would take a minute to end after it."""
    from distributed.comm import get_address_host_port

    if str(address).startswith("inproc://"):  # it has neither host nor port
        return
    try:
        get_address_host_port(address)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{address!r} is not the address of a scheduler: {error}; `dask scheduler` "
            "tells its own, such as tcp://192.168.0.1:8786"
        ) from error


@contextlib.contextmanager
def _environment(variables):
    """Let child processes have these variables.

    Dask gives them, too, but not where this process has others, and leaves them behind.
    """
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def run_all(client, work):
    """Run trials, and yield what each gave as soon as it is done.

    Parameters
    ----------
    client : distributed.Client
        From `connected`.
    work : dict of str to tuple
        The arguments of `run_trial`, by a name for each trial.

    Yields
    ------
    name : str
        Of the trial.
    outcome : dict
        See `run_trial`.
    """
    from distributed import KilledWorker, as_completed

    def submit(names):
        return {
            client.submit(run_trial, *work[name], pure=False): name for name in names
        }

    suspects = []
    futures = submit(work)
    try:
        for future in as_completed(futures, loop=client.loop):
            name = futures.pop(future)
            if future.status == "error" and isinstance(
                future.exception(), KilledWorker
            ):
                suspects.append(name)
            else:
                yield name, _result(future)
        # workers died that had these; each alone shows which one was to blame
        for name in suspects:
            futures = submit([name])
            yield name, _result(next(iter(futures)))
    finally:
        client.cancel(list(futures))


def _result(future):
    if future.status == "cancelled":
        raise ConnectionError(
            "the scheduler was lost; trials that were done are in the folder, call "
            "again to run the others"
        )
    error = future.exception()
    return future.result() if error is None else _outcome(None, _described(error), None)
