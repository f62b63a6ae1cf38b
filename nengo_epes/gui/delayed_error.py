"""Learn -cos(t) from a delayed error, with PES and with EPES.

Sliders: the delay of the error, in seconds, and a factor of the learning rate. The mean
delay of the trace of EPES is ``reach``, one second, whatever the delay of the error.
"""

import nengo
import numpy as np

from nengo_epes import EPES
from nengo_epes.gui.monitor import monitor

reach = 1.0
rate = 3e-5
memory = np.zeros((3000, 2))  # both errors of the last 3 s


def delay_errors(t, x):
    """Return both errors from ``delay`` seconds ago, times the factor."""
    errors, delay, factor = x[:2], x[2], x[3]
    now, lag = round(t / 0.001), round(min(max(delay, 0.0), 2.9) / 0.001)
    memory[now % 3000] = np.clip(errors, -2, 2)  # PES diverges
    return factor * memory[(now - lag) % 3000] * (now > lag)


with nengo.Network(seed=0) as model:
    delay = nengo.Node(1.0)
    factor = nengo.Node(1.0)
    stimulus = nengo.Node(np.cos)
    errors = nengo.Node(delay_errors, size_in=4, label="delayed errors")
    nengo.Connection(delay, errors[2], synapse=None)
    nengo.Connection(factor, errors[3], synapse=None)
    outputs = nengo.Node(size_in=3, label="EPES, PES, target")
    nengo.Connection(stimulus, outputs[2], transform=-1, synapse=None)
    minus_target = [[1, 0, -1], [0, 1, -1]]
    nengo.Connection(outputs, errors[:2], transform=minus_target, synapse=None)

    def learner(rule, row):
        """Make neurons and the connection that learns their output."""
        neurons = nengo.Ensemble(
            100, 1, neuron_type=nengo.LIFRate(), seed=0, label=type(rule).__name__
        )
        nengo.Connection(stimulus, neurons, synapse=None)
        return nengo.Connection(
            neurons,
            outputs[row],
            function=lambda x: 0.0,
            synapse=None,
            learning_rule_type=rule,
        )

    trace_synapse = nengo.Alpha(reach / 2)
    epes = learner(EPES(rate, trace_synapse=trace_synapse, size_eligibility=0), 0)
    # EPES takes target minus output, and PES output minus target
    nengo.Connection(errors[0], epes.learning_rule, transform=-1, synapse=None)
    trace = monitor(epes, "eligibility_trace", label="norm of the trace")
    pes = learner(nengo.PES(rate), 1)
    nengo.Connection(errors[1], pes.learning_rule, synapse=None)
