"""EPES as e-prop: against recursions written out in numpy, and recorded gradients."""

from typing import NamedTuple

import eprop_gradients
import nengo
import numpy as np
import pytest
from harness import Sines
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes import EPES, checkpoints
from nengo_epes.arithmetic import surrogates
from nengo_epes.arithmetic.step_sizes import ObGD
from nengo_epes.learning_rules.postsynaptic import AdaptedActivitiesSim

TAU_SYNAPSE, TAU_RC, TAU_REF, TAU_TRACE = 0.005, 0.02, 0.002, 0.02
REST = {"initial_state": {"voltage": nengo.dists.Choice([0])}}
LIF = nengo.LIF(**REST)
ADAPTIVE = nengo.AdaptiveLIF(tau_n=0.2, inc_n=0.2, **REST)
HALF = nengo.AdaptiveLIF(tau_n=0.2, inc_n=0.2, amplitude=0.5, min_voltage=-0.2, **REST)


# ---- the rule is the recursion


class Link(NamedTuple):
    """A connection that learns, from a layer or the input (0) to rows of a layer."""

    pre: int
    post: int
    rows: slice | list = slice(None)


RECURRENT = [Link(0, 1), Link(1, 1)]
LAYERS = [Link(0, 1), Link(1, 2)]
N_IN, N = 50, 50


class Setting:
    """A network of layers of neurons, with all numbers that both sides need."""

    def __init__(
        self,
        neuron_type,
        links=RECURRENT,
        dt=0.001,
        tau_synapse=TAU_SYNAPSE,
        trace=nengo.Lowpass(TAU_TRACE),  # noqa: B008
        feedback="rows",
        seconds=0.5,
        rate=0.5,
        biases=(0.3, 1.6),
    ):
        rng = np.random.RandomState(5)
        self.neuron_type, self.links, self.dt, self.trace = (
            neuron_type,
            links,
            dt,
            trace,
        )
        self.tau_synapse, self.rate = tau_synapse, rate
        self.n_steps = round(seconds / dt)
        self.spikes = rng.rand(self.n_steps, N_IN) < 50 * dt
        self.bias = [None] + [rng.uniform(*biases, N) for _ in range(2)]
        n_rows = [np.arange(N)[link.rows].size for link in links]
        self.weights = [rng.randn(n, N) / np.sqrt(N) / 33 for n in n_rows]
        if feedback == "rows":
            self.feedback = [np.eye(n) for n in n_rows]
            self.thirds = [Sines(n, seed) for seed, n in enumerate(n_rows)]
        else:
            self.feedback = [rng.randn(n, 2) for n in n_rows]
            self.thirds = [Sines(2, seed) for seed, _ in enumerate(n_rows)]
        self.is_rows = feedback == "rows"

    def rule(self, index):
        """Return the rule of a link."""
        lowpass = nengo.Lowpass(TAU_RC)
        if self.tau_synapse > 0:
            lowpass = nengo.Lowpass(self.tau_synapse).combine(lowpass)
        size = self.feedback[index].shape[1]
        return EPES(
            self.rate,
            pre_synapse=lowpass,
            trace_synapse=self.trace,
            size_td_error=size,
            size_eligibility=0,
            feedback="rows" if self.is_rows else self.feedback[index],
            post_derivative="auto",
        )

    def network(self):
        """Return the network, its layers and its connections."""
        with nengo.Network(seed=0) as net:
            shown = nengo.Node(lambda t: self.spikes[round(t / self.dt) - 1] / self.dt)
            layers = [
                nengo.Ensemble(
                    N_IN,
                    1,
                    gain=np.ones(N_IN),
                    bias=np.zeros(N_IN),
                    neuron_type=nengo.RectifiedLinear(),
                )
            ]
            nengo.Connection(shown, layers[0].neurons, synapse=None)
            for bias in self.bias[1 : 1 + max(link.post for link in self.links)]:
                ens = nengo.Ensemble(
                    N, 1, gain=np.ones(N), bias=bias, neuron_type=self.neuron_type
                )
                layers.append(ens)
            conns = []
            for index, link in enumerate(self.links):
                conn = nengo.Connection(
                    layers[link.pre].neurons,
                    layers[link.post].neurons[link.rows],
                    transform=self.weights[index],
                    synapse=self.tau_synapse,
                    learning_rule_type=self.rule(index),
                )
                third = nengo.Node(self.thirds[index])
                nengo.Connection(third, conn.learning_rule, synapse=None)
                conns.append(conn)
        return net, layers, conns

    def simulate(self, optimize=True):
        """Return spikes of all layers, then weights and traces of all links."""
        net, layers, conns = self.network()
        with net:
            spikes = [nengo.Probe(layer.neurons) for layer in layers]
            weights = [nengo.Probe(c, "weights", sample_every=0.1) for c in conns]
            traces = [
                nengo.Probe(c.learning_rule, "eligibility_trace", sample_every=0.1)
                for c in conns
            ]
        with nengo.Simulator(net, dt=self.dt, optimize=optimize) as sim:
            sim.run_steps(self.n_steps)
        return [[sim.data[p] for p in probes] for probes in (spikes, weights, traces)]


