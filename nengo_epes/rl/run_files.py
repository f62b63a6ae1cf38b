"""Files of a training run that people can read, and the owner of its folder."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import socket
from pathlib import Path

import numpy as np

from nengo_epes.files import write_atomically
from nengo_epes.optional import load
from nengo_epes.rl.agent import Episode
from nengo_epes.rl.settings import NEURON_TYPES, Settings, choose_settings
from nengo_epes.simulators import NAMES as SIMULATORS

RECORD, RETURNS, LOCK, OWNER = "run.json", "returns.csv", "run.lock", "owner.json"
# seconds to wait for a process that only reads the folder
PATIENCE = 5.0

# type, range and description of each key of the record
_KEYS = {
    "environment": (str, len, "an id such as 'CartPole-v1'"),
    "env_kwargs": (dict, lambda x: True, "a dictionary"),
    "seed": (int, lambda x: 0 <= x < 2**31, "an int from 0 to 2**31 - 1"),
    "neurons": (str, lambda x: x in NEURON_TYPES, " or ".join(NEURON_TYPES)),
    "simulator": (str, lambda x: x in SIMULATORS, " or ".join(SIMULATORS)),
    "settings": (dict, lambda x: True, "a dictionary"),
    "steps": (int, lambda x: x >= 1, "an int of at least 1"),
    "run": (str, len, "a string"),
}
_HEADER = "episode,environment_steps,return,length,seconds\n"


def write_json(path, data):
    """Write data and the versions of the packages that computed them.

    Parameters
    ----------
    path : path
        File to write.
    data : dict
        Data that JSON can store.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.json"
    ...     write_json(path, {"mean": 0.5})
    ...     sorted(read_json(path))
    ['mean', 'versions']
    """
    versions = {}
    for name in ("nengo-epes", "nengo", "numpy", "gymnasium"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    text = json.dumps({**data, "versions": versions}, indent=1, allow_nan=False)
    write_text(path, f"{text}\n")


def read_json(path):
    """Read a file of `write_json`.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If the file is not a JSON object.

    Examples
    --------
    See `write_json`.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        if isinstance(data, dict):
            return data
        reason = type(data).__name__
    except (ValueError, RecursionError) as error:
        reason = error
    raise ValueError(f"{path}: not a JSON object (got {reason}); restore the file")


def write_text(path, text):
    """Write a text file, with the same line ends everywhere."""
    content = text.encode()
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


@contextlib.contextmanager
def own(folder):
    """Own a folder inside a ``with`` block.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.

    Raises
    ------
    BlockingIOError
        If another process owns the folder; the message names it.
    """
    filelock = load("filelock", "environments")
    lock, path = filelock.FileLock(folder / LOCK), folder / OWNER
    try:
        lock.acquire(timeout=PATIENCE)
    except filelock.Timeout:
        owner = read_json(path) if path.exists() else {}
        raise BlockingIOError(
            f"{folder}: owned by process {owner.get('pid', 'unknown')} on "
            f"{owner.get('host', 'an unknown machine')}; wait until it has ended, or "
            "choose another folder"
        ) from None
    try:
        write_json(path, {"pid": os.getpid(), "host": socket.gethostname()})
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def read_record(folder):
    """Return the content of ``run.json``, checked key by key.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the run.

    Returns
    -------
    dict
    """
    path = folder / RECORD
    if not path.exists():
        raise FileNotFoundError(
            f"{folder}: contains no run (there is no {RECORD}); name the folder that "
            "nengo-epes train wrote"
        )
    record = read_json(path)
    check_record(record, path)
    return record


def check_record(record, path):
    """Check types and ranges of a record, and drop settings that do not exist.

    Parameters
    ----------
    record : dict
        The record.
    path : path
        File of the record, for the message.
    """
    for name, (kind, fits, what) in _KEYS.items():
        if name not in record:
            raise ValueError(f"{path}: {name!r} is missing; restore the file")
        if type(record[name]) is not kind or not fits(record[name]):
            raise ValueError(f"{path}: {name!r} must be {what} (got {record[name]!r})")
    names = [field.name for field in dataclasses.fields(Settings)]
    found = record["settings"]
    missing = ", ".join(name for name in names if name not in found)
    if missing:
        raise ValueError(f"{path}: the settings lack {missing}; restore the file")
    record["settings"] = {name: found[name] for name in names}
    try:
        choose_settings(False, record["settings"])
    except ValueError as error:
        raise ValueError(f"{path}: settings: {error}") from error


