"""What a simulator computes, as plain data, to find out whether two are the same."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import nengo
import numpy as np
from nengo.builder import Operator, Signal
from nengo.params import FrozenObject

# relative to the largest there could be; other processors round differently
SAME_VALUES = 1e-5


def bases(simulator: nengo.Simulator) -> dict[Signal, int]:
    """Return the signals that have arrays, in the order in which steps use them.

    Parameters
    ----------
    simulator : nengo.Simulator
        Not closed.

    Returns
    -------
    dict of Signal to int
        Their numbers.
    """
    numbers: dict[Signal, int] = {}
    for operator in simulator.step_order:
        for signal in operator.all_signals:
            numbers.setdefault(signal.base, len(numbers))
    # operators may have buffers that they do not tell of
    for signal in simulator.signals:
        numbers.setdefault(signal.base, len(numbers))
    return numbers


def describe(simulator: nengo.Simulator) -> dict[str, Any]:
    """Return what a simulator computes, as JSON can hold it.

    Labels are not told, because they do not matter, nor functions of Nodes, because
    they cannot.

    Parameters
    ----------
    simulator : nengo.Simulator
        Not closed.

    Returns
    -------
    dict
        ``dt``; ``operators`` in the order of the steps; ``objects`` and which signals
        are theirs; ``signals`` with what is left of their initial values.
    """
    numbers = bases(simulator)

    def place(signal: Signal | None) -> list[Any] | None:
        if signal is None:  # what an object could have, but has not
            return None
        strides = None if signal.sparse else list(signal.strides)
        number = numbers.get(signal.base)
        return [number, signal.offset, list(signal.shape), strides]

    operators = []
    for operator in simulator.step_order:
        parts = operator.sets, operator.incs, operator.reads, operator.updates
        places = [[place(signal) for signal in part] for part in parts]
        operators.append([type(operator).__name__, _settings(operator), places])
    objects = [
        [type(thing).__name__, {name: place(signals[name]) for name in sorted(signals)}]
        for thing, signals in simulator.model.sig.items()
        if signals  # a look by users makes empty ones
    ]
    signals = [
        {
            "name": _without_addresses(signal.name),
            "shape": list(signal.shape),
            "dtype": str(signal.dtype),
            "values": _summary(signal),
        }
        for signal in numbers
    ]
    return {
        "dt": simulator.dt,
        "operators": operators,
        "objects": objects,
        "signals": signals,
    }


def _settings(operator: Operator) -> dict[str, str]:
    """Return the parameters of an operator that are no signals, such as its rule."""
    plain = FrozenObject | bool | int | float | str
    return {
        name: " ".join([_without_addresses(repr(value)), *_left_out(value)])
        for name, value in vars(operator).items()
        if name != "tag" and isinstance(value, plain)
    }


def _left_out(value: object) -> list[str]:
    """Return checksums of the arrays that are too long for a repr."""
    if isinstance(value, FrozenObject):
        parts = value.__getstate__().values()
        return [checksum for part in parts for checksum in _left_out(part)]
    if isinstance(value, np.ndarray) and "..." in repr(value):
        return [hashlib.sha256(value.tobytes()).hexdigest()]
    return []


def _without_addresses(text: str) -> str:
    return re.sub(r"(?: at )?0x[0-9a-f]+", "", text)


def _summary(signal: Signal) -> list[float]:
    """Return numbers by which initial values are told from others, and their size."""
    values = signal.initial_value
    values = np.ravel(values.data if signal.sparse else values)
    values = np.nan_to_num(values.astype(float))
    # any other values, or another order, give another sum
    return [float(values @ np.cos(np.arange(len(values)))), float(np.abs(values).sum())]


def difference(there: dict[str, Any], here: dict[str, Any]) -> str | None:
    """Return in which way two simulators differ.

    Parameters
    ----------
    there, here : dict
        From `describe`; ``there`` has been in a file.

    Returns
    -------
    str or None
        The first that was found; None if they compute the same.
    """
    if there["dt"] != here["dt"]:
        return f"its dt is {there['dt']:g} s, here it is {here['dt']:g} s"
    for kind in ("operators", "signals", "objects"):
        if len(there[kind]) != len(here[kind]):
            return f"it has {len(there[kind])} {kind}, here are {len(here[kind])}"
    operators = list(zip(there["operators"], here["operators"], strict=True))
    for number, (old, new) in enumerate(operators):
        if old[:2] != new[:2]:
            was, now = " ".join(map(str, old[:2])), " ".join(map(str, new[:2]))
            return f"its operator {number} is {was}, here it is {now}"
    for old, new in zip(there["signals"], here["signals"], strict=True):
        reason = _other_signal(old, new)
        if reason:
            return f"its signal {old['name']} {reason}"
    if there["objects"] != here["objects"]:
        return "its signals belong to other objects"
    if any(old != new for old, new in operators):
        return "its operators work on other signals"
    return None


def _other_signal(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """Return how a signal differs from what it is here, or None."""
    was, now = ((signal["dtype"], signal["shape"]) for signal in (old, new))
    if was != now:
        return f"is {was}, here it is {now}"
    change = np.subtract(old["values"], new["values"])
    if np.abs(change).max() > SAME_VALUES * old["values"][1]:
        return "begins with other values: the seed or a parameter is another one"
    return None