class Filter:
    """A filter of analog poles, exact for input that is constant within a step."""

    def __init__(self, taus, dt, shape):
        self.taus, self.dt = [tau for tau in taus if tau > 0], dt
        self.state = np.zeros((2, *shape))

    def __call__(self, u):
        """Advance by a step."""
        if not self.taus:
            return u
        decays = [np.exp(-self.dt / tau) for tau in self.taus]
        one, two = self.state
        first = decays[0]
        if len(self.taus) == 1:
            one[...] = first * one + (1 - first) * u
            return one.copy()
        tau, other = self.taus
        if tau == other:  # an Alpha
            part = self.dt / tau * first
            two[...] = first * two + part * one + (1 - first - part) * u
            one[...] = first * one + (1 - first) * u
            return two.copy()
        for state, decay in zip(self.state, decays, strict=True):
            state[...] = decay * state + (1 - decay) * u
        return (tau * one - other * two) / (tau - other)


class Neurons:
    """The step of Nengo's LIF and AdaptiveLIF, by its formulas."""

    def __init__(self, neuron_type, bias, dt):
        self.type, self.bias, self.dt = neuron_type, bias, dt
        self.v, self.left, self.n = np.zeros((3, len(bias)))

    def step(self, current):
        """Return the output in hertz, and psi."""
        kind, dt = self.type, self.dt
        adapts = isinstance(kind, nengo.AdaptiveLIF)
        drive = current + self.bias - self.n
        # what is left at the start of this step; the rest of the step is free
        self.left = self.left - dt
        free = np.clip(dt - self.left, 0, dt)
        v = drive + (self.v - drive) * np.exp(-free / kind.tau_rc)
        spiked = v > 1
        # from 1 to v the voltage needs tau log((drive - 1) / (drive - v))
        rheo, over = drive[spiked] - 1, drive[spiked] - v[spiked]
        late = kind.tau_rc * np.log(rheo / over)
        self.left[spiked] = kind.tau_ref + dt - late
        self.v = np.where(spiked, 0, np.maximum(v, kind.min_voltage))
        if adapts:
            decay = 1 - dt / kind.tau_n
            increase = kind.inc_n * kind.amplitude / kind.tau_n
            self.n = decay * self.n + increase * spiked
        psi = 0.3 * np.where(spiked, 1, np.maximum(self.v, 0))
        return spiked * kind.amplitude / dt, psi


def written_out(setting):
    """Return what `Setting.simulate` returns, by recursions in numpy."""
    dt, links, kind = setting.dt, setting.links, setting.neuron_type
    adapts = isinstance(kind, nengo.AdaptiveLIF)
    n_layers = 1 + max(link.post for link in links)
    neurons = [None] + [Neurons(kind, b, dt) for b in setting.bias[1:n_layers]]
    weights = [w.copy() for w in setting.weights]
    shapes = [w.shape for w in weights]
    rows = [np.arange(N)[link.rows] for link in links]
    taus = (setting.tau_synapse, TAU_RC)
    taus_trace = [TAU_TRACE] * (2 if isinstance(setting.trace, nengo.Alpha) else 1)
    arriving = [np.zeros(shape[0]) for shape in shapes]
    to_post = [Filter([setting.tau_synapse], dt, s[:1]) for s in shapes]
    of_pre = [Filter(taus, dt, s[1:]) for s in shapes]
    to_trace = [Filter(taus_trace, dt, s) for s in shapes]
    adaptation = [np.zeros(s) for s in shapes]
    changes = [np.zeros(s) for s in shapes]
    found = [], [[] for _ in links], [[] for _ in links]
    for step in range(1, setting.n_steps + 1):
        currents = np.zeros((n_layers, N))
        for i, link in enumerate(links):
            weights[i] += changes[i]
            currents[link.post, rows[i]] += arriving[i]
        out, psis = [setting.spikes[step - 1] / dt], [None]
        for layer in range(1, n_layers):
            output, psi = neurons[layer].step(currents[layer])
            out.append(output)
            psis.append(psi)
        for i, link in enumerate(links):
            # current arrives at the neurons one step later
            arriving[i] = to_post[i](weights[i] @ out[link.pre])
            psi = psis[link.post][rows[i], None]
            part = of_pre[i](out[link.pre]) - adaptation[i]
            if adapts:
                by_spike = kind.inc_n * kind.amplitude / kind.tau_n
                adaptation[i] *= 1 - dt / kind.tau_n
                adaptation[i] += by_spike * psi * part
            trace = to_trace[i](psi * part)
            third = setting.feedback[i] @ setting.thirds[i](step * dt)
            changes[i] = setting.rate * dt / N * third[:, None] * trace
            if step % round(0.1 / dt) == 0:
                found[1][i].append(weights[i].copy())
                found[2][i].append(trace)
        found[0].append(out)
    spikes = [np.array(layer) for layer in zip(*found[0], strict=True)]
    return spikes, [np.array(w) for w in found[1]], [np.array(e) for e in found[2]]


