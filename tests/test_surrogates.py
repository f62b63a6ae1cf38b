"""Pseudo-derivatives, compared with formulas, numerical slopes and simulated
neurons."""

import dataclasses
import math
import pickle

import nengo
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nengo.builder import Model, Operator, Signal
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes.arithmetic.surrogates import (
    SLOPES,
    Arctan,
    Exponential,
    FastSigmoidDerivative,
    PiecewiseLinear,
    RateDerivative,
    from_lif_state,
    suitable,
)

VOLTAGE = [PiecewiseLinear, Exponential, FastSigmoidDerivative, Arctan]
RATE = [
    RateDerivative("LIFRate", 1.5, tau_ref=0.003, tau_rc=0.03),
    RateDerivative("LIFRate", tau_ref=0, tau_rc=0.02),
    RateDerivative("RectifiedLinear", amplitude=2),
    RateDerivative("Sigmoid", tau_ref=0.004),
    RateDerivative("Tanh", amplitude=3, tau_ref=0.004),
]
EVERY = [kind() for kind in VOLTAGE] + RATE
kinds = pytest.mark.parametrize("kind", VOLTAGE)
every = pytest.mark.parametrize("psi", EVERY, ids=repr)

# ---- the surrogates of the voltage


@pytest.mark.parametrize(
    "psi, voltages, expected",
    [
        (PiecewiseLinear(), [0, 0.5, 1, 1.5, 2, 3], [0, 0.15, 0.3, 0.15, 0, 0]),
        (PiecewiseLinear(gamma=0.5, beta=2), [0.5, 0.75, 1], [0, 0.25, 0.5]),
        (Exponential(gamma=1, beta=math.log(2)), [0, 1, 3], [0.5, 1, 0.25]),
        (FastSigmoidDerivative(gamma=1), [0, 1, 2, 3], [1 / 4, 1, 1 / 4, 1 / 9]),
        (FastSigmoidDerivative(gamma=0.9, beta=2), [0, 1], [0.1, 0.9]),
        (Arctan(gamma=math.pi, beta=1 / math.pi), [0, 1, 3], [0.5, 1, 0.2]),
    ],
    ids=repr,
)
def test_formulas(psi, voltages, expected):
    """The published formulas hold at values that can be computed by hand."""
    # rounding errors of numbers near 1
    assert_allclose(psi(voltages), expected, rtol=1e-15, atol=1e-16)


def test_defaults():
    """The defaults are Bellec's gamma = 0.3 and NEST's beta = 1."""
    for kind in VOLTAGE:
        assert kind() == kind(0.3, 1.0) == kind(gamma=0.3, beta=1)


@pytest.mark.parametrize("threshold", [1.0, 0.03, 20.0])
def test_bellec_at_any_threshold(threshold):
    """With both parameters divided by the threshold, the triangle equals the formula of
    Bellec et al."""
    v = np.linspace(-threshold, 3 * threshold, 41)
    bellec = 0.3 / threshold * np.maximum(0, 1 - np.abs((v - threshold) / threshold))
    psi = PiecewiseLinear(gamma=0.3 / threshold, beta=1 / threshold)
    # atol: 1 - d cancels at the feet of the triangle
    assert_allclose(psi(v, threshold), bellec, rtol=1e-14, atol=1e-15 / threshold)
    if threshold == 1:
        inside = (0 <= v) & (v <= 1)
        assert_allclose(psi(v)[inside], 0.3 * v[inside], rtol=1e-14, atol=1e-16)


INTEGRALS = {  # of psi / gamma over x = v - v_th, from 0
    PiecewiseLinear: lambda x, b: np.where(
        np.abs(b * x) < 1, x - b * x * np.abs(x) / 2, np.sign(x) / (2 * b)
    ),
    Exponential: lambda x, b: np.sign(x) * (1 - np.exp(-b * np.abs(x))) / b,
    FastSigmoidDerivative: lambda x, b: x / (1 + b * np.abs(x)),
    Arctan: lambda x, b: np.arctan(np.pi * b * x) / (np.pi**2 * b),
}


