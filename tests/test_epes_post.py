"""EPES with a postsynaptic factor, and with bounded steps."""

import nengo
import numpy as np
import pytest
from harness import DT, connect, drive, learn
from nengo.exceptions import BuildError, ValidationError
from numpy.testing import assert_allclose
from scipy.signal import lfilter

from nengo_epes import EPES
from nengo_epes.arithmetic import step_sizes, surrogates

TAU = 0.03


def eligibility(t):
    return np.array([np.sin(9 * t), 0.3 + np.cos(5 * t)])


def simulate(kind, neuron_type, post_derivative, feedback, n_steps=400):
    """Return the data of the probes of rule and postsynaptic neurons, by name."""
    rule = EPES(
        1e-5,
        trace_synapse=TAU,
        size_eligibility=2,
        feedback=feedback,
        post_derivative=post_derivative,
    )
    with nengo.Network(seed=4) as net:
        conn = connect(kind, rule, 4, neuron_type)
        drive(conn, td_error=lambda t: np.sin(20 * t), eligibility=eligibility)
        is_direct = isinstance(conn.post_obj, nengo.ensemble.Neurons)
        post = conn.post_obj.ensemble if is_direct else conn.post_obj
        # enough current that all neurons fire, through a separate connection
        nengo.Connection(nengo.Node(np.full(17, 1.5)), post.neurons, synapse=None)
        probes = {
            name: nengo.Probe(conn.learning_rule, name) for name in rule.probeable
        }
        state = {n for n in post.neurons.probeable if n not in ("spikes", "rates")}
        for name in state:
            probes["post " + name] = nengo.Probe(post.neurons, name)
    rows = conn.post_slice if is_direct else slice(None)
    with nengo.Simulator(net, dt=DT) as sim:
        sim.run_steps(n_steps)
        matrix = sim.data[conn.learning_rule].feedback
        data = {name: sim.data[probe] for name, probe in probes.items()}
    for name in state:
        data["post " + name] = data["post " + name][:, rows]
    return data, matrix


def written_out(data, matrix, psi):
    """Lowpass(psi_i (B g)_i a_j), outside Nengo."""
    g = data["error"][:, 1:3]
    c = psi * (g @ matrix.T)
    outer = c[:, :, None] * data["activities"][:, None, :]
    rho = np.exp(-DT / TAU)
    return c, lfilter([1 - rho], [1.0, -rho], outer, axis=0)


def assert_written_out(data, matrix, psi):
    assert np.any(psi)
    assert_allclose(data["post_derivative"], psi, rtol=1e-12, atol=1e-12)
    c, trace = written_out(data, matrix, psi)
    atol = 1e-12 * np.abs(trace).max()
    assert_allclose(data["characteristic_eligibility"], c, rtol=0, atol=1e-12)
    assert_allclose(data["eligibility_trace"], trace, rtol=0, atol=atol)


BUMPS = {
    surrogates.PiecewiseLinear: lambda d: np.maximum(0, 1 - d),
    surrogates.Exponential: lambda d: np.exp(-d),
    surrogates.FastSigmoidDerivative: lambda d: (1 + d) ** -2.0,
    surrogates.Arctan: lambda d: 1 / (np.pi * (1 + (np.pi * d) ** 2)),
}


@pytest.mark.parametrize("kind", ["neurons", "neuron slices", "weight solver"])
@pytest.mark.parametrize("surrogate", BUMPS, ids=lambda s: s.__name__)
def test_voltage(surrogate, kind):
    """For spiking neurons the trace equals the written-out trace: psi at the threshold
    in the step of a spike, 0 in refractory steps, psi of the voltage in all others."""
    psi = surrogate(gamma=0.4, beta=0.7)
    data, matrix = simulate(kind, nengo.LIF(), psi, nengo.dists.Uniform(-1, 1))
    voltage, left = data["post voltage"], data["post refractory_time"]
    spiked = data["post output"] > 0
    expected = 0.4 * BUMPS[surrogate](0.7 * np.abs(np.where(spiked, 1, voltage) - 1))
    # remaining refractory time at the start of the step
    expected[~spiked & (left >= DT)] = 0.0
    assert np.any(spiked) and np.any(expected == 0)
    assert_written_out(data, matrix, expected)


RATES = [nengo.LIFRate(), nengo.RectifiedLinear(), nengo.Sigmoid(), nengo.Tanh()]


