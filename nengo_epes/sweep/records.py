"""What trials gave, a JSON file each.

A file holds the ``trial`` (module and function), its ``case``, ``parameters`` and
``seed``; the ``result``, everything that the trial returned, or the ``error`` with its
traceback; and how long it took, with which ``versions``. Its name comes from trial,
parameters and seed, so that the same trial always has the same file.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

from nengo_epes.files import write_atomically


def plain(parameters):
    """Return parameters as JSON holds them.

    Parameters
    ----------
    parameters : dict
        Arrays and numpy's numbers become lists and numbers. Anything else that JSON
        does not know is told by its ``repr``.

    Returns
    -------
    dict

    Raises
    ------
    ValidationError
        If a ``repr`` does not tell the whole value, as ``<function ...>`` does not.

    Examples
    --------
    >>> import nengo
    >>> plain({"neuron_type": nengo.LIF(tau_rc=0.03), "rates": np.array([1, 2])})
    {'neuron_type': 'LIF(tau_rc=0.03)', 'rates': [1, 2]}
    """
    return json.loads(json.dumps(parameters, default=_as_expression))


def _as_expression(value):
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    # arrays in it with all their digits, or different values had the same name
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        text = repr(value)
    if "<" in text or "..." in text or isinstance(value, set | frozenset):
        raise ValidationError(
            f"{text} cannot be told in a file; give a number, a text, a list, or an "
            "object whose repr is an expression for it, as Nengo's neuron types have",
            attr="parameters",
        )
    return text


def plain_result(result):
    """Return what a trial gave as JSON holds it.

    Parameters
    ----------
    result : dict
        Of numbers, texts, lists and arrays.

    Returns
    -------
    dict

    Raises
    ------
    TypeError
        If it is no dict, or holds something else.

    Examples
    --------
    >>> plain_result({"rmse": np.float64(0.5), "returns": np.arange(3)})
    {'rmse': 0.5, 'returns': [0, 1, 2]}
    """
    if not isinstance(result, dict):
        raise TypeError(f"a trial returns a dict of results (got {result!r})")

    def as_list(value):
        if isinstance(value, np.generic | np.ndarray):
            return value.tolist()
        raise TypeError(f"a result must be a number, text or list (got {value!r})")

    return json.loads(json.dumps(result, default=as_list))


def file_name(trial, parameters, seed):
    """Return the name of the file of a trial.

    Parameters
    ----------
    trial : str
        Module and function.
    parameters : dict
        As `plain` returns them; their order does not matter.
    seed : int
        Of the trial.

    Returns
    -------
    str

    Examples
    --------
    >>> name = file_name("a:trial", {"x": 1, "y": 2}, 0)
    >>> name[:12], name == file_name("a:trial", {"y": 2, "x": 1}, 0)
    ('trial-seed0-', True)
    """
    key = json.dumps([trial, parameters, seed], sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return f"{trial.rpartition(':')[2]}-seed{seed}-{digest}.json"


def write_record(path, record):
    """Write the file of a trial, whole or not at all.

    Parameters
    ----------
    path : path
        Where.
    record : dict
        What it holds.
    """
    text = json.dumps(record, indent=1) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def read_record(path):
    """Return what the file of a trial holds.

    Parameters
    ----------
    path : path
        Where.

    Returns
    -------
    dict

    Raises
    ------
    ValidationError
        If it is not the file of a trial.
    """
    try:
        record = json.loads(Path(path).read_text())
        record["trial"], record["result"], record["error"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValidationError(
            f"{path} is not the file of a trial; remove it, or give another folder",
            attr="folder",
        ) from error
    return record


def read(folder):
    """Return all trials of a folder, with their lists.

    Parameters
    ----------
    folder : path
        Where `sweep` wrote them.

    Returns
    -------
    list of dict
        Of each trial ``trial``, ``case``, ``parameters``, ``seed``, ``result``,
        ``error``, ``wall seconds`` and ``versions``, sorted by case and seed.

    Examples
    --------
    >>> read("no-such-folder")
    []
    """
    records = [read_record(path) for path in Path(folder).glob("*-seed*.json")]
    return sorted(records, key=lambda record: (record["case"], record["seed"]))