@kinds
@pytest.mark.parametrize("beta", [0.5, 1.0, 7.0])
def test_surrogates_are_derivatives(kind, beta):
    """Each surrogate is the derivative of the sigmoid in its name."""
    x = np.linspace(-2.01, 2.02, 50)  # avoids the kinks at 0 and 1 / beta
    step = 1e-5
    integral = INTEGRALS[kind]
    slope = (integral(x + step, beta) - integral(x - step, beta)) / (2 * step)
    # truncation: step^2 / 6 times a second derivative of at most 2 (pi beta)^2 = 1e3
    # leaves 2e-8; rounding 1e-16 / step = 1e-11
    assert_allclose(kind(0.4, beta)(1.7 + x, threshold=1.7), 0.4 * slope, atol=4e-8)


finite_or_not = st.floats(allow_nan=False, width=64)
positive = st.floats(1e-3, 1e3)


@kinds
@given(
    gamma=positive,
    beta=positive,
    x=hnp.arrays(float, hnp.array_shapes(max_dims=2), elements=finite_or_not),
)
def test_bump(kind, gamma, beta, x):
    """Psi is symmetric, highest at the threshold, decreasing away from it, and >= 0."""
    psi = kind(gamma, beta)
    with np.errstate(all="raise"):
        values = psi(x, threshold=0.0)
        top = psi(0.0, threshold=0.0)
        farther = psi(np.abs(x) + 0.1, threshold=0.0)
    assert values.shape == x.shape
    assert_array_equal(values, psi(-x, threshold=0.0))
    assert (values >= 0).all() and (values <= top).all() and (farther <= values).all()
    height = gamma / np.pi if kind is Arctan else gamma
    assert top <= gamma
    assert math.isclose(top, height, rel_tol=1e-15)  # gamma / pi is rounded twice


@kinds
def test_threshold_may_differ_between_neurons(kind):
    """The threshold broadcasts, and psi depends only on the voltage relative to it."""
    v, thresholds = np.array([0.25, 0.5, 1.0]), np.array([[0.5], [1.0]])
    expected = [kind()(v - threshold, 0.0) for threshold in thresholds[:, 0]]
    assert_array_equal(kind()(v, thresholds), expected)


# ---- both kinds


@every
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_keeps_the_floating_point_type(psi, dtype):
    """Psi has the dtype of its input, with numpy's errors set to raise."""
    x = np.array([-2.0, 0.0, 0.5, 1.0, 1.5, 40.0], dtype=dtype)
    with np.errstate(all="raise"):
        values = psi(x)
    assert values.dtype == dtype
    # about ten rounding errors, amplified up to tenfold by the exponentials
    tolerance = 100 * np.finfo(dtype).eps
    assert_allclose(values, psi(x.astype(float)), rtol=tolerance, atol=tolerance)
    assert_array_equal(psi([0, 1, 3]), psi([0.0, 1.0, 3.0]))  # integers are valid


@every
def test_extremes_raise_no_floating_point_error(psi):
    """Very large values give finite results >= 0, and NaN stays NaN."""
    with np.errstate(all="raise"):
        values = psi(np.array([-1e308, -1e30, 1e30, 1e308, np.nan]))
    assert np.isnan(values[-1])
    assert np.isfinite(values[:-1]).all() and (values[:-1] >= 0).all()


@every
def test_is_a_value(psi):
    """The repr evaluates; copies are equal, have the same hash, and are immutable."""
    for copy in (eval(repr(psi)), pickle.loads(pickle.dumps(psi))):
        assert copy == psi and hash(copy) == hash(psi)
    assert [other for other in EVERY if other == psi] == [psi]
    field = dataclasses.fields(psi)[-1].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(psi, field, 2.0)
    assert dataclasses.replace(psi, **{dataclasses.fields(psi)[1].name: 9}) != psi


def test_numpy_numbers_as_parameters():
    """numpy numbers are converted to Python numbers, so that the repr evaluates."""
    psi = PiecewiseLinear(np.float64(0.25), beta=np.int64(2))
    assert repr(psi) == "PiecewiseLinear(gamma=0.25, beta=2.0)"


