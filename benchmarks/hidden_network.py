r"""A hidden layer of spiking neurons that learns by random feedback.

Four sensors (two for each input: one active above 0, one below) drive a hidden layer
of LIF neurons, and a linear readout of their spikes solves a task. Two connections
learn, both by `EPES`: the decoders of the readout from the error of the output, and the
weights from the sensors to the hidden neurons from the same error, which a fixed matrix
B sends back (Lillicrap et al. 2016):

.. math:: \Delta w_{ij} \propto -\psi_i\,(B\,\varepsilon)_i\,a_j

with the error :math:`\varepsilon` (output minus target), the pseudo-derivative
:math:`\psi` and the sensors' activities :math:`a`. The gradient has the transpose of
the current decoders in place of B.

Initially each hidden neuron is driven by only one of the two inputs. For any decoders
the decoded value is then a sum f(x_1) + g(x_2), and no such sum solves the tasks (see
`additive_rmse`), so the hidden layer must learn.

Lillicrap, T. P., Cownden, D., Tweed, D. B., & Akerman, C. J. (2016). Random synaptic
feedback weights support error backpropagation for deep learning. Nature
Communications, 7, 13276.
"""

from __future__ import annotations

from typing import NamedTuple

import nengo
import numpy as np
from nengo.processes import PresentInput

from nengo_epes.learning_rules import EPES
from nengo_epes.synapses import z

HOLD = 0.1  # seconds for which an input is shown
TAU = 0.02  # seconds; filters the output, its target, and the activities
SAMPLE = 0.005  # seconds between recorded samples
WINDOW = 2.0  # seconds, for the angle and for the error over time
DT = 0.001
MAX_RATE = 100.0  # hertz, of a sensor


class Line(NamedTuple):
    """Learning of the hidden layer: one line of the table and of the figures."""

    # "encoders", at first the transpose of the decoders; "random", a Gaussian
    # matrix; None, the hidden layer does not learn
    feedback: str | None = "random"
    # "auto", or None for 1 in place of psi
    post_derivative: str | None = "auto"
    # factor on the learning rate
    rate: float = 1.0
    # delay of the error in seconds
    delay: float = 0.0
    # trace of the hidden layer; the trace of the readout always fits the delay
    trace_synapse: nengo.synapses.Synapse | None = None


LINES = {
    "decoders only": Line(feedback=None),
    "encoder feedback": Line(feedback="encoders"),
    "random feedback": Line(),
    "no pseudo-derivative": Line(post_derivative=None),
    # psi is 0.1 on average, so that these updates are as large as those with psi
    "no pseudo-derivative, rate / 10": Line(post_derivative=None, rate=0.1),
    # inputs change every 0.1 s; the mean delay of an Alpha is twice its time constant
    "late error, trace": Line(delay=0.15, trace_synapse=nengo.Alpha(0.075)),
    "late error, tau_e = 0": Line(delay=0.15),
}


def draw(task, n_blocks, rng):
    """Draw inputs (4 n_blocks, 2) and targets (4 n_blocks, size) in random order.

    A block is one pair of sizes with all four combinations of signs. For "xor" all
    sizes are 1, and the target is minus the product of the inputs: 1 where they differ.
    For "square" the sizes are uniform in [0, 1], and the targets are x_1^2 - x_2^2 and
    2 x_1 x_2, the square of x_1 + i x_2.
    """
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    inputs = np.tile(signs, (n_blocks, 1)).astype(float)
    if task == "square":
        inputs *= np.repeat(rng.uniform(0, 1, (n_blocks, 2)), 4, axis=0)
    # over all blocks; within a block an input would predict the next
    inputs = rng.permutation(inputs)
    if task == "xor":
        return inputs, -inputs[:, :1] * inputs[:, 1:]
    square = (inputs[:, 0] + 1j * inputs[:, 1]) ** 2
    return inputs, np.stack([square.real, square.imag], axis=1)


def additive_rmse(targets):
    """Return the least RMSE of sums f(x_1) + g(x_2) on the targets of `draw`.

    Over the four signs of a block, such a sum is orthogonal to the last target, the
    product of the inputs. Any other target is such a sum.
    """
    return np.sqrt(np.sum(targets[:, -1] ** 2) / targets.size).item()