@pytest.mark.parametrize("neuron_type", RATES, ids=lambda n: type(n).__name__)
def test_rate(neuron_type):
    """For rate neurons psi is the slope of the rate over the input current."""
    data, matrix = simulate("neurons", neuron_type, "auto", "encoders")
    current = data["post input"]
    step = 1e-6

    def rates(J):
        flat = J.reshape(-1, 1)
        return neuron_type.rates(flat, np.ones(1), np.zeros(1)).reshape(J.shape)

    slope = (rates(current + step) - rates(current - step)) / (2 * step)
    psi = data["post_derivative"]
    # kinks have no slope; 1e-5 is the error of the differences
    smooth = np.abs(current - (1 if "LIF" in repr(neuron_type) else 0)) > 1e-3
    assert_allclose(psi[smooth], slope[smooth], rtol=1e-5, atol=1e-5 * psi.max())
    assert_written_out(data, matrix, psi)


def test_auto_is_the_triangle_for_lif():
    """For spiking LIF, auto is Bellec's piecewise linear psi."""
    one, _ = simulate("neurons", nengo.LIF(), "auto", "encoders")
    other, _ = simulate(
        "neurons", nengo.LIF(), surrogates.PiecewiseLinear(), "encoders"
    )
    assert_allclose(one["post_derivative"], other["post_derivative"], rtol=1e-9)


@pytest.mark.parametrize(
    ("kind", "neuron_type", "psi", "message"),
    [
        ("node", nengo.LIF(), "auto", "decoded.*connect to neurons"),
        ("neurons", nengo.Izhikevich(), "auto", "Izhikevich"),
        ("neurons", nengo.Izhikevich(), surrogates.Arctan(), "Izhikevich"),
        ("neurons", nengo.AdaptiveLIFRate(), "auto", "explicitly"),
        ("neurons", nengo.RectifiedLinear(), surrogates.Arctan(), "RectifiedLinear"),
    ],
)
def test_no_such_derivative(kind, neuron_type, psi, message):
    """The build refuses neurons without a pseudo-derivative, and a pseudo-derivative of
    other neurons."""
    rule = EPES(size_eligibility=2, post_derivative=psi)
    inputs = {"td_error": 1.0, "eligibility": np.ones(2), "neuron_type": neuron_type}
    with pytest.raises(BuildError, match="Connection from.*" + message):
        learn(rule, kind, steps=2, **inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"post_derivative": "triangle"}, "post_derivative.*PiecewiseLinear"),
        ({"step": 0.1}, "step.*ObGD"),
    ],
)
def test_bad_parameters(options, message):
    """The constructor refuses an invalid pseudo-derivative or step."""
    with pytest.raises(ValidationError, match=message):
        EPES(**options)


STEPS = [
    step_sizes.ObGD(kappa=2.0, max_rate=300.0),
    step_sizes.Intentional(eta=0.1),
    step_sizes.Intentional(eta=0.05, normalize=True),
]


@pytest.mark.parametrize("trace_synapse", [None, 0.02])
@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_bounded_step(step, trace_synapse):
    """The weight change is the trace times the result of the step's function, called
    with the values that the rule received, held steps included."""
    rule = EPES(
        5e-2,
        trace_synapse=trace_synapse,
        size_eligibility=2,
        step=step,
        controls="hold",
    )
    inputs = {
        "td_error": lambda t: 500 * np.sin(40 * t) * (round(t / DT) % 7 == 0),
        "eligibility": eligibility,
        "hold": lambda t: float(round(t / DT) % 5 == 0),
    }
    got = learn(rule, steps=300, probes=rule.probeable, **inputs)
    state = step.initial_state()
    rate = 5e-2 / got["activities"].shape[1]
    decay = 0.0 if trace_synapse is None else np.exp(-DT / trace_synapse)
    for t in range(300):
        held = got["error"][t, 3] > 0.5
        scalar = step(
            state,
            rate,
            got["td_error"][t, 0] * DT,
            got["eligibility_trace"][t],
            got["characteristic_eligibility"][t],
            got["activities"][t],
            1.0 if held else decay,
        )
        expected = scalar * got["eligibility_trace"][t]
        assert_allclose(got["delta"][t], expected, rtol=1e-12, atol=1e-18)
    assert np.any(got["delta"])


def test_steps_that_do_not_fit_the_trace():
    """Bounded steps are refused for traces for which they are not valid."""
    for options, message in (
        ({"trace_type": "dutch"}, "dutch trace has its own step size"),
        (
            {"trace_synapse": nengo.Alpha(0.1)},
            "needs a trace that decays exponentially",
        ),
    ):
        rule = EPES(step=step_sizes.ObGD(), **options)
        with pytest.raises(BuildError, match=message):
            learn(rule, "ensemble slice", steps=2, td_error=1.0, eligibility=1.0)
