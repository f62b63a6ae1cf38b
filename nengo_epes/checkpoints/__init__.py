"""Checkpoints: what a simulation has learned and where it stands, in a file.

A simulation that is loaded goes on as if it had never stopped: bit for bit, on the same
machine with the same libraries and number of threads. The simulators have to be built
with ``optimize=False``: Nengo's optimizer puts operators together in an order that
depends on where they lie in memory, so that two optimized builds of one network differ.
Without it a step takes somewhat longer.

What is in it: all signals, and with them weights, traces, the state of filters and
neurons, counters and time; the generators of random numbers, and the arrays that
processes keep for themselves; the environments of
`nengo_epes.rl.environment.Environment`. What is not in it: what probes have recorded,
and what functions of Nodes remember, but for generators that belong to them. A process
that keeps something that cannot be had is refused, and so is an environment that cannot
be pickled.

Do not load the checkpoint of a stranger. The file is read without running anything in
it, but for environments, which are pickled, and a pickle can run any code.
"""

from nengo_epes.checkpoints.archive import CheckpointError
from nengo_epes.checkpoints.simulators import load, save

__all__ = ["CheckpointError", "load", "save"]