def build(
    task="xor",
    line="random feedback",
    seed=0,
    seconds=60.0,
    test_seconds=4.0,
    n_hidden=100,
    learning_rate=2e-3,
    readout_rate=3e-4,
):
    """Build the network of one line, which learns and is then tested.

    Networks of the same seed, delay and times differ in the learning of the hidden
    layer only. Returns the network and a dict of probes: samples every `SAMPLE`, and
    ``weights`` and ``decoders`` every `WINDOW`.
    """
    how = LINES[line]
    rng = np.random.RandomState(seed)
    parts = [draw(task, round(s / HOLD / 4), rng) for s in (seconds, test_seconds)]
    inputs, targets = (np.concatenate(part) for part in zip(*parts, strict=True))
    weights, bias = _initial(n_hidden, rng)
    size = targets.shape[1]
    sphere = nengo.dists.UniformHypersphere(surface=True)
    encoders = sphere.sample(n_hidden, size, rng=rng)
    with nengo.Network(seed=seed) as network:
        stimulus = nengo.Node(PresentInput(inputs, HOLD))
        target = nengo.Node(PresentInput(targets, HOLD))
        sensors = nengo.Ensemble(
            4,
            2,
            neuron_type=nengo.RectifiedLinear(),
            encoders=[[1, 0], [-1, 0], [0, 1], [0, -1]],
            max_rates=[MAX_RATE] * 4,
            intercepts=[0] * 4,
        )
        hidden = nengo.Ensemble(
            n_hidden, size, encoders=encoders, gain=np.ones(n_hidden), bias=bias
        )
        output, error = nengo.Node(size_in=size), nengo.Node(size_in=size)
        taught = nengo.Node(lambda t, x: x * (t <= seconds), size_in=size)
        nengo.Connection(stimulus, sensors, synapse=None)
        to_hidden = nengo.Connection(
            sensors.neurons, hidden.neurons, transform=weights, synapse=None
        )
        readout = nengo.Connection(
            # initially a neuron of 50 Hz adds 1 / n_hidden
            hidden.neurons,
            output,
            transform=encoders.T / (50.0 * n_hidden),
            synapse=TAU,
        )
        nengo.Connection(output, error, synapse=None)
        nengo.Connection(target, error, transform=-1, synapse=TAU)
        nengo.Connection(error, taught, synapse=None)
        late = round(how.delay / DT)
        trace = z ** -(late + 1) if late else None
        _teach(readout, taught, late, readout_rate, trace_synapse=trace)
        if how.feedback is not None:
            _teach(
                to_hidden,
                taught,
                late,
                how.rate * learning_rate,
                trace_synapse=how.trace_synapse,
                post_derivative=how.post_derivative,
                feedback=_feedback(how, encoders, rng),
            )
        often, seldom = {"sample_every": SAMPLE}, {"sample_every": WINDOW}
        probes = {
            "output": nengo.Probe(output, **often),
            "target": nengo.Probe(target, **often),
            "error": nengo.Probe(error, **often),
            "sensors": nengo.Probe(sensors.neurons, synapse=TAU, **often),
            "spikes": nengo.Probe(hidden.neurons, **often),
            "voltage": nengo.Probe(hidden.neurons, "voltage", **often),
            "refractory_time": nengo.Probe(hidden.neurons, "refractory_time", **often),
            "weights": nengo.Probe(to_hidden, "weights", **seldom),
            "decoders": nengo.Probe(readout, "weights", **seldom),
        }
    return network, probes


def _initial(n_hidden, rng):
    """Return weights from one input's two sensors to every neuron, and its bias."""
    rows, which = np.arange(n_hidden), 2 * rng.randint(2, size=n_hidden)
    slope = rng.uniform(1, 3, n_hidden) * rng.choice([-1, 1], n_hidden) / MAX_RATE
    weights = np.zeros((n_hidden, 4))
    weights[rows, which], weights[rows, which + 1] = slope, -slope
    return weights, rng.uniform(0.5, 2.0, n_hidden)


def _feedback(how, encoders, rng):
    if how.feedback == "encoders":
        return "encoders"
    if not how.delay:
        return nengo.dists.Gaussian(0, 1)
    # fixed, because EPES would sample another matrix than in the committed results
    matrix = rng.randn(*encoders.shape)
    return matrix * (np.linalg.norm(encoders) / np.linalg.norm(matrix))


def _teach(connection, error, late, rate, **options):
    """Let a connection learn from an error that is delayed by ``late`` steps."""
    connection.learning_rule_type = EPES(
        rate,
        pre_synapse=TAU,
        size_td_error=error.size_out,
        size_eligibility=0,
        **options,
    )
    delay = z**-late if late else None
    nengo.Connection(error, connection.learning_rule, transform=-1, synapse=delay)
