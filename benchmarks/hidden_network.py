r"""A hidden layer of spiking neurons that learns by random feedback.

Four sensors (for either input one that is active above 0, one below) drive a hidden
layer of LIF neurons, and a linear readout of their spikes is to solve a task. Two
connections learn, both by `EPES`: the readout's decoders from the error of the output,
and the sensors' weights onto the hidden neurons from the same error, which is sent
back by a fixed matrix B (Lillicrap et al. 2016):

.. math:: \Delta w_{ij} \propto -\psi_i\,(B\,\varepsilon)_i\,a_j

with the error :math:`\varepsilon` (output minus target), the pseudo-derivative
:math:`\psi` and the sensors' activities :math:`a`. The gradient has the transpose of
the current decoders in place of B.

At first every hidden neuron is driven by one of the two inputs only. What is decoded
(once it has settled) is then a sum f(x_1) + g(x_2), whatever the decoders, and no such
sum solves the tasks (`hidden_tasks.additive_rmse`): the hidden layer has to learn.

Lillicrap, T. P., Cownden, D., Tweed, D. B., & Akerman, C. J. (2016). Random synaptic
feedback weights support error backpropagation for deep learning. Nature
Communications, 7, 13276.
"""

from __future__ import annotations

from typing import NamedTuple

import nengo
import numpy as np
from hidden_tasks import draw
from nengo.exceptions import ValidationError

from nengo_epes.learning_rules import EPES
from nengo_epes.synapses import z

HOLD = 0.1  # seconds for which an input is shown
TAU = 0.02  # seconds; filters the output, its target, and the activities
SAMPLE = 0.005  # seconds between samples of what is recorded
WINDOW = 2.0  # seconds, for the angle and for the error over time
DT = 0.001
MAX_RATE = 100.0  # hertz, of a sensor


class Line(NamedTuple):
    """How the hidden layer learns.

    Parameters
    ----------
    feedback : {"encoders", "random", None}
        B: the hidden layer's encoders, of which the decoders are the transpose at
        first; a Gaussian matrix that knows nothing of them; None: it does not learn.
    post_derivative : "auto" or None
        psi, or 1 in its place.
    rate : float
        Times the learning rate.
    delay : float
        By how many seconds the error is late.
    tau_e : float, Synapse or None
        The hidden layer's eligibility trace, a number being the time constant of a
        Lowpass in seconds; None for no memory. The readout always learns with a trace
        that fits the delay.

    Examples
    --------
    >>> LINES["random feedback"]._replace(rate=0.5).rate
    0.5
    """

    feedback: str | None = "random"
    post_derivative: str | None = "auto"
    rate: float = 1.0
    delay: float = 0.0
    tau_e: float | nengo.synapses.Synapse | None = None