BAD = [0, -1.0, math.nan, math.inf, -math.inf, "0.3", None, [0.3], 1j]


@pytest.mark.parametrize("value", BAD, ids=repr)
@pytest.mark.parametrize(
    "make, thing",
    [(lambda x, k=kind: k(gamma=x), "gamma of " + kind.__name__) for kind in VOLTAGE]
    + [
        (lambda x: Arctan(beta=x), "beta of Arctan"),
        (lambda x: RateDerivative("RectifiedLinear", x), "amplitude of RateDerivative"),
        (lambda x: RateDerivative("Tanh", tau_ref=x), "tau_ref of RateDerivative"),
        (
            lambda x: RateDerivative("LIFRate", tau_ref=0.1, tau_rc=x),
            "tau_rc of RateDerivative",
        ),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_bad_parameters(make, thing, value):
    """Every parameter must be a finite number above 0; the message names parameter and
    value."""
    with pytest.raises(ValueError) as error:
        make(value)
    assert (
        str(error.value) == f"{thing}: must be a finite number above 0 (got {value!r})"
    )


def test_bad_rate_derivatives():
    """The response must be one of four, and the time constants must fit it."""
    with pytest.raises(ValueError, match=r"response: .*\['LIFRate'.*got 'ReLU'"):
        RateDerivative("ReLU")
    with pytest.raises(ValueError, match=r"response: .*got \['Tanh'\]"):
        RateDerivative(["Tanh"], tau_ref=0.1)
    with pytest.raises(ValueError, match="tau_rc: Tanh has none; omit it"):
        RateDerivative("Tanh", tau_ref=0.1, tau_rc=0.1)
    with pytest.raises(ValueError, match="tau_ref: RectifiedLinear has none"):
        RateDerivative("RectifiedLinear", tau_ref=0.1)
    with pytest.raises(ValueError, match=r"tau_ref .*at least 0 .got -1"):
        RateDerivative("LIFRate", tau_ref=-1, tau_rc=0.1)


# ---- spikes and the refractory period


def simulate(neuron_type, dt, bits="64", optimize=True):
    """Run neurons with a varying input; return the probed quantities by name."""
    nengo.rc["precision"]["bits"] = bits
    names = ("input", "output", *neuron_type.state)
    with nengo.Network(seed=1) as net:
        drive = nengo.Node(lambda t: np.sin(2 * np.pi * 5 * t))
        ens = nengo.Ensemble(
            40, 1, neuron_type=neuron_type, max_rates=nengo.dists.Uniform(50, 190)
        )
        nengo.Connection(drive, ens, synapse=None)
        probes = {name: nengo.Probe(ens.neurons, name) for name in names}
    with nengo.Simulator(net, dt=dt, optimize=optimize) as sim:
        sim.run(0.2)
    return {name: sim.data[probe] for name, probe in probes.items()}


def is_awake(neuron_type, data, dt):
    """Return whether another input in a step would have changed the state of the
    neurons."""
    states = tuple(neuron_type.state)
    awake = np.ones(data["input"].shape, dtype=bool)  # first step: assumed
    for step in range(1, len(awake)):
        current = data["input"][step]
        after = []
        # the other input excites, so that no voltage stays at min_voltage
        for J in (current, np.abs(current) + 100):
            state = {name: data[name][step - 1].copy() for name in states}
            output = np.empty_like(current)
            with np.errstate(divide="ignore", invalid="ignore"):
                neuron_type.step(dt, J, output, **state)
            after.append((output, state["voltage"], state["refractory_time"]))
        for replayed, name in zip(
            after[0], ("output", "voltage", "refractory_time"), strict=True
        ):
            assert_array_equal(replayed, data[name][step])
        awake[step] = np.any([x != y for x, y in zip(*after, strict=True)], axis=0)
    return awake


@pytest.mark.parametrize(("dt", "bits"), [(0.001, "64"), (0.0005, "32")])
@pytest.mark.parametrize(
    "neuron_type",
    [
        nengo.LIF(),
        nengo.LIF(tau_ref=0, amplitude=0.1),
        nengo.LIF(tau_ref=0.0003, min_voltage=-1),
        nengo.LIF(tau_rc=0.05, tau_ref=0.0047),
        nengo.AdaptiveLIF(tau_n=0.1, inc_n=0.01),
    ],
    ids=repr,
)
def test_simulated_neurons(neuron_type, dt, bits):
    """Psi is psi(1) at spikes, 0 if no input could have an effect, and psi(v)
    otherwise, bit for bit."""
    data = simulate(neuron_type, dt, bits)
    awake = is_awake(neuron_type, data, dt)
    spiked = data["output"] > 0
    assert spiked.sum() > 100
    assert awake[spiked].all()
    if neuron_type.tau_ref >= 2 * dt:
        assert (~awake).sum() > 100
    for kind in VOLTAGE:  # three of the surrogates have psi(0) > 0
        psi = kind()
        values = from_lif_state(
            psi, data["voltage"], data["refractory_time"], data["output"], dt
        )
        assert values.dtype == data["voltage"].dtype
        # of an array, because float32(0.3) is not 0.3
        top = psi(np.ones(1, dtype=values.dtype))
        assert_array_equal(values[spiked], top.repeat(spiked.sum()))
        assert_array_equal(values[~awake], 0)
        rest = awake & ~spiked
        assert_array_equal(values[rest], psi(data["voltage"][rest]))


def test_bounds_of_the_refractory_period():
    """A step is refractory if it lies entirely in the refractory period: a remaining
    time of at least dt."""
    dt = 2.0**-10  # a power of 2, so that sums are exact
    left = dt * np.array([-1, 0, 1 - dt, 1, 1 + dt])
    psi = from_lif_state(Exponential(gamma=1), np.ones(5), left, np.zeros(5), dt)
    assert_array_equal(psi, [1, 1, 1, 0, 0])
    # nengo.LIF: the voltage moves in the first three cases only
    voltage, output = np.full(5, 0.5), np.empty(5)
    nengo.LIF().step(dt, np.full(5, 0.9), output, voltage, left + dt)
    assert_array_equal(voltage != 0.5, psi > 0)


def test_course_of_a_refractory_period():
    """With tau_ref = 2 dt, one step after a spike is refractory entirely, and the next
    in part."""
    data = simulate(nengo.LIF(tau_ref=0.002), dt=0.001)
    left, output = data["refractory_time"], data["output"]
    psi = from_lif_state(Exponential(), data["voltage"], left, output, 0.001)
    step, neuron = np.argwhere(output[5:-5] > 0)[7] + [5, 0]
    course = slice(step, step + 4)
    assert_array_equal(output[course, neuron] > 0, [True, False, False, False])
    assert 0.002 < left[step, neuron] <= 0.003  # tau_ref + time of the spike
    assert 0.001 <= left[step + 1, neuron] <= 0.002
    assert 0 < left[step + 2, neuron] < 0.001
    assert left[step + 3, neuron] <= 0
    assert_array_equal(data["voltage"][step : step + 2, neuron], 0)
    assert (data["voltage"][step + 2 : step + 4, neuron] > 0).all()
    assert_array_equal(psi[course, neuron] > 0, [True, False, True, True])


class ReadLIF(Operator):
    """Operator that reads the signals of the neurons within the step, as a learning
    rule does."""

    def __init__(self, voltage, refractory_time, output, psi):
        super().__init__()
        self.reads = [voltage, refractory_time, output]
        self.sets = [psi]
        self.incs = self.updates = []

    def make_step(self, signals, dt, rng):
        """Write psi as `from_lif_state` returns it."""
        state = [signals[sig] for sig in self.reads]
        psi = signals[self.sets[0]]

        def step_read():
            psi[...] = from_lif_state(PiecewiseLinear(), *state, dt)

        return step_read


@pytest.mark.parametrize("optimize", [True, False])
def test_operator_sees_the_state_after_the_step(optimize):
    """An operator that reads the signals of the neurons gets the probed state."""
    with nengo.Network(seed=1) as net:
        ens = nengo.Ensemble(10, 1, max_rates=nengo.dists.Uniform(100, 200))
        nengo.Connection(nengo.Node(0.5), ens, synapse=None)
        names = ("voltage", "refractory_time", "output")
        probes = [nengo.Probe(ens.neurons, name) for name in names]
    model = Model(dt=0.001)
    model.build(net)
    psi = Signal(shape=(10,), name="psi")
    signals = model.sig[ens.neurons]
    model.add_op(
        ReadLIF(signals["voltage"], signals["refractory_time"], signals["out"], psi)
    )
    seen = []
    with nengo.Simulator(None, model=model, optimize=optimize) as sim:
        for _ in range(100):
            sim.step()
            seen.append(sim.signals[psi].copy())
        state = [sim.data[probe] for probe in probes]
    assert (state[2] > 0).any()
    assert_array_equal(seen, from_lif_state(PiecewiseLinear(), *state, 0.001))


# ---- the slopes of rates

RATE_TYPES = [
    nengo.LIFRate(),
    nengo.LIFRate(tau_rc=0.05, tau_ref=0.001, amplitude=0.3),
    nengo.LIFRate(tau_ref=0),
    nengo.RectifiedLinear(),
    nengo.RectifiedLinear(amplitude=0.2),
    nengo.SpikingRectifiedLinear(amplitude=3),
    nengo.Sigmoid(),
    nengo.Sigmoid(tau_ref=0.01),
    nengo.Tanh(),
    nengo.Tanh(tau_ref=0.01),
]
WRAPPERS = [nengo.PoissonSpiking, nengo.RegularSpiking, nengo.StochasticSpiking]


def rates(neuron_type, current):
    """Return Nengo's rates for the given currents."""
    return neuron_type.rates(current, gain=[1.0], bias=[0.0])[:, 0]


@pytest.mark.parametrize("neuron_type", RATE_TYPES, ids=repr)
def test_slopes_of_rates(neuron_type):
    """Away from the kink the rate derivative equals the central difference of Nengo's
    rates."""
    current = np.r_[np.linspace(-6, 0.93, 50), np.linspace(1.02, 12, 100)]
    step = 1e-6
    above, below = (
        rates(neuron_type, current + step),
        rates(neuron_type, current - step),
    )
    slope = (above - below) / (2 * step)
    # 1e-5 of the largest slope; rounding, 1e-16 / step of the rate, gives some 1e-8,
    # truncation (step / distance to the kink)^2 = 3e-9
    psi = suitable("auto", neuron_type)
    assert_allclose(psi(current), slope, rtol=1e-5, atol=1e-7 * slope.max())
    assert slope.max() > 0.1


def test_slope_of_steady_rate_of_lif():
    """LIFRate's slope, passed explicitly, equals the slope of the steady rate of
    LIF."""
    psi = RateDerivative("LIFRate", amplitude=2, tau_ref=0.002, tau_rc=0.02)
    neuron_type = nengo.LIF(amplitude=2)
    assert suitable(psi, neuron_type) is psi
    current, step = np.linspace(1.1, 9, 50), 1e-6
    above, below = (
        rates(neuron_type, current + step),
        rates(neuron_type, current - step),
    )
    # as in test_slopes_of_rates
    assert_allclose(psi(current), (above - below) / (2 * step), rtol=1e-5)


@pytest.mark.parametrize(
    "neuron_type",
    [nengo.SpikingRectifiedLinear(amplitude=3)]
    + [kind(nengo.RectifiedLinear(amplitude=1.5), amplitude=2) for kind in WRAPPERS],
    ids=lambda neuron_type: type(neuron_type).__name__,
)
def test_slope_of_mean_output_of_spiking_types(neuron_type):
    """For neuron types that generate spikes from rates, psi is the slope of their mean
    output."""

    def mean_output(current):
        n_neurons = 1000
        with nengo.Network(seed=3) as net:
            ens = nengo.Ensemble(
                n_neurons,
                1,
                neuron_type=neuron_type,
                gain=np.ones(n_neurons),
                bias=np.full(n_neurons, current),
            )
            probe = nengo.Probe(ens.neurons)
        with nengo.Simulator(net) as sim:
            sim.run_steps(1000)
        return sim.data[probe].mean()

    # The response is linear, so that the difference may be wide. Poisson's standard
    # error: 2 sqrt(1.5 * 300 Hz / 1 ms) / sqrt(1e6 samples) = 1.3 Hz, here over 300;
    # 5 of those are 0.02.
    slope = (mean_output(400.0) - mean_output(100.0)) / 300
    assert_allclose(suitable("auto", neuron_type)([100.0, 400.0]), 3)
    assert_allclose(slope, 3, atol=0.03)


def test_kinks():
    """At and below the threshold psi is 0; just above it psi follows the formulas."""
    above = np.nextafter(1, 2)
    relu, lif = suitable("auto", nengo.RectifiedLinear(2)), RATE[0]
    assert_array_equal(relu([-1, -5e-324, 0, 5e-324, 1]), [0, 0, 0, 2, 2])
    with np.errstate(all="raise"):
        assert_array_equal(lif([-1e308, 0, np.nextafter(1, 0), 1]), 0)
        for dtype in (np.float16, np.float32, np.float64):
            one = dtype(1)
            j = float(np.finfo(dtype).eps)
            assert np.nextafter(one, dtype(2)) - one == j
            period = 0.003 + 0.03 * math.log1p(1 / j)
            expected = 1.5 * 0.03 / (j * (1 + j) * period**2)
            got = lif(np.array([one + dtype(j)]))
            # ten rounding errors
            assert_allclose(got, expected, rtol=10 * j)
    documented = RateDerivative("LIFRate", tau_ref=0.002, tau_rc=0.02)
    assert [f"{x:.0e}" for x in documented([1 + 1e-5, above])] == ["4e+04", "2e+14"]


def test_lif_slope_without_refractory_period_far_above_threshold():
    """Without refractory period LIF's slope converges to 1 / tau_rc, without
    overflow."""
    with np.errstate(all="raise"):
        # the deviation is 1 / (12 j^2)
        assert_allclose(RATE[1]([1e8, 1e155, 1e300, 1.7e308]), 50, rtol=1e-14)


# ---- pseudo-derivatives and neuron types

BY_HAND = {
    "LIF": PiecewiseLinear(gamma=0.3, beta=1),
    "AdaptiveLIF": PiecewiseLinear(gamma=0.3, beta=1),
    "LIFRate": RateDerivative("LIFRate", 1, tau_ref=0.002, tau_rc=0.02),
    "RectifiedLinear": RateDerivative("RectifiedLinear", 1),
    "SpikingRectifiedLinear": RateDerivative("RectifiedLinear", 1),
    "Sigmoid": RateDerivative("Sigmoid", tau_ref=0.0025),
    "Tanh": RateDerivative("Tanh", tau_ref=0.0025),
}


def neuron_types(base=nengo.neurons.NeuronType):
    """Return all neuron types defined by Nengo."""
    below = [kind for sub in base.__subclasses__() for kind in neuron_types(sub)]
    return [kind for kind in [base, *below] if kind.__module__ == "nengo.neurons"]


@pytest.mark.parametrize("kind", neuron_types(), ids=lambda kind: kind.__name__)
def test_auto(kind):
    """Exactly those of Nengo's neuron types with a correct pseudo-derivative support
    "auto"."""
    if kind.__name__ in BY_HAND:
        psi = suitable("auto", kind())
        assert psi == BY_HAND[kind.__name__]
        assert suitable(psi, kind()) is psi
    elif issubclass(kind, nengo.neurons.RatesToSpikesNeuronType):
        neuron_type = kind(nengo.Sigmoid(tau_ref=0.01), amplitude=0.5)
        if kind is nengo.neurons.RatesToSpikesNeuronType:
            with pytest.raises(ValueError, match="'auto' is not right"):
                suitable("auto", neuron_type)
            return
        psi = suitable("auto", neuron_type)
        assert psi == RateDerivative("Sigmoid", 0.5, tau_ref=0.01)
        assert suitable(psi, neuron_type) == psi
    else:
        with pytest.raises(
            ValueError, match=f"'auto' is not right for .*{kind.__name__}"
        ):
            suitable("auto", kind())


def test_auto_takes_over_the_parameters():
    """Psi has the parameters of the neuron type, and the amplitudes are multiplied."""
    lif_rate = nengo.LIFRate(tau_rc=0.05, tau_ref=0, amplitude=3)
    expected = RateDerivative("LIFRate", 3, tau_ref=0, tau_rc=0.05)
    assert suitable("auto", lif_rate) == expected
    doubled = nengo.RegularSpiking(lif_rate, amplitude=2)
    assert suitable("auto", doubled) == dataclasses.replace(expected, amplitude=6)
    assert suitable(expected, doubled) == expected  # explicit: as it is


class OwnLIF(nengo.LIF):
    """Subclass of LIF whose voltage may have another meaning."""


class OwnTanh(nengo.Tanh):
    """Subclass of a rate neuron."""


class OwnPoisson(nengo.PoissonSpiking):
    """Subclass of a neuron that generates spikes from rates."""


class Foreign(nengo.neurons.NeuronType):
    """Neuron type that is not derived from a known one."""


Impostor = type("LIF", (Foreign,), {})


@pytest.mark.parametrize(
    "psi, neuron_type",
    [
        (Exponential(), nengo.LIF(tau_rc=0.1)),
        (Exponential(), nengo.AdaptiveLIF()),
        (Exponential(), OwnLIF()),
        (RATE[0], OwnLIF()),
        (RATE[4], OwnTanh()),
        (RATE[4], nengo.PoissonSpiking(OwnTanh())),
        (RATE[4], OwnPoisson(nengo.Tanh())),
        (RATE[2], nengo.SpikingRectifiedLinear()),
    ],
    ids=repr,
)
def test_explicit(psi, neuron_type):
    """An explicit pseudo-derivative is accepted if it may be correct."""
    assert suitable(psi, neuron_type) == psi


@pytest.mark.parametrize(
    "psi, neuron_type",
    [
        ("auto", OwnLIF()),
        ("auto", OwnTanh()),
        ("auto", OwnPoisson(nengo.Tanh())),
        ("auto", nengo.PoissonSpiking(OwnTanh())),
        ("auto", nengo.PoissonSpiking(nengo.AdaptiveLIFRate())),
        ("auto", Impostor()),
        ("auto", nengo.LIF),
        ("auto", None),
        (PiecewiseLinear(), nengo.Izhikevich()),
        (PiecewiseLinear(), nengo.LIFRate()),
        (PiecewiseLinear(), nengo.SpikingRectifiedLinear()),
        (PiecewiseLinear(), nengo.RegularSpiking(nengo.LIFRate())),
        (PiecewiseLinear(), nengo.Direct()),
        (PiecewiseLinear(), Impostor()),
        (RATE[0], nengo.AdaptiveLIFRate()),
        (RATE[0], nengo.AdaptiveLIF()),
        (RATE[0], nengo.Izhikevich()),
        (RATE[0], nengo.Direct()),
        (RATE[0], nengo.Tanh()),
        (RATE[0], nengo.PoissonSpiking(nengo.Tanh())),
        (RATE[0], Foreign()),
        (PiecewiseLinear, nengo.LIF()),
        ("piecewise_linear", nengo.LIF()),
        (None, nengo.LIF()),
    ],
    ids=repr,
)
def test_refused(psi, neuron_type):
    """A pseudo-derivative that may be wrong is refused; the message names both sides
    and a remedy."""
    with pytest.raises(ValueError) as error:
        suitable(psi, neuron_type)
    message = str(error.value)
    assert repr(psi) in message
    assert repr(getattr(neuron_type, "base_type", neuron_type)) in message
    assert "give a surrogate explicitly" in message
    assert all(name in message for name in SLOPES)


def test_spikes_of_spikes_are_refused():
    """Spikes generated from LIF's spikes have no psi."""
    with pytest.warns(UserWarning, match="spiking neuron type"):
        neuron_type = nengo.PoissonSpiking(nengo.LIF())
    for psi in ("auto", PiecewiseLinear()):
        with pytest.raises(ValueError, match="is not right for PoissonSpiking"):
            suitable(psi, neuron_type)
