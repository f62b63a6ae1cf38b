"""Learned weights: read them, save and load them, or fix them in a copy of the network.

A connection counts as learned if it has a learning rule of any kind: a rule of this
package, a rule of Nengo, or a rule of your own. Most rules change the weights of their
connection. A rule such as `nengo.Voja` changes the encoders of the postsynaptic
ensemble instead, and these encoders are saved, loaded and fixed as well.

A file of learned weights is an .npz with a JSON header and a checksum. It contains no
pickles, so loading never runs code. The traces and filters of a simulation are not in
the file.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import dataclass
from typing import Any

import nengo
import numpy as np
import numpy.typing as npt
from nengo.builder import Signal
from nengo.builder.ensemble import BuiltEnsemble
from nengo.connection import LearningRule
from nengo.exceptions import NengoWarning, SimulatorClosed

from nengo_epes import archive

__all__ = ["freeze", "load", "save", "weights"]

KIND = "nengo_epes-learned"

FloatArray = npt.NDArray[np.floating[Any]]
PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class _Learned:
    index: int  # among the learned connections
    attribute: str  # "weights" or "encoders"
    conn: nengo.Connection
    signal: Signal


def weights(sim: nengo.Simulator, conn: nengo.Connection) -> FloatArray:
    """Return a copy of the current weights of a connection.

    In contrast, ``sim.data[conn].weights`` are the weights before learning.

    Parameters
    ----------
    sim : nengo.Simulator
        A simulator that is not closed.
    conn : nengo.Connection
        A connection in the simulated network, learned or not.

    Returns
    -------
    (n_post, n_pre) ndarray
        Weights after the latest simulator step. For a connection from an ensemble, they
        are the decoders after the transform: ``n_post`` is the number of output
        dimensions, or of neurons for a solver with ``weights=True``.

    Raises
    ------
    SimulatorClosed
        If the simulator is closed.
    ValueError
        If the connection is not in the simulated network, or its weights are not a
        dense 2-D matrix.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import learned
    >>> with nengo.Network(seed=0) as net:
    ...     pre, post = nengo.Ensemble(20, dimensions=1), nengo.Node(size_in=1)
    ...     conn = nengo.Connection(pre, post, learning_rule_type=nengo.PES())
    ...     error = nengo.Connection(nengo.Node(1), conn.learning_rule)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     before = learned.weights(sim, conn)
    ...     sim.run(0.1)
    ...     after = learned.weights(sim, conn)
    >>> after.shape, bool((before != after).any())
    ((1, 20), True)
    """
    _check_open(sim)
    if conn not in sim.model.params:
        raise ValueError(
            f"{conn}: not in the simulated network; pass a connection of the network "
            "that this simulator was built from"
        )
    signal = sim.model.sig[conn].get("weights")
    if signal is None or signal.sparse or signal.ndim != 2:
        raise ValueError(
            f"{conn}: its weights are not a dense 2-D matrix (got {signal}); pass a "
            "connection from an ensemble, or one with a 2-D array as its transform"
        )
    return np.array(sim.signals[signal], order="C")


def save(sim: nengo.Simulator, path: PathLike) -> None:
    """Save everything that a simulation has learned.

    The file stores the weights of every connection that has a learning rule, and the
    learned encoders. Save between any two simulator steps, as often as you like: the
    simulation is not changed.

    Parameters
    ----------
    sim : nengo.Simulator
        A simulator that is not closed.
    path : str or os.PathLike
        File to write, under exactly this name. An existing file is replaced once the
        new file is complete.

    Raises
    ------
    SimulatorClosed
        If the simulator is closed.
    ValueError
        If the network has no learned connection, or a weight is NaN or infinite; an
        existing file stays as it is then.
    OSError
        If the file cannot be written.

    See Also
    --------
    nengo_epes.checkpoints.save : stores the whole state of a simulation

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import nengo
    >>> from nengo_epes import learned
    >>> with nengo.Network(seed=0) as net:
    ...     pre, post = nengo.Ensemble(20, dimensions=1), nengo.Node(size_in=1)
    ...     conn = nengo.Connection(pre, post, learning_rule_type=nengo.PES())
    ...     error = nengo.Connection(nengo.Node(1), conn.learning_rule)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model.npz")
    ...     with nengo.Simulator(net, progress_bar=False) as sim:
    ...         sim.run(0.1)
    ...         learned.save(sim, path)
    ...         trained = learned.weights(sim, conn)
    ...     with nengo.Simulator(net, progress_bar=False) as sim:
    ...         learned.load(sim, path)
    ...         print((learned.weights(sim, conn) == trained).all())
    True
    """
    _check_open(sim)
    learned = _find_learned(sim)
    if not learned:
        raise ValueError(
            f"{sim.model.toplevel}: no connection has a learning rule; there is "
            "nothing to save"
        )
    # an unusable file must not replace a usable file
    arrays = {
        str(i): np.array(_finite(sim.signals[item.signal], item.conn), order="C")
        for i, item in enumerate(learned)
    }
    entries = [
        {
            "index": item.index,
            "attribute": item.attribute,
            "label": str(item.conn),
            "shape": item.signal.shape,
            "pre_tuning": _pre_tuning(sim, item),
        }
        for item in learned
    ]
    archive.write(path, KIND, {"learned": entries}, arrays)


def load(sim: nengo.Simulator, path: PathLike) -> None:
    """Load what another simulation has learned.

    The network must have as many learned connections as the saved network, in the same
    order and with weights of the same shapes. Labels, ``dt`` and the floating-point
    precision may differ. Everything is checked before anything is written.

    Weights are useful only for the neurons that learned them, and another seed draws
    other neurons. If an ensemble has its own ``seed``, it keeps its neurons when other
    parts of the network change.

    Parameters
    ----------
    sim : nengo.Simulator
        A simulator that is not closed. Its weights are overwritten in place.
    path : str or os.PathLike
        File written by `save`.

    Raises
    ------
    SimulatorClosed
        If the simulator is closed.
    ValueError
        If the file was not written by `save`, is damaged, does not match the network,
        or stores NaN or infinity. The simulation is unchanged then.
    OSError
        If the file cannot be read.

    Warns
    -----
    NengoWarning
        If the pre neurons of a connection have other gains, biases or encoders than the
        neurons that learned. The weights are loaded all the same. Files that were saved
        in another floating-point precision are not compared.

    See Also
    --------
    freeze : the network without learning rules, after a load

    Notes
    -----
    A learning rule computes a change in one simulator step, and Nengo adds it in the
    next step. A change that is pending while you load was computed for other weights.
    So `load` sets the pending changes of all learned connections to 0. It leaves
    everything else as it is, eligibility traces for example.

    ``sim.reset()`` restores the weights that the network was built with, so load again
    after a reset.

    Examples
    --------
    See `save`.
    """
    _check_open(sim)
    learned, stored = _find_learned(sim), _read(path)
    if not learned:
        raise ValueError(
            f"{path}: stores {len(stored)} learned arrays, but no connection of the "
            "network has a learning rule (got 0 learned arrays); load into the network "
            "with its learning rules, then remove them with learned.freeze"
        )
    if len(learned) != len(stored):
        raise ValueError(
            f"{path}: stores {len(stored)} learned arrays, but the network has "
            f"{len(learned)}; load into a network of the same structure as the saved "
            "network"
        )
    values = [
        _fit(path, target, entry, array)
        for target, (entry, array) in zip(learned, stored, strict=True)
    ]
    for target, (entry, _) in zip(learned, stored, strict=True):
        found = _pre_tuning(sim, target)
        _warn_of_other_neurons(target.conn, entry.get("pre_tuning"), found)
    for target, value in zip(learned, values, strict=True):
        sim.signals[target.signal] = value
        for rule in _rules(target.conn):
            delta = sim.model.sig[rule]["delta"]
            # a rule may write its changes without Nengo's delta, which is unused then
            if delta.base in sim.signals:
                sim.signals[delta] = 0.0


def freeze(sim: nengo.Simulator, network: nengo.Network) -> nengo.Network:
    """Return a copy of a network with fixed weights, without learning rules.

    The copy has the weights and encoders that the simulation has learned so far, and
    the same neurons. It contains no learning rules, so every backend that supports the
    rest of the network can run it.

    Parameters
    ----------
    sim : nengo.Simulator
        A simulator that is not closed.
    network : nengo.Network
        The simulated network or one of its subnetworks. It is not changed.

    Returns
    -------
    nengo.Network
        A deep copy, of the same class and with the same attributes.

    Raises
    ------
    SimulatorClosed
        If the simulator is closed.
    ValueError
        If the network or a part of it was not built in this simulator. Also if a
        learned connection leads out of the network, or a weight is NaN or infinite.

    Notes
    -----
    * A learned connection from an ensemble becomes a connection from the ensemble's
      neurons, with the weights as its transform. With a weight solver it stays a
      connection between ensembles, with the weights in a `nengo.solvers.NoSolver`.
    * Connections into learning rules and probes of learning rules are left out. The
      Nodes and ensembles that computed an error stay. A probe of the weights of a
      learned connection stays as well, and records constant weights.
    * If ``network`` is a subnetwork, connections between it and the outside are left
      out, and so are probes of objects outside.
    * If encoders were learned, the decoders of that ensemble are fixed as well. Nengo
      would otherwise solve for decoders that fit the new encoders.
    * All seeds are set, so the copy has the encoders, gains and initial voltages of the
      original. A process without a seed of its own, such as noise, may draw other
      numbers than in the original network.
    * Functions are shared with the original, as by ``copy.deepcopy``. Callable objects
      in Nodes are copied.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import learned
    >>> with nengo.Network(seed=0) as net:
    ...     net.pre, net.output = nengo.Ensemble(20, 1), nengo.Node(size_in=1)
    ...     conn = nengo.Connection(net.pre, net.output, learning_rule_type=nengo.PES())
    ...     error = nengo.Connection(nengo.Node(1), conn.learning_rule)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.1)
    ...     fixed = learned.freeze(sim, net)
    >>> [c.learning_rule for c in fixed.all_connections]
    [None]
    >>> with fixed:
    ...     probe = nengo.Probe(fixed.output)
    >>> with nengo.Simulator(fixed, progress_bar=False) as sim:
    ...     sim.run(0.1)
    >>> sim.data[probe].shape
    (100, 1)
    """
    _check_open(sim)
    seeds, originals = sim.model.seeds, [network, *network.all_objects]
    for obj in originals:
        if obj not in seeds:
            raise ValueError(
                f"{obj}: not built in this simulator; pass the simulated network or "
                "one of its subnetworks, and add nothing to it after the build"
            )
    learned = _find_learned(sim)
    fixed = {item.conn for item in learned if item.attribute == "weights"}
    encoders = {
        _owner(item.conn.post_obj): _finite(sim.signals[item.signal], item.conn)
        for item in learned
        if item.attribute == "encoders"
    }
    members = set(originals)
    inside = {obj for obj in originals if _is_inside(obj, members)}
    for conn in (fixed & members) - inside:
        raise ValueError(
            f"{conn}: a learned connection leads out of the network; freeze a network "
            "that contains both of its ends"
        )
    with warnings.catch_warnings():
        # nengo 4.1 emits this when it copies a passthrough node
        warnings.filterwarnings("ignore", "'Node.size_out' is being overwritten")
        frozen = network.copy(add_to_container=False)
    left_out = set()
    for original, copy in zip(originals, [frozen, *frozen.all_objects], strict=True):
        copy.seed = int(seeds[original])
        if original not in inside:
            left_out.add(copy)
        elif original in encoders:
            _fix_encoders(copy, sim.data[original], encoders[original])
        elif isinstance(original, nengo.Connection):
            copy.learning_rule_type = None
            if original in fixed or _was_solved_with(original, encoders):
                _fix_weights(copy, _finite(weights(sim, original), original))
        elif isinstance(original, nengo.Probe) and original.obj in encoders:
            _fix_decoded_probe(sim, original, copy)
    for part in (frozen, *frozen.all_networks):
        for objects in (part.connections, part.probes):
            objects[:] = [obj for obj in objects if obj not in left_out]
    return frozen


def _check_open(sim: nengo.Simulator) -> None:
    if sim.closed:
        raise SimulatorClosed(
            "the simulator is closed and has discarded its weights; use it before "
            "close(), which means inside its `with` block"
        )


def _rules(conn: nengo.Connection) -> list[LearningRule]:
    rules = conn.learning_rule
    if rules is None or isinstance(rules, LearningRule):
        return [] if rules is None else [rules]
    return list(rules.values() if isinstance(rules, dict) else rules)


def _owner(obj: Any) -> Any:
    """Return the object that a network lists: the ensemble for its neurons."""
    return obj.ensemble if isinstance(obj, nengo.ensemble.Neurons) else obj


def _find_learned(sim: nengo.Simulator) -> list[_Learned]:
    found, sig = [], sim.model.sig
    learned = [conn for conn in sim.model.toplevel.all_connections if _rules(conn)]
    for index, conn in enumerate(learned):
        modified = {rule.modifies for rule in _rules(conn)}
        if modified & {"weights", "decoders"}:
            found.append(_Learned(index, "weights", conn, sig[conn]["weights"]))
        if "encoders" in modified:
            signal = sig[_owner(conn.post_obj)]["encoders"]
            found.append(_Learned(index, "encoders", conn, signal))
    return found


def _pre_tuning(sim: nengo.Simulator, item: _Learned) -> str | None:
    """Return the precision and a hash of the tuning of the pre neurons, as built."""
    ens = _owner(item.conn.pre_obj)
    if item.attribute != "weights" or not isinstance(ens, nengo.Ensemble):
        return None
    if isinstance(ens.neuron_type, nengo.Direct):  # no neurons
        return None
    built = sim.model.params[ens]
    tuning = built.gain, built.bias, built.scaled_encoders
    # another machine may round the last bits of a float64 in another way
    content = b"".join(np.asarray(array, np.float32).tobytes() for array in tuning)
    return f"{built.gain.dtype} {hashlib.sha256(content).hexdigest()[:16]}"


def _warn_of_other_neurons(conn: nengo.Connection, saved: Any, found: Any) -> None:
    # an old file has no hash; hashes of different precision cannot be compared
    if saved and found and saved != found and saved.split()[0] == found.split()[0]:
        warnings.warn(
            f"{conn}: the pre neurons differ from those that learned (got the tuning "
            f"{found}, saved {saved}); set seed= on the ensemble",
            NengoWarning,
            stacklevel=3,
        )


def _finite(array: FloatArray, name: object) -> FloatArray:
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name}: a learned value is NaN or infinite; train again with a lower "
            "learning rate"
        )
    return array


def _read(path: PathLike) -> list[tuple[dict[str, Any], FloatArray]]:
    """Return pairs (entry of the header, array)."""
    header, arrays = archive.read(path, KIND)
    for array in arrays.values():
        if array.dtype.kind != "f":
            raise ValueError(
                f"{path}: an array is not floating-point (got {array.dtype}); save the "
                "file again"
            )
    return list(zip(header["learned"], arrays.values(), strict=True))


def _fit(
    path: PathLike, target: _Learned, entry: dict[str, Any], array: FloatArray
) -> FloatArray:
    """Return a stored array in the precision of its target, or refuse it."""
    here = f"{target.conn}, {target.attribute} of shape {target.signal.shape}"
    there = f"{entry['label']}, {entry['attribute']} of shape {array.shape}"
    expected = target.index, target.attribute, target.signal.shape
    if (entry["index"], entry["attribute"], array.shape) != expected:
        raise ValueError(
            f"{here}: {path} stores {there} in its place; load into a network whose "
            "learned connections have the same order and the same shapes"
        )
    with np.errstate(over="ignore"):
        value = array.astype(target.signal.dtype)
    return _finite(value, f"{here}, loaded from {path}")


def _is_inside(obj: Any, members: set[Any]) -> bool:
    """Return whether all ends of a connection or probe are members of the network."""
    if isinstance(obj, nengo.Connection):
        ends = [obj.pre_obj, obj.post_obj]
    else:
        ends = [obj.obj] if isinstance(obj, nengo.Probe) else []
    # a LearningRule is never a member
    return all(_owner(end) in members for end in ends)


def _was_solved_with(
    conn: nengo.Connection, encoders: dict[nengo.Ensemble, FloatArray]
) -> bool:
    """Return whether Nengo computed weights from encoders that have changed since."""
    if not isinstance(conn.pre_obj, nengo.Ensemble):
        return False
    return conn.pre_obj in encoders or (
        conn.solver.weights and conn.post_obj in encoders
    )


def _fix_encoders(
    ens: nengo.Ensemble, built: BuiltEnsemble, scaled: FloatArray
) -> None:
    """Give an ensemble encoders that Nengo scales to the learned encoders."""
    # gain 0: the scaled encoders are 0, whatever the encoders are
    scale = np.divide(
        ens.radius, built.gain, out=np.zeros_like(built.gain), where=built.gain != 0
    )
    ens.gain, ens.bias = built.gain, built.bias
    # next to gain and bias these have no effect, and Nengo would warn
    ens.max_rates = nengo.Ensemble.max_rates.default
    ens.intercepts = nengo.Ensemble.intercepts.default
    ens.normalize_encoders = False
    ens.encoders = scaled * scale[:, np.newaxis]


def _fix_weights(conn: nengo.Connection, matrix: FloatArray) -> None:
    """Fix a connection's weights in place, so that references to it stay valid."""
    if not isinstance(conn.pre_obj, nengo.Ensemble):
        conn.transform = matrix
    elif conn.solver.weights and isinstance(conn.post_obj, nengo.Ensemble):
        # to the neurons, but without the gains that Nengo applies to post.neurons
        conn.solver = nengo.solvers.NoSolver(matrix.T, weights=True)
        conn.solver.compositional = False
    else:
        conn.function = conn.eval_points = None
        # read-only once set; a new Connection would not replace references to the old
        nengo.Connection.pre.data[conn] = conn.pre_obj.neurons
        conn.transform = matrix


def _fix_decoded_probe(
    sim: nengo.Simulator, original: nengo.Probe, probe: nengo.Probe
) -> None:
    # Nengo builds a connection from the ensemble to the probe, which no network lists
    for conn in list(sim.model.sig):
        if isinstance(conn, nengo.Connection) and conn.post_obj is original:
            probe.solver = nengo.solvers.NoSolver(weights(sim, conn).T)
