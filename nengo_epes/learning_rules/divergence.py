"""The check that stops learning before numbers overflow, and its message."""

from __future__ import annotations

import numpy as np
from nengo.exceptions import BuildError, SimulationError
from nengo.rc import rc

# Up to this size Python's floats are faster to check than an array.
FEW_NUMBERS = 8


def make_check(rule, learning_rate, seconds, **arrays):
    """Make a function that stops a simulation before the weights diverge.

    Parameters
    ----------
    rule : str
        Name of the rule for the message.
    learning_rate : float
        Learning rate of the rule for the message.
    seconds : callable
        Returns the simulation time in seconds for the message.
    **arrays : (n,) arrays
        The inputs of the rule, by name.

    Returns
    -------
    callable
        Call it with no argument in every step. It raises
        `nengo.exceptions.SimulationError` if an entry is NaN or larger than the fourth
        root of the largest number of its precision (1e77; 4e9 in single precision), so
        that products of three inputs and a sum over neurons stay finite.

    Examples
    --------
    >>> activities = np.array([3.0, 4.0])
    >>> check = make_check("my rule", 1e-4, lambda: 0.25, activities=activities)
    >>> check()
    >>> activities[1] = np.inf
    >>> check()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    nengo.exceptions.SimulationError: my rule: activities[1] is inf at t=0.25 s; ...
    """
    few, many = [], []
    for array in arrays.values():
        limit = largest_input(array.dtype)
        # squares of rates exceed the range of half precision
        is_few = array.size <= FEW_NUMBERS or array.dtype.itemsize == 2
        (few if is_few else many).append((array, limit, limit**2))

    def check():
        for array, limit, _ in few:
            for value in array.tolist():
                if not -limit <= value <= limit:
                    complain()
        try:
            for array, _, square in many:
                if not array.dot(array) <= square:
                    complain()
        except (FloatingPointError, RuntimeWarning):  # overflow, or infinity minus it
            complain()

    def complain():
        for name, array in arrays.items():
            with np.errstate(invalid="ignore"):
                wrong = ~(np.abs(array) <= largest_input(array.dtype))
            for i in np.flatnonzero(wrong):
                raise SimulationError(
                    f"{rule}: {name}[{i}] is {array[i]:g} at t={seconds():g} s; "
                    "learning stops here, before the weights are lost. The learning "
                    f"rate is {learning_rate:g}: use a smaller one (see "
                    "nengo_epes.arithmetic.stability), or correct whatever computes "
                    "this value"
                )

    return check


def check_factors(conn, dt, **factors):
    """Refuse factors that would overflow in the precision of the simulation.

    Parameters
    ----------
    conn : nengo.Connection
        The connection that learns, for the message.
    dt : float
        Simulator step in seconds.
    **factors : float
        The learning rate and other factors of a change, by name.

    Raises
    ------
    BuildError
        If a factor times ``dt`` is too large.
    """
    for name, value in factors.items():
        if value * dt > largest_input(rc.float_dtype):
            raise BuildError(
                f"{conn}: {name}={value:g} is too large for {rc.float_dtype}; use a "
                "smaller one (nengo_epes.arithmetic.stability.suggest_learning_rate "
                "suggests learning rates)"
            )


def largest_input(dtype):
    """Return the largest input of a rule, the fourth root of the largest number.

    In half precision that would be 16, so any finite number is accepted.
    """
    largest = float(np.finfo(dtype).max)
    return largest if np.dtype(dtype).itemsize == 2 else largest**0.25
