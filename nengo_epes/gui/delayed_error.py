"""Learn -cos(t) from an error that comes late, with PES and with EPES.

Sliders: how late the error is, in seconds, and a factor of the learning rate. The trace
of EPES looks back by one second on average, whatever the delay; change ``reach`` to
have it look back further.
"""

import nengo
import numpy as np

from nengo_epes import EPES
from nengo_epes.gui.monitor import watch

reach = 1.0
rate = 3e-5
memory = np.zeros((3000, 2))  # of both errors, for 3 s


def late(t, x):
    """Return both errors as they were ``delay`` seconds ago, times the factor."""
    errors, delay, factor = x[:2], x[2], x[3]
    now, lag = round(t / 0.001), round(min(max(delay, 0.0), 2.9) / 0.001)
    memory[now % 3000] = np.clip(errors, -2, 2)  # PES, if it is late, has no bounds
    return factor * memory[(now - lag) % 3000] * (now > lag)


with nengo.Network(seed=0) as model:
    delay = nengo.Node(1.0)
    factor = nengo.Node(1.0)
    stimulus = nengo.Node(np.cos)
    errors = nengo.Node(late, size_in=4, label="late errors")
    nengo.Connection(delay, errors[2], synapse=None)
    nengo.Connection(factor, errors[3], synapse=None)
    outputs = nengo.Node(size_in=3, label="target, PES, EPES")
    nengo.Connection(stimulus, outputs[0], transform=-1, synapse=None)

    def learner(rule, row):
        """Make neurons whose output is learned, and their connection."""
        neurons = nengo.Ensemble(
            100, 1, neuron_type=nengo.LIFRate(), seed=0, label=type(rule).__name__
        )
        nengo.Connection(stimulus, neurons, synapse=None)
        nengo.Connection(outputs[row], errors[row - 1], synapse=None)
        nengo.Connection(stimulus, errors[row - 1], synapse=None)  # minus the target
        return nengo.Connection(
            neurons,
            outputs[row],
            function=lambda x: 0.0,
            synapse=None,
            learning_rule_type=rule,
        )

    pes = learner(nengo.PES(rate), 1)
    nengo.Connection(errors[0], pes.learning_rule, synapse=None)
    epes = learner(EPES(rate, trace_synapse=nengo.Alpha(reach / 2)), 2)
    port = epes.learning_rule
    nengo.Connection(errors[1], port[0], transform=-1, synapse=None)
    nengo.Connection(nengo.Node(1.0, label="eligibility"), port[1], synapse=None)
    trace = watch(epes, "eligibility_trace", label="norm of the trace")
