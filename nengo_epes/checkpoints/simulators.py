"""Saving and loading a simulator."""

from __future__ import annotations

import json
from typing import Any

import nengo
import numpy as np
from nengo.builder.signal import SignalDict

from nengo_epes.checkpoints import hidden
from nengo_epes.checkpoints.archive import Array, CheckpointError, PathLike, read, write
from nengo_epes.checkpoints.layout import bases, describe, difference
from nengo_epes.version import __version__


def save(simulator: nengo.Simulator, path: PathLike, note: object = None) -> None:
    """Save all that a simulation needs to go on from where it stands.

    Use it between two steps, as often as you like: it changes nothing. To keep only
    what an agent has learned, use `nengo_epes.rl.evaluation.learned_weights` instead.

    Parameters
    ----------
    simulator : nengo.Simulator
        Built with ``optimize=False``, and not closed.
    path : path
        The file; it is replaced when the new one is whole.
    note : object, optional
        Anything that JSON can hold, for `load` to return.

    Raises
    ------
    CheckpointError
        If the simulator is closed, optimized or that of another backend, or has a
        process or an environment whose state cannot be had.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import nengo
    >>> from nengo_epes import checkpoints
    >>> with nengo.Network(seed=0) as model:
    ...     a, b = nengo.Ensemble(10, 1), nengo.Ensemble(10, 1)
    ...     learned = nengo.Connection(a, b, learning_rule_type=nengo.PES())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.checkpoint")
    ...     with nengo.Simulator(model, progress_bar=False, optimize=False) as sim:
    ...         sim.run(0.1)
    ...         checkpoints.save(sim, path, note={"trained": "a little"})
    ...     with nengo.Simulator(model, progress_bar=False, optimize=False) as sim:
    ...         print(checkpoints.load(sim, path), sim.n_steps)
    {'trained': 'a little'} 100
    """
    parts = _Parts(simulator)
    pickles = [hidden.pickled(environment) for environment in parts.environments]
    header = {
        "versions": _versions(),
        "seed": int(simulator.seed),
        "layout": describe(simulator),
        "generators": [hidden.get_generator(x) for x in parts.generators],
        "environments": len(pickles),
        "note": note,
    }
    contents = [np.frombuffer(content, np.uint8) for content in pickles]
    write(path, header, parts.arrays + contents)


def load(simulator: nengo.Simulator, path: PathLike) -> Any:
    """Let a simulator go on from where another one was saved.

    Its network has to be the same: built by the same code, from the same seeds. All
    that can be checked is checked before anything is changed. Probes begin empty.

    Parameters
    ----------
    simulator : nengo.Simulator
        Built with ``optimize=False``, and not closed; how far it has run does not
        matter.
    path : path
        From `save`. Not from a stranger: environments in it are pickled, and a pickle
        can run any code.

    Returns
    -------
    object
        The note.

    Raises
    ------
    CheckpointError
        If the file is damaged, or of another version or network, or the simulator is
        none that could have been saved. Nothing has changed then.
    OSError
        If the file cannot be read.

    Examples
    --------
    See `save`.
    """
    parts = _Parts(simulator)
    header, arrays = read(path)
    try:
        _check_header(header, simulator)
        environments = parts.check(arrays, header["generators"], header["environments"])
    except CheckpointError as error:
        raise CheckpointError(f"{path} does not fit: {error}") from error
    for array, value in zip(parts.arrays, arrays, strict=False):
        array[...] = value
    for generator, state in zip(parts.generators, header["generators"], strict=True):
        hidden.set_generator(generator, state)
    for environment, attributes in zip(parts.environments, environments, strict=True):
        vars(environment).clear()
        vars(environment).update(attributes)
    simulator.clear_probes()
    simulator._probe_step_time()  # what Nengo itself does after every step
    return header["note"]


class _Parts:
    """The state of a simulator, by references to where it is."""

    def __init__(self, simulator: nengo.Simulator) -> None:
        _check_kind(simulator)
        self.arrays = [
            simulator.signals[signal]
            for signal in bases(simulator)
            if not signal.readonly
        ]
        self.generators, kept = hidden.find(simulator, self.arrays)
        self.arrays += kept
        self.environments = hidden.find_environments(simulator)

    def check(
        self, arrays: list[Array], generators: list[dict[str, Any]], n_environments: int
    ) -> list[dict[str, Any]]:
        """Refuse what does not fit; return the attributes of the environments."""
        n_arrays = len(arrays) - n_environments
        there = [_kind(array) for array in arrays[:n_arrays]]
        here = [_kind(array) for array in self.arrays]
        there += [state["bit_generator"] for state in generators]
        here += [hidden.get_generator(x)["bit_generator"] for x in self.generators]
        if there != here or n_environments != len(self.environments):
            raise CheckpointError("its processes keep other things than those here")
        return [
            hidden.unpickled(content.tobytes(), environment)
            for content, environment in zip(
                arrays[n_arrays:], self.environments, strict=True
            )
        ]


def _kind(array: Array) -> tuple[tuple[int, ...], str]:
    return array.shape, array.dtype.str


def _versions() -> dict[str, str]:
    return {"nengo": nengo.__version__, "nengo_epes": __version__}


def _check_kind(simulator: nengo.Simulator) -> None:
    """Refuse a simulator that has no state, or one that nobody could find again."""
    if not isinstance(simulator, nengo.Simulator):
        raise CheckpointError(
            f"{simulator!r} is no nengo.Simulator; build one with "
            "nengo.Simulator(network, optimize=False)"
        )
    if simulator.closed:
        raise CheckpointError(
            "the simulator is closed and has no state any more; save and load before "
            "close(), inside the with block"
        )
    if not isinstance(simulator.signals, SignalDict):
        raise CheckpointError(
            f"{type(simulator)} keeps its signals in its own way; use nengo.Simulator"
        )
    if simulator.optimize:
        raise CheckpointError(
            "the simulator was built with optimize=True: Nengo's optimizer puts "
            "signals together in another way in every build, so that its checkpoint "
            "would fit no other; use nengo.Simulator(network, optimize=False)"
        )


def _check_header(header: dict[str, Any], simulator: nengo.Simulator) -> None:
    """Refuse the checkpoint of other libraries, another network or another seed."""
    if header["versions"] != _versions():
        there, here = (
            ", ".join(f"{name} {version}" for name, version in versions.items())
            for versions in (header["versions"], _versions())
        )
        raise CheckpointError(
            f"it was written with {there}, and here is {here}; install those versions"
        )
    # as it would be in a file
    here = json.loads(json.dumps(describe(simulator)))
    different = difference(header["layout"], here)
    if different:
        raise CheckpointError(f"it is of another network: {different}")
    if header["seed"] != simulator.seed:
        raise CheckpointError(
            f"its seed is {header['seed']}, here it is {simulator.seed}; give the "
            f"network a seed, or nengo.Simulator seed={header['seed']}"
        )
