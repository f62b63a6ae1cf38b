"""Run what is missing, and collect."""

from __future__ import annotations

import sys
import warnings

from nengo_epes.files import make_folder
from nengo_epes.sweep import records, running, tables
from nengo_epes.sweep.planning import plan


def sweep(trial, cases, seeds, folder, table=None, client=None, progress_bar=True):
    """Run a trial for all cases and seeds, each once, and collect what they give.

    Every trial is a file as soon as it is done. A sweep that was broken off, called
    again with the same folder, runs only what is missing, and what failed. Therefore a
    folder is for one state of the trial's code: take another one after a change of it.

    In a script, call it under ``if __name__ == "__main__":``, because the local
    processes import the script.

    Parameters
    ----------
    trial : callable
        ``trial(seed, **parameters)`` returns a dict of numbers, texts and lists. It is
        a function of a module that the workers can import.
    cases : dict of str to dict
        The parameters of each case, by the name that it has in the table; see `grid`.
    seeds : iterable of int
        With each of which every case is run.
    folder : path
        Where the files of the trials are; it is made if need be.
    table : path, optional
        Where to write the table, as ``.csv`` or ``.parquet``.
    client : distributed.Client or str, optional
        Who runs the trials, or the address of a scheduler. None for a process for each
        core of this machine, with one BLAS thread each.
    progress_bar : bool
        Whether to tell on standard error how many are done.

    Returns
    -------
    pandas.DataFrame
        A row for each case and seed: ``case``, ``seed``, the parameters, all results
        but lists (see `read`), ``error``, and ``wall seconds``. A trial that raised
        has its ``error``, and no results.

    Raises
    ------
    ValidationError
        If the trial cannot be imported, a parameter cannot be told in a file, a case
        has a name that is no text, two are the same, or the table has another suffix.
    ImportError
        If distributed or pandas is missing.
    OSError
        If the scheduler cannot be reached, or is lost.
    ValueError
        If what is given for a client is no address.

    Warns
    -----
    UserWarning
        If trials in the folder were run with other versions than those of here.

    Examples
    --------
    In threads of this process, for once; leave out ``client`` to use all cores:

    >>> from tempfile import TemporaryDirectory
    >>> from distributed import Client
    >>> from nengo_epes.sweep import grid
    >>> from nengo_epes import demos as delayed_error
    >>> cases = grid(delay=[50, 100], seconds=[0.5])
    >>> threads = Client(processes=False, dashboard_address="127.0.0.1:0")
    >>> with TemporaryDirectory() as folder, threads as client:
    ...     table = sweep(delayed_error.trial, cases, range(2), folder, client=client)
    >>> table[["delay", "seed"]].values.tolist(), bool(table["error"].isna().all())
    ([[50, 0], [50, 1], [100, 0], [100, 1]], True)
    """
    _check_installed()
    planned = plan(trial, cases, seeds)
    folder = make_folder(folder)
    if table is not None:
        table = tables.check_table(table)
    done = _load(folder, planned)
    missing = {name: each for name, each in planned.items() if name not in done}
    report = _Progress(len(planned), len(done), progress_bar)
    if missing:
        with running.connected(client, len(missing)) as connected:
            work = {
                name: (each["trial"], cases[each["case"]], each["seed"])
                for name, each in missing.items()
            }
            if not connected.nthreads():
                report.say("waiting for a worker\n")
            for name, outcome in running.run_all(connected, work):
                done[name] = missing[name] | outcome
                records.write_record(folder / name, done[name])
                report(outcome["error"])
    frame = tables.to_table([done[name] for name in planned])
    if table is not None:
        tables.write_table(frame, table)
    return frame


def _check_installed():
    try:
        import distributed  # noqa: F401
        import pandas  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"a sweep needs {error.name}: pip install 'nengo-epes[sweeps]'"
        ) from error


def _load(folder, planned):
    """Return what was done before, without failures."""
    done = {}
    for name, each in planned.items():
        if (folder / name).exists():
            record = records.read_record(folder / name)
            if record["error"] is None:
                done[name] = record | each
                if record["case"] != each["case"]:
                    records.write_record(folder / name, done[name])
    here = running.versions()
    others = [x["versions"] for x in done.values() if x["versions"] != here]
    if others:
        warnings.warn(
            f"{len(others)} trials in {folder} were run with other versions, such as "
            f"{others[0]}; here there are {here}. Take a new folder to run them again.",
            stacklevel=3,
        )
    return done


class _Progress:
    """A bar on a terminal; elsewhere a line for each tenth that is done."""

    def __init__(self, total, done, shown):
        self.total, self.done, self.failed, self.shown = total, done, 0, shown
        self.say(f"{done} of {total} trials were done before\n" if done else "")

    def __call__(self, error):
        tenths = 10 * self.done // self.total
        self.done += 1
        self.failed += error is not None
        text = f"{self.done} of {self.total} trials, {self.failed} failed"
        if sys.stderr.isatty():
            bar = "#" * (30 * self.done // self.total)
            end = "\n" if self.done == self.total else ""
            self.say(f"\r[{bar:-<30}] {text}{end}")
        elif 10 * self.done // self.total > tenths:
            self.say(f"{text}\n")

    def say(self, text):
        """Print it, if anything is to be printed."""
        if self.shown:
            print(text, end="", file=sys.stderr, flush=True)
