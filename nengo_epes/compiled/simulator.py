"""A `nengo.Simulator` that does most operators in one compiled function."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.builder.probe import SimProbe
from nengo.exceptions import SimulatorClosed
from nengo.utils.progress import Progress, ProgressTracker

from nengo_epes.compiled import kernels
from nengo_epes.compiled.translations import Table


class Simulator(nengo.Simulator):
    """A `nengo.Simulator` that runs the same model faster, compiled by numba.

    Operators that have a translation are done by one compiled function. All others,
    such as functions of Nodes, stay Python functions and are called in every step, in
    the same order. `Simulator.signals`, probes, pickles and writes to signals work as
    in Nengo. Results are equal to rounding; sums have another order.

    The first simulation ever compiles this function, which takes several seconds. It is
    cached on disk, where numba finds a folder that it can write to. In half precision,
    everything runs in Python.

    Parameters
    ----------
    network, dt, seed, model, progress_bar, optimize
        The parameters of `nengo.Simulator`.

    Attributes
    ----------
    untranslated : list of nengo.builder.Operator
        The operators that run in Python.

    Notes
    -----
    Overflow is noticed where infinite or NaN numbers are next used, and gives the error
    of `nengo.Simulator` there; Nengo also warns where it happens.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes import compiled
    >>> with nengo.Network(seed=0) as net:
    ...     stimulus = nengo.Node(lambda t: t)
    ...     ensemble = nengo.Ensemble(50, 1)
    ...     conn = nengo.Connection(stimulus, ensemble)
    ...     probe = nengo.Probe(ensemble, synapse=0.01)
    >>> with compiled.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.1)
    ...     print(sim.data[probe].shape)
    ...     print([type(operator).__name__ for operator in sim.untranslated])
    (100, 1)
    ['SimPyFunc']
    """

    _table: tuple = ()

    def reset(self, seed=None):
        """Reset the state; see `nengo.Simulator.reset`."""
        if not (self.closed or self._table):
            self._translate()
        super().reset(seed)  # makes the Python functions, with Nengo's random numbers
        self._steps: list = self._join(self._steps)
        self._probed = [
            (
                probe,
                1 if probe.sample_every is None else probe.sample_every / self.dt,
                self.signals[self.model.sig[probe]["in"]],
            )
            for probe in self.model.probes
        ]

    def _translate(self):
        """Make the table of all operators that have a translation."""
        dtype = self.signals[self.model.time].dtype
        table = Table(self.signals, dtype, self.dt, self.step_order)
        self._rows = []  # of each operator, or None
        self.untranslated = []
        for op in self.step_order:
            first = len(table.rows)
            # numba knows no half precision
            translated = dtype.itemsize > 2 and table.translate(op)
            self._rows.append(range(first, len(table.rows)) if translated else None)
            if not translated and type(op) is not SimProbe:
                self.untranslated.append(op)
        self._table = table.allocate(self.signals)
        if table.rows and dtype not in kernels.compiled:
            progress = Progress("Compiling", "Compilation")
            with ProgressTracker(self.progress_bar, progress):
                kernels.compile_run(*self._table)

    def _join(self, functions):
        """Replace functions of consecutive translated operators by one each."""
        steps, block = [], []
        for op, rows, function in zip(
            self.step_order, self._rows, functions, strict=True
        ):
            if rows is not None:
                block.append((rows, function))
            elif type(op) is not SimProbe:  # does nothing
                if block:
                    steps.append(make_block(self._table, block))
                steps.append(function)
                block = []
        return [*steps, make_block(self._table, block)] if block else steps

    def step(self):
        """Advance by one step of ``dt`` seconds."""
        self._check_open()
        with np.errstate(invalid="raise", divide="ignore"):
            self._advance()

    def run_steps(self, steps, progress_bar=None):
        """Simulate a number of steps; see `nengo.Simulator.run_steps`."""
        self._check_open()
        shown = self.progress_bar if progress_bar is None else progress_bar
        progress = Progress("Simulating", "Simulation", steps)
        with (
            ProgressTracker(shown, progress) as tracker,
            np.errstate(invalid="raise", divide="ignore"),  # in Nengo, at each step
        ):
            for _ in range(steps):
                self._advance()
                tracker.total_progress.step()

    def _check_open(self):
        if self.closed:
            raise SimulatorClosed("Simulator cannot run because it is closed.")

    def _advance(self):
        for function in self._steps:
            function()
        self._probe()

    def _probe(self):
        self._probe_step_time()
        for probe, period, array in self._probed:
            if self._n_steps % period < 1:
                self._sim_data[probe].append(array.copy())


def make_block(arrays, operators):
    """Make a function of consecutive operators.

    Parameters
    ----------
    arrays : tuple of array
        From `Table.allocate`.
    operators : list of (range, callable)
        Rows of each operator, and its Python function for when a row declines.

    Returns
    -------
    callable
    """
    run, (x, k, table) = kernels.run, arrays
    first, last = operators[0][0].start, operators[-1][0].stop

    def step_block():
        at = run(x, k, table, first, last)
        while at >= 0:
            rows, function = next(pair for pair in operators if at in pair[0])
            function()
            at = run(x, k, table, rows.stop, last)

    return step_block
