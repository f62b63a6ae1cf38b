"""Checkpoints: the whole state of a simulation in a file.

A simulation that loads a checkpoint continues as the saved simulation would have: bit
for bit, on the same machine with the same libraries and number of threads.

The file stores all signals: weights, traces, the state of filters and neurons,
counters, the time, and also constants, which you may have changed by hand. It does not
store

* what probes have recorded;
* the state of functions of Nodes, and of processes that keep state outside of the
  arrays of `nengo.Process.make_state`;
* random number generators. Nengo's noise processes and stochastic neurons draw random
  numbers in each step, and continue with other numbers. `save` warns about them. The
  policies of this package draw by a counter, which is stored.

The state of an `nengo_epes.rl.environment.Environment` is not stored either. A
checkpoint is therefore saved at the start of an episode, and `load` resets the
environment with the seed of this episode.

The file is an .npz with a JSON header and a checksum. It contains no pickles, so
loading never runs code.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from contextlib import ExitStack
from typing import Any

import nengo
import numpy as np
from nengo.builder import Operator, Signal
from nengo.builder.processes import SimProcess
from nengo.exceptions import NengoWarning
from nengo.params import FrozenObject, iter_params

from nengo_epes import archive, files
from nengo_epes.version import __version__

__all__ = ["CheckpointError", "is_at_episode_start", "load", "save"]

KIND = "nengo_epes-checkpoint"

Array = np.ndarray[Any, np.dtype[Any]]

_ADDRESS = re.compile(r"(?: at )?0x[0-9a-fA-F]+")

# remedy for each part of the identity that differs
_SAME_CODE = "build the network with the code that built the saved one"
_REMEDIES = {
    "versions": "install the versions of the file",
    "dt": "pass the `dt` of the file to nengo.Simulator",
    "precision": "set nengo.rc['precision']['bits'] as for the saved simulator",
    "network seed": "give the network the seed of the saved network",
    "simulator seed": "pass the `seed` of the file to nengo.Simulator",
}

# types that draw random numbers in each step
_RANDOM = (
    nengo.processes.WhiteNoise,
    nengo.processes.FilteredNoise,
    nengo.PoissonSpiking,
    nengo.StochasticSpiking,
)


class CheckpointError(ValueError):
    """A checkpoint cannot be saved, or does not fit; nothing has been changed."""


def save(sim: nengo.Simulator, path: files.PathLike, note: object = None) -> None:
    """Save the whole state of a simulation.

    Saving changes nothing in the simulation. To store only what was learned, use
    `nengo_epes.learned.save`.

    Parameters
    ----------
    sim : nengo.Simulator
        A simulator that is not closed, built with ``optimize=False``.
    path : str or os.PathLike
        File to write, under exactly this name. An existing file is replaced once the
        new file is complete.
    note : object, optional
        Value that JSON can represent, to be returned by `load`.

    Warns
    -----
    NengoWarning
        If there are noise processes or stochastic neurons; the warning names them.

    Raises
    ------
    CheckpointError
        If the simulator is closed or optimized, or if an environment is in mid-episode;
        see `is_at_episode_start`.
    TypeError or ValueError
        If JSON cannot represent the note.
    OSError
        If the file cannot be written; an existing file stays as it is then.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import nengo
    >>> from nengo_epes import checkpoints
    >>> with nengo.Network(seed=0) as net:
    ...     pre, post = nengo.Ensemble(10, 1), nengo.Ensemble(10, 1)
    ...     conn = nengo.Connection(pre, post, learning_rule_type=nengo.PES())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.npz")
    ...     with nengo.Simulator(net, progress_bar=False, optimize=False) as sim:
    ...         sim.run(0.1)
    ...         checkpoints.save(sim, path, note={"task": "none"})
    ...     with nengo.Simulator(net, progress_bar=False, optimize=False) as sim:
    ...         print(checkpoints.load(sim, path), sim.n_steps)
    {'task': 'none'} 100
    """
    if not is_at_episode_start(sim):
        raise CheckpointError(
            "the simulator: an environment is in mid-episode, and its state cannot be "
            "stored; run it until `checkpoints.is_at_episode_start(sim)`"
        )
    parts = [part for op in sim.step_order for part in vars(op).values()]
    random = [_describe(part) for part in parts if isinstance(part, _RANDOM)]
    if random:
        warnings.warn(
            f"{', '.join(random)}: draws random numbers in each step, and a checkpoint "
            "does not store its generator; the loaded simulation continues with other "
            "numbers",
            NengoWarning,
            stacklevel=2,
        )
    arrays = {str(i): array for i, array in enumerate(_arrays(sim).values())}
    archive.write(path, KIND, {"note": note, "identity": _identity(sim)}, arrays)


def load(sim: nengo.Simulator, path: files.PathLike) -> Any:
    """Resume a saved simulation in another simulator.

    The network must be the same: built by the same code with the same seeds. Everything
    is checked before anything in the simulator is changed. Probes start empty.

    Parameters
    ----------
    sim : nengo.Simulator
        A simulator that is not closed, built with ``optimize=False``. It may have run.
    path : str or os.PathLike
        File written by `save`.

    Returns
    -------
    object
        The note.

    Raises
    ------
    CheckpointError
        If the file is damaged, or of another network, seed, time step, precision or
        version. Also if an environment starts the episode with another observation. The
        simulation is unchanged then.
    OSError
        If the file cannot be read.

    Notes
    -----
    An environment that has been used is replaced by a new one, which is opened before
    the old one is closed. An environment that was made before its
    `nengo_epes.rl.environment.Environment` is reset, also if an error follows.

    An environment that remembers something between episodes is noticed by its first
    observation. If its memory has no effect on the observation, as with a wrapper that
    normalizes rewards, it goes unnoticed.

    Examples
    --------
    See `save`.
    """
    here, targets = _identity(sim), _arrays(sim)
    with ExitStack() as environments:
        try:
            header, arrays = archive.read(path, KIND)
            _compare(header.get("identity", {}), here)
            values = dict(zip(targets, arrays.values(), strict=True))
            changed = [x for x in targets if _must_change(x, targets[x], values[x])]
            for process, state in _environments(sim):
                current = {name: targets[signal] for name, signal in state.items()}
                stored = {name: values[signal] for name, signal in state.items()}
                environments.enter_context(process.resume(current, stored))
        except ValueError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise CheckpointError(f"{path}: {reason}") from error
        for signal in changed:
            _set(targets[signal], values[signal])
    sim.clear_probes()
    sim._probe_step_time()  # as Nengo does after every step
    return header["note"]


def is_at_episode_start(sim: nengo.Simulator) -> bool:
    """Return whether all environments of a simulation are at the start of an episode.

    Only then can `save` store the simulation. For an
    `nengo_epes.rl.environment.Environment`, the start of an episode begins in the
    simulator step in which its output ``reset`` is 1. It lasts until the first step of
    the environment. A simulation that has not run is at the start, too.

    Parameters
    ----------
    sim : nengo.Simulator
        A simulator that is not closed, built with ``optimize=False``.

    Returns
    -------
    bool
        True for a simulation without environments.

    Raises
    ------
    CheckpointError
        If the simulator is closed or optimized.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import checkpoints
    >>> from nengo_epes.rl.environment import Environment
    >>> with nengo.Network(seed=0) as net:
    ...     env_node = nengo.Node(Environment("CartPole-v1", steps_per_action=3))
    >>> with nengo.Simulator(net, progress_bar=False, optimize=False) as sim:
    ...     for _ in range(5):
    ...         print(checkpoints.is_at_episode_start(sim), end=" ")
    ...         sim.step()
    True True True True False
    """
    _check_simulator(sim)
    return all(
        process.is_at_episode_start({name: sim.signals[x] for name, x in state.items()})
        for process, state in _environments(sim)
    )


def _check_simulator(sim: nengo.Simulator) -> None:
    closed, optimized = getattr(sim, "closed", False), getattr(sim, "optimize", False)
    for is_wrong, why in (
        (not isinstance(sim, nengo.Simulator), "not a nengo.Simulator; pass one"),
        (closed, "closed; use it before close(), inside its `with` block"),
        (optimized, "optimized, differently in each build; pass optimize=False"),
    ):
        if is_wrong:
            raise CheckpointError(f"{sim}: {why}")


def _environments(sim: nengo.Simulator) -> list[tuple[Any, dict[str, Signal]]]:
    """Return the processes that can be resumed only at the start of an episode."""
    ops = [op for op in sim.step_order if isinstance(op, SimProcess)]
    found = [(op.process, op.state) for op in ops]
    return [(x, state) for x, state in found if hasattr(x, "is_at_episode_start")]


def _arrays(sim: nengo.Simulator) -> dict[Signal, Array]:
    """Return the arrays of signals that have memory of their own, in build order."""
    found = {x: sim.signals[x] for x in sim.signals if not x.is_view}
    # of a sparse matrix, the values that are not 0
    return {x: y if isinstance(y, np.ndarray) else y.data for x, y in found.items()}


def _must_change(signal: Signal, target: Array, value: Array) -> bool:
    """Return whether the values differ, and check that they can be set."""
    if (target.shape, target.dtype) != (value.shape, value.dtype):
        raise ValueError(f"{signal} has another shape (got {value.shape}); save again")
    if target.tobytes() == value.tobytes():  # also NaN
        return False
    try:
        _set(target, target)
    except ValueError as error:
        raise ValueError(
            f"the constant {signal} has another value and cannot be changed (got "
            f"{error}); build the network with the saved value"
        ) from error
    return True


def _set(target: Array, value: Array) -> None:
    was_writeable = target.flags.writeable
    target.setflags(write=True)
    target[...] = value
    target.setflags(write=was_writeable)


def _identity(sim: nengo.Simulator) -> dict[str, Any]:
    """Return what must be the same in the saved simulator and here."""
    _check_simulator(sim)
    signals, seed = list(_arrays(sim)), sim.model.seeds.get(sim.model.toplevel)
    names = [_ADDRESS.sub("", f"{x.name} {x.shape} {x.dtype}") for x in signals]
    numbers = {signal: number for number, signal in enumerate(signals)}
    operators = [_describe_operator(op, numbers) for op in sim.step_order]
    return {
        "versions": f"nengo {nengo.__version__}, nengo_epes {__version__}",
        "dt": sim.dt,
        "precision": ", ".join(sorted({str(signal.dtype) for signal in signals})),
        "network seed": None if seed is None else int(seed),
        "simulator seed": int(sim.seed),
        "network": f"{len(signals)} signals, {len(operators)} operators",
        **{f"signal {number}": name for number, name in enumerate(names)},
        **{f"operator {number}": text for number, text in enumerate(operators)},
    }


def _describe_operator(op: Operator, numbers: dict[Signal, int]) -> str:
    """Return kind and settings of an operator, and the places of its signals."""
    plain = FrozenObject | bool | int | float | str | slice
    settings = [
        f"{name}={_describe(value)}"
        for name, value in sorted(vars(op).items())
        if name != "tag" and isinstance(value, plain)
    ]
    places = [(numbers[x.base], x.offset, x.shape) for x in op.all_signals]
    return f"{type(op).__name__}({', '.join(settings)}) of {places}"


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()[:16]}"
    if isinstance(value, FrozenObject):
        items = [f"{x}={_describe(getattr(value, x))}" for x in iter_params(value)]
        return f"{type(value).__name__}({', '.join(items)})"
    return _ADDRESS.sub("", repr(value))


def _compare(there: dict[str, Any], here: dict[str, Any]) -> None:
    """Refuse the checkpoint of another simulator, and name the first difference."""
    for item in {**there, **here}:
        if there.get(item) != here.get(item):
            raise ValueError(
                f"another {item} (got {there.get(item)} in the file, {here.get(item)} "
                f"here); {_REMEDIES.get(item, _SAME_CODE)}"
            )