# LIF neurons that fire by themselves amplify rounding, to 1e-8 in a second
BELOW = {"neuron_type": LIF, "biases": (0.05, 0.8), "rate": 0.05}
SETTINGS = {
    "LIF": {**BELOW, "seconds": 1.0},
    "AdaptiveLIF": {"neuron_type": ADAPTIVE, "seconds": 1.0},
    "amplitude 0.5, negative voltages": {"neuron_type": HALF, "seconds": 1.0},
    "matrix": {"neuron_type": ADAPTIVE, "feedback": "matrix"},
    "dt 0.5 ms": {"neuron_type": ADAPTIVE, "dt": 0.0005},
    "slices": {
        "neuron_type": ADAPTIVE,
        "links": [Link(0, 1), Link(1, 1, slice(5, 30, 3))],
    },
    "one neuron, and a list": {
        "neuron_type": ADAPTIVE,
        "links": [Link(0, 1, slice(7, 8)), Link(1, 1, [9, 2, 30])],
        "feedback": "matrix",
    },
    "two layers": {"neuron_type": ADAPTIVE, "links": LAYERS},
    "two layers, LIF": {**BELOW, "links": LAYERS},
    "Alpha": {"neuron_type": ADAPTIVE, "trace": nengo.Alpha(TAU_TRACE)},
    "no synapse": {"neuron_type": ADAPTIVE, "tau_synapse": 0.0},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_is_the_recursion(name):
    """While all connections learn, spikes, weights and traces are those of a network
    that is written out in numpy: neurons, filters, adaptation, traces, changes."""
    setting = Setting(**SETTINGS[name])
    spikes, weights, traces = setting.simulate()
    own_spikes, own_weights, own_traces = written_out(setting)
    # rounding decides on no spike
    for layer, own in zip(spikes, own_spikes, strict=True):
        assert_allclose(layer, own, rtol=1e-12)
        assert np.count_nonzero(own) > 30
    for i, start in enumerate(setting.weights):
        w, e = own_weights[i], own_traces[i]
        assert np.abs(w[-1] - start).max() > 0.02 * np.abs(start).max()
        # 3e-13 at most was seen, as rounding moves spikes within their steps
        assert_allclose(weights[i], w, rtol=0, atol=1e-11 * np.abs(w).max())
        assert_allclose(traces[i], e, rtol=0, atol=1e-11 * np.abs(e).max())


def test_without_adaptation():
    """With inc_n=0, AdaptiveLIF learns what LIF learns, bit for bit."""
    neuron_types = LIF, nengo.AdaptiveLIF(inc_n=0, **REST)
    # one current a neuron, and no optimizer: sums in another order round differently
    lif, adaptive = (
        Setting(k, LAYERS, seconds=0.2).simulate(optimize=False) for k in neuron_types
    )
    for one, other in zip(lif, adaptive, strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.any(b)
            assert_array_equal(a, b)


# ---- gradients


with np.load(eprop_gradients.RECORD) as file:
    RECORD = {name: file[name] for name in file.files}


def recorded(name):
    """Return neuron type, data and gradient of a recorded model."""
    keys = "spikes", "input", "recurrent", "bias", "third", "gradient"
    data = {key: RECORD[f"{name}/{key}"] for key in keys}
    return eprop_gradients.MODELS[name][0], data, data.pop("gradient")


@pytest.mark.parametrize("name", eprop_gradients.MODELS)
def test_exact_form_is_the_gradient(name):
    """The exact form of e-prop, driven by the state of Nengo's neurons, is the recorded
    gradient of automatic differentiation. Where no neuron fires, it is EPES's too."""
    neuron_type, data, gradient = recorded(name)
    filtered = eprop_gradients.as_neuron()
    state, by_rule = eprop_gradients.simulate(data, neuron_type, filtered)
    exact = eprop_gradients.exact_form(data, neuron_type, state)
    # up to 2e-14 were seen
    atol = 1e-12 * np.abs(gradient).max()
    assert_allclose(exact, gradient, rtol=0, atol=atol)
    if "below" in name:
        assert not np.any(state["output"])
        assert_allclose(by_rule, gradient, rtol=0, atol=atol)
    else:
        assert np.count_nonzero(state["output"]) > 100
        assert np.any(state["voltage"] == neuron_type.min_voltage)


@pytest.mark.parametrize("name", ["LIF", "LIF, min_voltage -1", "AdaptiveLIF"])
def test_psi(name):
    """Psi is 0.3 in the step of a spike, else 0.3 times the positive voltage; so it is
    0 in a refractory step."""
    neuron_type, data, _ = recorded(name)
    rule = eprop_gradients.make_rule(len(data["bias"]), None)
    net, ens, (conn, _) = eprop_gradients.build(data, neuron_type, rule)
    with net:
        probes = [
            nengo.Probe(conn.learning_rule, "post_derivative"),
            nengo.Probe(ens.neurons, "voltage"),
            nengo.Probe(ens.neurons, "output"),
            nengo.Probe(ens.neurons, "refractory_time"),
        ]
    with nengo.Simulator(net) as sim:
        sim.run_steps(len(data["spikes"]))
        psi, voltage, output, left = (sim.data[probe] for probe in probes)
    spiked = output > 0
    expected = np.where(spiked, 0.3, 0.3 * np.maximum(voltage, 0))
    # 1 - |v - 1| rounds by 1.1e-16
    assert_allclose(psi, expected, rtol=1e-15, atol=4e-17)
    assert_array_equal(psi[spiked], 0.3)
    at_rest = ~spiked & (left >= eprop_gradients.DT)
    negative = voltage < 0
    assert_array_equal(psi[at_rest | negative], 0.0)
    assert spiked.sum() > 50 and at_rest.sum() > 50
    assert np.any(negative) == (neuron_type.min_voltage < 0)


# ---- what is refused


@pytest.mark.parametrize(
    ("neuron_type", "options", "message"),
    [
        (ADAPTIVE, {"trace_type": "replacing"}, "adapting.*trace_type='replacing'"),
        (ADAPTIVE, {"trace_type": "dutch"}, "adapting.*trace_type='dutch'"),
        (ADAPTIVE, {"step": ObGD()}, "adapting.*step=ObGD"),
        (
            ADAPTIVE,
            {"post_derivative": surrogates.RateDerivative("RectifiedLinear")},
            "RateDerivative.*is not right for AdaptiveLIF",
        ),
        (nengo.AdaptiveLIFRate(), {}, "'auto' is not right for AdaptiveLIFRate"),
        (LIF, {"trace_type": "replacing"}, None),
        (LIF, {"step": ObGD()}, None),
        (ADAPTIVE, {"trace_type": "dutch", "post_derivative": None}, None),
    ],
)
def test_refused(neuron_type, options, message):
    """Replacing and dutch traces and bounded steps are refused for adapting neurons
    with psi, and so is the slope of a rate; without adaptation or psi they are not."""
    options = {"post_derivative": "auto", **options}
    with nengo.Network() as net:
        pre, post = nengo.Ensemble(4, 1), nengo.Ensemble(3, 1, neuron_type=neuron_type)
        conn = nengo.Connection(
            pre.neurons,
            post.neurons,
            transform=np.zeros((3, 4)),
            learning_rule_type=EPES(size_eligibility=0, **options),
        )
        nengo.Connection(nengo.Node(1.0), conn.learning_rule)
    model = nengo.builder.Model()
    if message is None:
        model.build(net)
        return
    with pytest.raises(BuildError, match=f"(?s)Connection from.*{message}"):
        model.build(net)


# ---- precision, reset, checkpoints, silence


def test_single_precision():
    """In single precision, weights and traces equal the recursion in double."""
    nengo.rc["precision"]["bits"] = "32"
    setting = Setting(HALF, seconds=0.3)
    spikes, *found = setting.simulate()
    own_spikes, *own = written_out(setting)
    assert_array_equal(spikes[1] > 0, own_spikes[1] > 0)
    for arrays, expected in zip(found, own, strict=True):
        for a, b in zip(arrays, expected, strict=True):
            assert a.dtype == np.float32 and np.any(b)
            # hundreds of additions with a rounding of 6e-8
            assert_allclose(a, b, rtol=0, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("bits", ["32", "64"])
def test_reset_and_checkpoint(bits, tmp_path):
    """After a reset, and after a checkpoint of another simulation is loaded, the same
    weights follow bit for bit: the derivative of the adaptation is restored."""
    nengo.rc["precision"]["bits"] = bits
    net, _, conns = Setting(ADAPTIVE, LAYERS).network()

    def weights(sim):
        signals = [sim.model.sig[conn]["weights"] for conn in conns]
        return [sim.signals[signal].copy() for signal in signals]

    with nengo.Simulator(net, optimize=False) as sim:
        sim.run_steps(100)
        checkpoints.save(sim, tmp_path / "half.npz")
        half = weights(sim)
        sim.run_steps(100)
        expected = weights(sim)
        sim.reset()
        sim.run_steps(200)
        assert_array_equal(weights(sim), expected)
    with nengo.Simulator(net, optimize=False) as sim:
        sim.run_steps(37)
        checkpoints.load(sim, tmp_path / "half.npz")
        assert_array_equal(weights(sim), half)
        sim.run_steps(100)
        assert_array_equal(weights(sim), expected)
    assert np.abs(np.subtract(expected, half)).max() > 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_silence(dtype):
    """In a long silence of the pre neurons, no entry of the derivative of the
    adaptation becomes subnormal, whether post neurons are driven or not; all become 0,
    and entries that matter are not touched."""
    neuron_type = nengo.AdaptiveLIF(tau_n=0.05, inc_n=0.02)
    signals = {
        "activities": np.zeros(4, dtype),
        "psi": np.array([0, 0.1, 0.3], dtype),
        "n_steps": np.array(0),
        "adaptation": np.full((3, 4), -100, dtype),
        "adapted": np.zeros((3, 4), dtype),
    }
    signals = {name: Signal(value, name=name) for name, value in signals.items()}
    operator = AdaptedActivitiesSim(neuron_type, **signals)
    arrays = {signal: signal.initial_value.copy() for signal in signals.values()}
    step = operator.make_step(arrays, 0.001, None)
    adaptation = arrays[signals["adaptation"]]
    factor = 1 - 0.001 / 0.05 - 0.02 / 0.05 * np.array([0, 0.1, 0.3])
    tiny = np.finfo(dtype).tiny
    n_steps = 5000 if dtype == np.float32 else 38_000
    for n in range(1, n_steps + 1):
        arrays[signals["n_steps"]][...] = n
        step()
        size = np.abs(adaptation)
        assert not np.any((size > 0) & (size < tiny))
        if n == 200:
            expected = np.repeat(-100 * factor[:, None] ** n, 4, axis=1)
            assert_allclose(adaptation, expected, rtol=1e-4)
    assert not np.any(adaptation)
    # without a guard, rounding keeps a decaying number from ever becoming 0
    entry, decay = dtype(tiny), dtype(factor[0])
    for _ in range(n_steps):
        entry *= decay
    assert 0 < entry < tiny


@pytest.mark.parametrize(("inc_n", "is_stable"), [(6.6, True), (6.7, False)])
def test_strong_adaptation(inc_n, is_stable):
    """The recursion multiplies by 1 - dt / tau_n - gamma inc_n / tau_n, which must not
    be below -1: with gamma 0.3 and tau_n 1 s, inc_n is at most 6.663."""
    neurons = nengo.AdaptiveLIF(tau_n=1.0, inc_n=inc_n)
    with nengo.Network(seed=0) as net:
        pre = nengo.Ensemble(5, 1)
        post = nengo.Ensemble(5, 1, neuron_type=neurons)
        rule = EPES(size_eligibility=0, feedback="broadcast", post_derivative="auto")
        conn = nengo.Connection(
            pre.neurons,
            post.neurons,
            transform=np.zeros((5, 5)),
            learning_rule_type=rule,
        )
        nengo.Connection(nengo.Node(1.0), conn.learning_rule)
    if is_stable:
        nengo.builder.Model().build(net)
    else:
        with pytest.raises(BuildError, match=r"too strong .*got 2.01.*inc_n"):
            nengo.builder.Model().build(net)