LINES = {
    "decoders only": Line(feedback=None),
    "encoder feedback": Line(feedback="encoders"),
    "random feedback": Line(),
    "no pseudo-derivative": Line(post_derivative=None),
    # psi is 0.1 on average, so that these updates are as large as those with psi
    "no pseudo-derivative, rate / 10": Line(post_derivative=None, rate=0.1),
    # inputs change every 0.1 s; an Alpha looks back by twice its time constant
    "late error, trace": Line(delay=0.15, tau_e=nengo.Alpha(0.075)),
    "late error, tau_e = 0": Line(delay=0.15),
}


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
    """Build the network of one line.

    Parameters
    ----------
    task : {"xor", "square"}
        See `hidden_tasks.draw`.
    line : str or Line
        One of `LINES` by its name, or another one.
    seed : int
        Of the inputs, the initial weights and the feedback. Lines of the same seed,
        delay and time differ in the learning of the hidden layer only.
    seconds, test_seconds : float
        For how long it learns, and then is tested without learning.
    n_hidden : int
        LIF neurons in the hidden layer.
    learning_rate, readout_rate : float
        Of the hidden layer and of the decoders.

    Returns
    -------
    network : nengo.Network
        To be simulated with steps of 1 ms.
    probes : dict of str to nengo.Probe
        ``output``, ``target``, ``error`` (output minus filtered target), ``sensors``,
        ``spikes``, ``voltage`` and ``refractory_time`` every 5 ms; ``weights`` and
        ``decoders`` every 2 s.

    Raises
    ------
    ValidationError
        If there is no such task or line.

    Examples
    --------
    >>> network, probes = build(n_hidden=20, seconds=0.4, test_seconds=0.4)
    >>> probes["spikes"].size_in
    20
    """
    line = _line(line)
    rng = np.random.RandomState(seed)
    parts = [draw(task, round(s / HOLD / 4), rng) for s in (seconds, test_seconds)]
    inputs, targets = (np.concatenate(part) for part in zip(*parts, strict=True))
    weights, bias = _initial(n_hidden, rng)
    size = targets.shape[1]
    encoders = nengo.dists.UniformHypersphere(surface=True).sample(
        n_hidden, size, rng=rng
    )
    with nengo.Network(seed=seed) as network:
        stimulus = nengo.Node(nengo.processes.PresentInput(inputs, HOLD))
        target = nengo.Node(nengo.processes.PresentInput(targets, HOLD))
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
        output = nengo.Node(size_in=size)
        error = nengo.Node(size_in=size)
        taught = nengo.Node(lambda t, x: x * (t <= seconds), size_in=size)
        nengo.Connection(stimulus, sensors, synapse=None)
        to_hidden = nengo.Connection(
            sensors.neurons, hidden.neurons, transform=weights, synapse=None
        )
        readout = nengo.Connection(
            # so that a neuron of 50 Hz adds 1 / n_hidden at first
            hidden.neurons,
            output,
            transform=encoders.T / (50.0 * n_hidden),
            synapse=TAU,
        )
        nengo.Connection(output, error, synapse=None)
        nengo.Connection(target, error, transform=-1, synapse=TAU)
        nengo.Connection(error, taught, synapse=None)
        late = round(line.delay / DT)
        trace = z ** -(late + 1) if late else None
        _teach(readout, taught, late, np.eye(size), readout_rate, trace_synapse=trace)
        if line.feedback is not None:
            feedback = _feedback(line, encoders, rng)
            options = {
                "trace_synapse": line.tau_e,
                "post_derivative": line.post_derivative,
            }
            rate = line.rate * learning_rate
            _teach(to_hidden, taught, late, feedback, rate, **options)
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


def _line(line):
    if isinstance(line, Line):
        return line
    if line not in LINES:
        raise ValidationError(
            f"there is no line {line!r}: use one of {[*LINES]}, or a Line", attr="line"
        )
    return LINES[line]


def _initial(n_hidden, rng):
    """Return weights from one input's two sensors to every neuron, and its bias."""
    rows, which = np.arange(n_hidden), 2 * rng.randint(2, size=n_hidden)
    slope = rng.uniform(1, 3, n_hidden) * rng.choice([-1, 1], n_hidden) / MAX_RATE
    weights = np.zeros((n_hidden, 4))
    weights[rows, which], weights[rows, which + 1] = slope, -slope
    return weights, rng.uniform(0.5, 2.0, n_hidden)


def _feedback(line, encoders, rng):
    """Return B for `EPES`; where it is used by columns, a matrix."""
    if line.delay == 0:
        return "encoders" if line.feedback == "encoders" else nengo.dists.Gaussian(0, 1)
    if line.feedback == "encoders":
        return encoders
    matrix = rng.randn(*encoders.shape)
    # as large as the encoders, as EPES does it where it samples by itself
    return matrix * (np.linalg.norm(encoders) / np.linalg.norm(matrix))


def _teach(connection, error, late, feedback, rate, **options):
    """Let a connection learn from an error.

    One that comes at once is sent as the eligibility, with a TD error of -1. Of a late
    one, every component is a TD error with a rule of its own, and the eligibility is
    1, so that nothing of the error has to be known when the trace takes it in.
    """
    one = nengo.Node(1.0)
    options = {"learning_rate": rate, "pre_synapse": TAU, **options}
    if late:
        rules = [EPES(feedback=column[:, None], **options) for column in feedback.T]
        connection.learning_rule_type = rules
        for k, (rule, port) in enumerate(
            zip(rules, connection.learning_rule, strict=True)
        ):
            nengo.Connection(
                error[k], port[rule.td_error], transform=-1, synapse=z**-late
            )
            nengo.Connection(one, port[rule.eligibility], synapse=None)
    else:
        rule = EPES(size_eligibility=error.size_out, feedback=feedback, **options)
        connection.learning_rule_type = rule
        port = connection.learning_rule
        nengo.Connection(one, port[rule.td_error], transform=-1, synapse=None)
        nengo.Connection(error, port[rule.eligibility], synapse=None)
