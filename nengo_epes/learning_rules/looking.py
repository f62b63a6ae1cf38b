"""Signals that are brought up to date when somebody looks at them.

A learning rule need not touch a matrix in every step to be exact: it is enough that
whoever looks at the matrix finds it up to date. Probes, and users through
``sim.signals[...]``, look by ``SignalDict.__getitem__``; that is where these hooks are.
Operators hold the arrays themselves, so that what they read is never left behind.
"""

from __future__ import annotations

import weakref

import numpy as np
from nengo.builder.signal import SignalDict


class WatchedSignals(SignalDict):
    """A SignalDict that calls whoever owns a signal before the signal is looked at.

    A SignalDict becomes one by `watch`; what it holds stays the same. Who keeps an
    array that was looked at, or a part of it, finds it up to date after every step, for
    as long as it is kept. What is formed can be read, but not written.
    """

    def __getitem__(self, key):
        """Return the array of a signal, brought up to date."""
        # most signals are not watched, and the simulator looks at two in every step
        watched = self.known.get(key)
        if watched is None:
            base = getattr(key, "base", None)
            watched = base in self.refreshers or base in self.formed
            if key in self:
                self.known[key] = watched
        return self._look(key) if watched else super().__getitem__(key)

    def get(self, key, default=None):
        """Return the array of a signal, brought up to date, or the default."""
        known = key in self or getattr(key, "base", None) in self.formed
        return self[key] if known else default

    def _look(self, key):
        for refresh in self.refreshers.get(key.base, {}).values():
            refresh()
        form = self.formed.get(key.base)
        array = super().__getitem__(key) if form is None else _part(form(), key)
        # so that parts of it hold on to it, and we know how long it is kept
        shown = np.asarray(memoryview(array))
        shown.setflags(write=form is None)
        self.held.append((weakref.ref(shown), array, key))
        return shown

    def keep_up(self):
        """Bring up to date what was looked at and is still kept."""
        self.held[:] = [entry for entry in self.held if entry[0]() is not None]
        for _, array, key in self.held:
            for refresh in self.refreshers.get(key.base, {}).values():
                refresh()
            if key.base in self.formed:
                array[...] = _part(self.formed[key.base](), key)

    def items(self):
        """Return all signals that have an array, as they are, watched ones first.

        Who restores them in this order, as a pickled Simulator does, writes the
        weights before what is still to be added to them.
        """
        kept = (item for item in super().items() if item[0].base not in self.formed)
        return sorted(kept, key=lambda item: item[0].base not in self.refreshers)

    def reset(self, signal):
        """Reset a signal that has an array to its initial value."""
        if signal.base not in self.formed:
            super().reset(signal)


def _part(array, key):
    """Return the part of a base signal's array that a signal is a view of."""
    shape = key.base.shape
    array = np.array(np.broadcast_to(array, shape), dtype=key.dtype, order="C")
    if not key.is_view:
        return array
    return np.ndarray(
        key.shape, key.dtype, buffer=array, offset=key.offset, strides=key.strides
    )


def array_of(signals, signal):
    """Return the array of a signal to an operator, which looks at it in every step.

    Parameters
    ----------
    signals : SignalDict
        The arrays of a simulation, watched or not.
    signal : Signal
        One that has an array.
    """
    if isinstance(signals, SignalDict):
        return SignalDict.__getitem__(signals, signal)
    return signals[signal]


def watch(signals, owner, refreshers, formed):
    """Have signals brought up to date when they are looked at.

    Parameters
    ----------
    signals : SignalDict
        The arrays of a simulation; becomes `WatchedSignals`.
    owner : object
        By whom; a later call replaces an earlier one of the same owner.
    refreshers : dict of Signal to callable
        What brings the array of a signal up to date, in place.
    formed : dict of Signal to callable
        What returns the present values of a signal that has no array of its own.

    Returns
    -------
    bool
        False where another backend keeps its signals in something else, which
        cannot be watched.
    """
    if not isinstance(signals, SignalDict):
        return False
    if not isinstance(signals, WatchedSignals):
        signals.__class__ = WatchedSignals
        signals.refreshers, signals.formed, signals.held = {}, {}, []
    signals.known = {}
    for signal, refresh in refreshers.items():
        signals.refreshers.setdefault(signal.base, {})[owner] = refresh
    signals.formed.update(formed)
    return True


def reads_every_step(model, obj, names):
    """Whether something in a network makes an operator that reads in every step.

    Probes do that filter, and Nodes that watch (see `nengo_epes.watching`).

    Parameters
    ----------
    model : nengo.builder.Model
        The model that is being built.
    obj : Connection or LearningRule
        What may be probed or watched.
    names : tuple of str
        What of it.

    Returns
    -------
    bool
        True also for a model that was built by hand, without a network to look
        through.
    """
    if model.toplevel is None:
        return True
    probes = _probes(model, obj, names)
    return _is_watched(model, obj, names) or not all(map(_is_plain, probes))


def is_probed(model, obj, names):
    """Whether something is probed or watched at all.

    Parameters
    ----------
    model, obj, names
        As in `reads_every_step`.

    Returns
    -------
    bool
        True also for a model that was built by hand.
    """
    return (
        model.toplevel is None
        or _is_watched(model, obj, names)
        or any(_probes(model, obj, names))
    )


def _probes(model, obj, names):
    return (
        probe
        for probe in model.toplevel.all_probes
        if probe.obj == obj and probe.attr in names
    )


def _is_watched(model, obj, names):
    outputs = (node.output for node in model.toplevel.all_nodes)
    watched = (getattr(output, "watched", None) for output in outputs)
    return any(pair in [(obj, name) for name in names] for pair in watched)


def _is_plain(probe):
    # Nengo copies, in every step, what is sliced by a list or with a step
    piece = probe.slice
    is_view = piece is None or (isinstance(piece, slice) and piece.step in (None, 1))
    return probe.synapse is None and is_view
