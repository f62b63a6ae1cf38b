"""What a simulator holds besides its signals."""

from __future__ import annotations

import dis
import functools
import pickle
import random
import types
from collections.abc import Iterable, Iterator
from typing import Any

import nengo
import numpy as np
from nengo.builder.processes import SimProcess

from nengo_epes.checkpoints.archive import Array, CheckpointError

# what hides its state, or changes it where it cannot be set
CLOSED = (random.Random, types.GeneratorType)

Generator = np.random.RandomState | np.random.BitGenerator


def find(
    simulator: nengo.Simulator, arrays: list[Array]
) -> tuple[list[Generator], list[Array]]:
    """Find generators of random numbers, and arrays that processes keep.

    Functions have them in their closures; the order is that of the steps.

    Parameters
    ----------
    simulator : nengo.Simulator
        Not closed.
    arrays : list of array
        Those of the signals.

    Returns
    -------
    generators : list of numpy.random.RandomState or numpy.random.BitGenerator
    kept : list of array

    Raises
    ------
    CheckpointError
        If a process keeps something else; the message names it.
    """
    generators: list[Generator] = [simulator.rng]
    kept: list[Array] = []
    seen = {id(simulator.rng)}
    for operator, step in zip(simulator.step_order, simulator._steps, strict=True):
        process = operator.process if isinstance(operator, SimProcess) else None
        for thing in _walk(step, seen):
            if isinstance(thing, Generator):
                generators.append(thing)
            elif process is None:
                continue
            elif isinstance(thing, CLOSED) or _assigns(thing):
                raise CheckpointError(
                    f"the process {process} keeps {thing}, which cannot be put "
                    "into a checkpoint; keep its state in the arrays of make_state"
                )
            elif isinstance(thing, np.ndarray) and thing.flags.writeable:
                if not any(np.may_share_memory(thing, array) for array in arrays):
                    kept.append(thing)
    return generators, kept


def _walk(thing: Any, seen: set[int]) -> Iterator[Any]:
    """Go through what belongs to a function, it first."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    yield thing
    for part in _parts(thing):
        yield from _walk(part, seen)


def _parts(thing: Any) -> Iterable[Any]:
    match thing:
        case types.FunctionType():
            return [
                content for cell in thing.__closure__ or () for content in _in(cell)
            ]
        case types.MethodType():
            return list(getattr(thing.__self__, "__dict__", {}).values())
        case functools.partial():
            return [thing.func, *thing.args, *thing.keywords.values()]
        case np.random.Generator():
            return [thing.bit_generator]
        case dict():
            return list(thing.values())
        case list() | tuple():
            return thing
    is_instance = callable(thing) and not isinstance(thing, type)
    return list(getattr(thing, "__dict__", {}).values()) if is_instance else []


def _in(cell: types.CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # nothing has been assigned yet
        return []


def _assigns(thing: object) -> bool:
    """Whether a function sets variables of the function around it."""
    return isinstance(thing, types.FunctionType) and any(
        line.opname == "STORE_DEREF" and line.argval in thing.__code__.co_freevars
        for line in dis.get_instructions(thing)
    )


def get_generator(generator: Generator) -> dict[str, Any]:
    """Return the state of a generator.

    Parameters
    ----------
    generator : numpy.random.RandomState or numpy.random.BitGenerator
        From `find`.

    Returns
    -------
    dict
        With its kind, ``bit_generator``.
    """
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return dict(generator.state)


def set_generator(generator: Generator, state: dict[str, Any]) -> None:
    """Set what `get_generator` returned.

    Parameters
    ----------
    generator : numpy.random.RandomState or numpy.random.BitGenerator
        From `find`.
    state : dict
        That of one of the same kind.
    """
    if isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.state = state


def find_environments(simulator: nengo.Simulator) -> list[Any]:
    """Return the Gymnasium environments of a simulator.

    Parameters
    ----------
    simulator : nengo.Simulator
        Not closed.

    Returns
    -------
    list of gymnasium.Env
        In the order of the steps.
    """
    processes = (getattr(op, "process", None) for op in simulator.step_order)
    environments = (getattr(process, "gym_env", None) for process in processes)
    return [environment for environment in environments if environment is not None]


def pickled(environment: Any) -> bytes:
    """Return a pickle of a Gymnasium environment.

    Parameters
    ----------
    environment : gymnasium.Env
        The environment.

    Returns
    -------
    bytes

    Raises
    ------
    CheckpointError
        If it cannot be pickled, or not with its state.
    """
    from gymnasium.utils import EzPickle

    inner = environment
    while inner is not None:
        if isinstance(inner, EzPickle) and _getstate(inner) is EzPickle.__getstate__:
            raise CheckpointError(
                f"{environment} cannot be put into a checkpoint: Gymnasium pickles "
                f"only how its {type(inner).__name__} was made, and not where it stands"
            )
        inner = getattr(inner, "env", None)
    try:
        return pickle.dumps(environment)
    except Exception as error:  # whatever its author raises
        raise CheckpointError(
            f"{environment} cannot be put into a checkpoint, because it cannot be "
            f"pickled: {error}"
        ) from error


def _getstate(thing: Any) -> Any:
    return type(thing).__getstate__


def unpickled(content: bytes, environment: Any) -> dict[str, Any]:
    """Return the attributes of a pickled environment that is to replace another.

    Parameters
    ----------
    content : bytes
        From `pickled`, and not from a stranger: it can run any code.
    environment : gymnasium.Env
        The one in the simulator.

    Returns
    -------
    dict of str to object

    Raises
    ------
    CheckpointError
        If it is of another kind, or cannot be unpickled.
    """
    try:
        loaded = pickle.loads(content)
    except Exception as error:
        raise CheckpointError(
            f"the environment {environment} cannot be unpickled: {error}"
        ) from error
    if str(loaded) != str(environment):
        raise CheckpointError(f"its environment is {loaded}, here it is {environment}")
    return dict(vars(loaded))