def choose_environment(folder, record, env):
    """Return the id of the environment; no file decides which module is imported.

    Parameters
    ----------
    folder : path
        Folder of the run, for the message.
    record : dict
        The record.
    env : str or None
        Id that the user gave.

    Returns
    -------
    str
    """
    stored = record["environment"]
    if env not in (None, stored):
        raise ValueError(
            f"{folder}: the run is of {stored} (got {env}); give this environment, or "
            "another folder"
        )
    if env is None and ":" in stored:
        raise ValueError(
            f"{folder}: the run is of {stored}, and no file decides which module is "
            f"imported; name it yourself: env={stored!r}"
        )
    return stored


def identity(record):
    """Return the identity that all files of a run share.

    Parameters
    ----------
    record : dict
        The record.

    Returns
    -------
    dict
    """
    return {name: record[name] for name in _KEYS if name != "steps"}


def check_identity(path, found, record):
    """Refuse a file of another run.

    Parameters
    ----------
    path : path
        The file.
    found : object
        Identity in the file.
    record : dict
        The record of the run.
    """
    found = found if isinstance(found, dict) else {}
    for name, value in identity(record).items():
        if found.get(name) != value:
            raise ValueError(
                f"{path}: belongs to another run, because its {name} is not "
                f"{value!r} (got {found.get(name)!r}); restore the file of this run"
            )


def format_returns(episodes, first=None):
    """Return the lines of some episodes.

    Parameters
    ----------
    episodes : list of Episode
        The episodes.
    first : int, optional
        Number of the first of them; None: 0, with the header above it.

    Returns
    -------
    str
    """
    lines = [_HEADER] if first is None else []
    for number, episode in enumerate(episodes, first or 0):
        steps, episode_return, length, seconds = dataclasses.astuple(episode)
        lines.append(f"{number},{steps},{episode_return!r},{length},{seconds!r}\n")
    return "".join(lines)


def read_returns(path):
    """Return the notes and the episodes of a CSV file.

    Parameters
    ----------
    path : pathlib.Path
        The file; if it does not exist, there are no episodes.

    Returns
    -------
    notes : str
    episodes : list of Episode
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        # without the incomplete last line of a killed process
        lines = text[: text.rfind("\n") + 1].splitlines(keepends=True)
        notes = "".join(line for line in lines if line.startswith("#"))
        rows = [line for line in lines if line.strip() and not line.startswith("#")]
        if rows and not f"{rows[0].strip()},".startswith(f"{_HEADER.strip()},"):
            raise ValueError(f"the columns {rows[0].strip()}")
        if len(rows) < 2:
            return notes, []
        table = np.loadtxt(rows[1:], delimiter=",", ndmin=2, usecols=range(5))
        _check_table(table)
    except ValueError as error:
        raise ValueError(
            f"{path}: damaged (got {error}); restore the file, or remove it: the "
            "checkpoint contains the returns, too"
        ) from error
    rows = table[:, 1:].tolist()
    return notes, [Episode(int(a), b, int(c), d) for a, b, c, d in rows]


def _check_table(table):
    number, steps, _, length, seconds = table.T
    follows = np.array_equal(number, np.arange(len(number)))
    follows = follows and np.array_equal(steps, np.cumsum(length))
    if not (follows and np.isfinite(table).all() and length.min() >= 1):
        raise ValueError("numbers that do not follow the line above")
    if (np.diff(seconds) < 0).any():
        raise ValueError("seconds that decrease")


def check_returns(path, found, stored):
    """Refuse episodes that differ from the stored episodes.

    Parameters
    ----------
    path : path
        File of the episodes that were found.
    found, stored : list of Episode
        The episodes; one list can be longer.
    """
    for number, (here, there) in enumerate(zip(found, stored, strict=False)):
        if here != there:
            raise ValueError(
                f"{path}: episode {number} is not as stored with the agent (got "
                f"{here}); restore the file, or remove it"
            )
