"""Choice of the simulator by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import nengo
from nengo.exceptions import ValidationError

NAMES = ("nengo", "compiled")


def choose_simulator(simulator: Any) -> Any:
    """Return the simulator of a name, or the simulator itself.

    Parameters
    ----------
    simulator : str or type
        "nengo" (`nengo.Simulator`), "compiled" (`nengo_epes.compiled.Simulator`), or a
        subclass of `nengo.Simulator`.

    Returns
    -------
    type

    Raises
    ------
    ValidationError
        If it is neither a known name nor such a subclass.
    ImportError
        If numba is not installed, which "compiled" needs.

    Examples
    --------
    >>> choose_simulator("nengo")
    <class 'nengo.simulator.Simulator'>
    """
    if simulator == "compiled":
        # by name: nothing depends on that folder, which could be a package of its own
        return import_module("nengo_epes.compiled").Simulator
    if isinstance(simulator, type) and issubclass(simulator, nengo.Simulator):
        return simulator
    if simulator != "nengo":
        raise ValidationError(
            f"must be {' or '.join(map(repr, NAMES))}, or a subclass of "
            f"nengo.Simulator (got {simulator!r})",
            attr="simulator",
        )
    return nengo.Simulator
