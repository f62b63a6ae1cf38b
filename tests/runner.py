"""A runner that offers only ``make_step(signals, dt, rng)`` and a dict of arrays.

A rule that runs here does not depend on `nengo.Simulator`, so any backend that runs
Nengo's operators through numpy can run it.
"""

import nengo
import numpy as np
from nengo.utils.graphs import toposort
from nengo.utils.simulator import operator_dependency_graph


class Runner:
    """Build a network into a model and run its operators."""

    def __init__(self, network, dt=0.001, seed=0):
        self.model = nengo.builder.Model(dt=dt)
        self.model.build(network)
        self.arrays = {}
        for operator in self.model.operators:
            for signal in operator.all_signals:
                self.allocate(signal)
        graph = operator_dependency_graph(self.model.operators)
        rng = np.random.RandomState(seed)
        self.steps = [op.make_step(self.arrays, dt, rng) for op in toposort(graph)]

    def allocate(self, signal):
        """Allocate the array of a signal, or create a view of its base."""
        if signal in self.arrays:
            return
        if signal.is_view:
            self.allocate(signal.base)
            buffer = self.arrays[signal.base]
            self.arrays[signal] = np.ndarray(
                signal.shape, signal.dtype, buffer, signal.offset, signal.strides
            )
        else:
            self.arrays[signal] = signal.initial_value.copy()

    def run_steps(self, n_steps):
        """Run all operators ``n_steps`` times."""
        for _ in range(n_steps):
            for step in self.steps:
                step()
