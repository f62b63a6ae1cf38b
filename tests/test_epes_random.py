"""Random connections that learn by EPES, compared with the simulation in
reference.py."""

from collections import Counter
from dataclasses import dataclass, field

import nengo
import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes import EPES, z
from nengo_epes.arithmetic import step_sizes, surrogates

# Nengo's Sigmoid computes exp(-J), and infinity gives the right rate
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered in exp")
N_CASES = 110
PROBES = (
    "error",
    "td_error",
    "characteristic_eligibility",
    "activities",
    "eligibility_trace",
    "delta",
)
TO_NEURONS = (
    "weight solver",
    "weight solver, slice",
    "neurons",
    "neuron slices",
    "neuron list",
    "post list",
)
POST_LIST = [5, 0, 6, 2]
DECODED = ("node", "ensemble", "ensemble slice", "neurons to ensemble")
KINDS = TO_NEURONS + DECODED
SPIKES = nengo.LIF()
RATES = [nengo.LIFRate(), nengo.RectifiedLinear(), nengo.Sigmoid(), nengo.Tanh()]


@dataclass
class Case:
    """A random connection and all of its inputs."""

    seed: int
    kind: str
    n_steps: int
    dt: float
    dimensions: int
    sizes: tuple
    pre_type: nengo.neurons.NeuronType
    post_type: nengo.neurons.NeuronType
    settings: dict
    ports: dict
    step_reference: type | None = None
    step_options: dict = field(default_factory=dict)
    optimize: bool = True


def positive(shape, rng):
    return rng.uniform(0.1, 1.5, shape)


def draw(seed):
    """Draw a case."""
    rng = np.random.RandomState(seed)

    def choose(*options):
        return options[rng.randint(len(options))]

    kind = KINDS[seed % len(KINDS)]
    dimensions = rng.randint(2 if kind.endswith(" slice") else 1, 4)
    sizes = rng.randint(8, 24, 2)
    n_steps = rng.randint(60, 121)
    n_post = count_post(kind, dimensions, sizes)
    to_neurons = kind in TO_NEURONS
    pre_type = choose(SPIKES, SPIKES, *RATES[:3])
    post_type = choose(SPIKES, SPIKES, *RATES)
    trace_type = choose(*["accumulating"] * 4, "replacing", "dutch")
    is_vector = trace_type == "accumulating" and rng.rand() < 0.4
    step, step_reference, step_options = None, None, {}
    if trace_type != "dutch" and not is_vector and rng.rand() < 0.4:
        step, step_reference, step_options = choose(*STEPS)
    size_encoders = dimensions - (kind == "weight solver, slice")
    size, feedback = draw_feedback(
        rng, choose, n_post, size_encoders, to_neurons, trace_type
    )
    is_vector = is_vector and size > 1
    psi = draw_psi(choose, to_neurons, post_type)
    # gains of neurons are about 10, and slopes of rates about 100 Hz
    scale = 1e-3 if to_neurons else 1.0
    if psi == "auto" and post_type != SPIKES:
        scale *= 1e-2
    learning_rate = scale * 10 ** rng.uniform(-4, -2)
    size_g = choose(0, 1) if is_vector or size == 1 else size
    settings = {
        "learning_rate": learning_rate,
        "size_td_error": size if is_vector else 1,
        "size_eligibility": size_g,
        "feedback": feedback,
        "trace_type": trace_type,
        "step": None if step is None else step(**step_options),
        "post_derivative": psi,
        "controls": choose((), "hold", "reset", ("hold", "reset"), ("reset", "hold")),
        **draw_synapses(choose, trace_type, step),
        **draw_limits(choose),
    }
    td_error = 20 * rng.randn(n_steps, settings["size_td_error"])
    # one TD error per decision, as in an agent
    if rng.rand() < 0.5:
        td_error[np.arange(n_steps) % 5 > 0] = 0.0
    g = rng.randn(n_steps, size_g)
    if trace_type == "replacing":
        g = positive((n_steps, size_g), rng)
    if trace_type == "dutch":
        # stability: step size times squared norm of a visit below 1
        g *= 0.2
        settings["learning_rate"] = 5e-8
        settings["post_derivative"] = None
    ports = {"td_error": td_error}
    if size_g:
        ports["eligibility"] = g
    for name in np.atleast_1d(settings["controls"]):
        starts = rng.rand(n_steps) < 0.1
        lasts = np.convolve(starts, np.ones(6 if name == "hold" else 2))[:n_steps]
        # 0.5 is off
        ports[str(name)] = np.where(lasts > 0, 1.0, choose(0.0, 0.5))[:, None]
    return Case(
        seed=seed,
        kind=kind,
        n_steps=n_steps,
        dt=choose(0.001, 0.001, 0.002, 0.0005),
        dimensions=dimensions,
        sizes=tuple(sizes),
        pre_type=pre_type,
        post_type=post_type,
        settings=settings,
        ports=ports,
        step_reference=step_reference,
        step_options=step_options,
        optimize=bool(rng.randint(2)),
    )


STEPS = [
    (step_sizes.ObGD, reference.ObGDStep, {"kappa": 2.5, "max_rate": 200.0}),
    (step_sizes.ObGD, reference.ObGDStep, {"kappa": 2.0, "max_rate": 1.0}),
    (step_sizes.Intentional, reference.IntentionalStep, {"eta": 0.3}),
    (
        step_sizes.Intentional,
        reference.IntentionalStep,
        {"eta": 0.1, "normalize": True, "clip": 1.5, "delta_decay": 0.9},
    ),
]


def draw_synapses(choose, trace_type, step):
    """Draw the filters; only an accumulating trace admits every filter."""
    pre = [None, 0.005, nengo.Lowpass(0.02), z**-3]
    trace = [0.01, 0.03, nengo.Lowpass(0.2)]
    if trace_type == "dutch":
        pre = [0.005, nengo.Lowpass(0.02)]
    if trace_type == "accumulating":
        pre += [nengo.Alpha(0.01)]
        trace += [None]
        if step is None:
            trace += [None, nengo.Alpha(0.02), 0.3 * z**-1 + z**-20]
    return {"pre_synapse": choose(*pre), "trace_synapse": choose(*trace)}


def draw_psi(choose, to_neurons, post_type):
    """Draw the pseudo-derivative."""
    if not to_neurons:
        return None
    if post_type == SPIKES:
        custom = surrogates.Exponential(), surrogates.Arctan(gamma=0.5, beta=2)
        return choose(None, "auto", *custom)
    return choose(None, "auto")


def draw_limits(choose):
    """Draw bounds and decay of the weights."""
    bounds = choose(None, None, (-0.01, 0.02), (0.0, np.inf), (-np.inf, 0.005))
    return {"weight_bounds": bounds, "weight_decay": choose(0.0, 0.0, 0.5, 20.0)}


def draw_feedback(rng, choose, n_post, dimensions, to_neurons, trace_type):
    """Draw the number of dimensions that B maps, and the setting ``feedback``."""
    matrix = positive if trace_type == "replacing" else lambda s, r: r.randn(*s)
    columns = int(rng.choice([1, 2, 3, n_post // 2 + 1]))
    options = [
        (1, "broadcast"),
        (n_post, "rows"),
        (columns, matrix((n_post, columns), rng)),
    ]
    if trace_type != "dutch":
        options += [(columns, nengo.dists.Uniform(0.1, 1.0))]
    # without a name: the first of encoders, rows and broadcast that fits
    if not to_neurons:
        options += [(1, None), (n_post, None)]
    elif trace_type == "accumulating":
        # half of the encoders are negative, all are as large as the gains
        options += [(dimensions, "encoders"), (dimensions, None)]
    elif n_post != dimensions:
        options += [(n_post, None)]
    return choose(*options)


def count_post(kind, dimensions, sizes):
    """Return the number of post dimensions or neurons."""
    if kind == "neuron slices":
        return len(range(sizes[1])[1:7:2])
    if kind == "post list":
        return len(POST_LIST)
    if kind in TO_NEURONS:
        return int(sizes[1])
    return dimensions - 1 if kind == "ensemble slice" else dimensions


class Table:
    """Function of time that repeats the rows of a table, one per step."""

    __name__ = "table"

    def __init__(self, values, dt):
        self.values, self.dt = values, dt

    def __call__(self, t):
        return self.values[(round(t / self.dt) - 1) % len(self.values)]


def build(case, probed=(), beside=None):
    """Make the network of a case; return the network, the connection and its
    ensembles."""
    rng = np.random.RandomState(1000 + case.seed)
    n_pre, n_post = case.sizes
    d, n_steps = case.dimensions, case.n_steps
    rule = EPES(**case.settings)
    rules = rule if beside is None else {"epes": rule, "beside": beside}
    # no synapse, so that the post side is simulated after the product in each step
    learns = {"learning_rule_type": rules, "seed": case.seed, "synapse": None}

    def wave(dimensions, size):
        values = size * np.cumsum(rng.randn(n_steps, dimensions), axis=0) / 5
        return nengo.Node(Table(values, case.dt))

    def transform(rows, columns):
        return 0.01 * rng.randn(rows, columns)

    with nengo.Network(seed=case.seed) as net:
        pre = nengo.Ensemble(n_pre, d, neuron_type=case.pre_type, seed=1)
        post = nengo.Ensemble(n_post, d, neuron_type=case.post_type, seed=2, radius=1.3)
        nengo.Connection(wave(d, 0.6), pre, synapse=None)
        # makes some of the postsynaptic neurons fire
        nengo.Connection(wave(n_post, 1.0), post.neurons, synapse=None)
        if case.kind == "weight solver":
            solver = nengo.solvers.LstsqL2(weights=True)
            conn = nengo.Connection(pre, post, solver=solver, **learns)
        elif case.kind == "weight solver, slice":
            solver = nengo.solvers.LstsqL2(weights=True)
            t = np.ones((d - 1, d))
            conn = nengo.Connection(pre, post[1:], solver=solver, transform=t, **learns)
        elif case.kind == "neurons":
            t = transform(n_post, n_pre)
            conn = nengo.Connection(pre.neurons, post.neurons, transform=t, **learns)
        elif case.kind == "neuron slices":
            t = transform(len(range(n_post)[1:7:2]), len(range(n_pre)[2:-1]))
            conn = nengo.Connection(
                pre.neurons[2:-1], post.neurons[1:7:2], transform=t, **learns
            )
        elif case.kind == "neuron list":
            t = transform(n_post, 4)
            conn = nengo.Connection(
                pre.neurons[[5, 1, 7, 0]], post.neurons, transform=t, **learns
            )
        elif case.kind == "post list":
            t = transform(len(POST_LIST), n_pre)
            conn = nengo.Connection(
                pre.neurons, post.neurons[POST_LIST], transform=t, **learns
            )
        elif case.kind == "node":
            conn = nengo.Connection(pre, nengo.Node(size_in=d), **learns)
        elif case.kind == "ensemble":
            conn = nengo.Connection(pre, post, **learns)
        elif case.kind == "ensemble slice":
            t = np.ones((d - 1, d))
            conn = nengo.Connection(pre, post[1:], transform=t, **learns)
        else:
            t = transform(d, n_pre)
            conn = nengo.Connection(pre.neurons, post, transform=t, **learns)
        port = conn.learning_rule if beside is None else conn.learning_rule["epes"]
        for name, values in case.ports.items():
            nengo.Connection(
                nengo.Node(Table(values, case.dt)),
                port[getattr(rule, name)],
                synapse=None,
            )
        net.port, net.conn, net.pre, net.post = port, conn, pre, post
        net.measured = {}
        if probed:
            net.measured["weights"] = nengo.Probe(conn, "weights")
            net.measured["raw"] = nengo.Probe(pre.neurons)
            for name in post.neurons.probeable:
                if name in ("voltage", "refractory_time", "input", "output"):
                    net.measured[f"post {name}"] = nengo.Probe(post.neurons, name)
        for name in probed:
            net.measured[name] = nengo.Probe(port, name)
    return net


def run(case, probed=()):
    """Build and simulate a case; return the measurements and the final weights."""
    return simulate(case, build(case, probed))


def simulate(case, net):
    """Simulate the network of a case."""
    with nengo.Simulator(
        net, dt=case.dt, optimize=case.optimize, seed=case.seed
    ) as sim:
        sim.run_steps(case.n_steps)
        measured = {name: sim.data[p] for name, p in net.measured.items()}
        # copy, because the simulator changes the array
        final = np.array(sim.signals[sim.model.sig[net.conn]["weights"]])
        measured["initial weights"] = sim.data[net.conn].weights
        encoders = sim.data[net.post].scaled_encoders
        measured["encoders"] = rows(case, encoders.T).T
        if case.kind == "weight solver, slice":
            measured["encoders"] = encoders[:, 1:]
        measured["feedback"] = sim.data[net.port].feedback
    return measured, final


def columns(case, raw):
    """Return the activities of the connected presynaptic neurons."""
    if case.kind == "neuron slices":
        return raw[:, 2:-1]
    return raw[:, [5, 1, 7, 0]] if case.kind == "neuron list" else raw


def rows(case, values):
    """Return the data of the connected postsynaptic neurons."""
    if case.kind == "neuron slices":
        return values[:, 1:7:2]
    return values[:, POST_LIST] if case.kind == "post list" else values


def expected_feedback(case, measured):
    """Return B according to the documentation."""
    feedback = case.settings["feedback"]
    n_post = len(measured["initial weights"])
    encoders = measured["encoders"]
    to_neurons = case.kind in TO_NEURONS
    size = case.settings.get("size_td_error", 1)
    size = max(size, case.settings["size_eligibility"], 1)
    if isinstance(feedback, np.ndarray):
        return feedback
    if isinstance(feedback, nengo.dists.Distribution):
        B = measured["feedback"]
        if to_neurons:
            # root mean square over unit vectors as for the encoders
            scale = np.linalg.norm(encoders) / np.sqrt(encoders.shape[1])
            assert_allclose(np.linalg.norm(B) / np.sqrt(size), scale, rtol=1e-6)
        return B
    if feedback is None:
        feedback = "rows" if n_post == size else "broadcast"
        if to_neurons and encoders.shape[1] == size:
            feedback = "encoders"
    if feedback == "encoders":
        return encoders
    return np.eye(n_post) if feedback == "rows" else np.ones((n_post, 1))


def expected_psi(case, measured):
    """Return psi, computed from the probed state of the postsynaptic neurons."""
    given = case.settings.get("post_derivative")
    if given is None:
        return None
    if case.post_type == SPIKES:
        names = ("voltage", "refractory_time", "output")
        state = [rows(case, measured[f"post {name}"]) for name in names]
        scale = {}
        bump = "PiecewiseLinear"
        if given != "auto":
            bump = type(given).__name__
            scale = {"gamma": given.gamma, "beta": given.beta}
        return reference.voltage_psi(*state, case.dt, bump, **scale)
    return reference.rate_psi(case.post_type, rows(case, measured["post input"]))


def simulate_reference(case, measured, **options):
    """Run the reference on the measured activities and inputs."""
    settings = {
        name: value
        for name, value in case.settings.items()
        if name
        in (
            "learning_rate",
            "pre_synapse",
            "trace_synapse",
            "trace_type",
            "weight_bounds",
            "weight_decay",
        )
    }
    if case.step_reference is not None:
        settings["step"] = case.step_reference(**case.step_options)
    controls = {
        name: case.ports[name][:, 0] for name in ("hold", "reset") if name in case.ports
    }
    if "feedback" not in options:
        options["feedback"] = expected_feedback(case, measured)
    return reference.simulate(
        columns(case, measured["raw"]),
        case.ports["td_error"],
        measured["initial weights"],
        dt=case.dt,
        eligibility=case.ports.get("eligibility"),
        psi=expected_psi(case, measured),
        **controls,
        **settings,
        **options,
    )


def assert_equals_reference(case, measured, expected, tolerance, rounding):
    names = {
        "activities": expected.activities,
        "eligibility_trace": expected.trace,
        "weights": expected.weights,
        "delta": expected.delta,
        "td_error": case.ports["td_error"],
    }
    if case.settings["trace_type"] != "dutch":
        names["characteristic_eligibility"] = expected.characteristic_eligibility
    limited = case.settings["weight_bounds"] or case.settings["weight_decay"]
    for name, values in names.items():
        atol = tolerance * np.abs(values).max()
        if name == "delta" and limited:
            # delta is a difference of larger weights
            atol += rounding * np.abs(expected.weights).max()
        assert_allclose(measured[name], values, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("seed", range(N_CASES))
def test_equals_the_reference(seed):
    """Activities, trace, delta and weights of every step equal the recursion in numpy;
    a run without probes has the same final weights, bit for bit."""
    case = draw(seed)
    measured, final = run(case, PROBES)
    expected = simulate_reference(case, measured)
    assert_equals_reference(case, measured, expected, 1e-12, 1e-15)
    assert_array_equal(measured["weights"][-1], final)
    if seed % 3 == 0:
        assert_array_equal(run(case)[1], final)


@pytest.mark.parametrize("seed", range(2, N_CASES, 5))
def test_single_precision(seed):
    """A run in 32 bits equals the recursion in 64 bits within 1e-4."""
    nengo.rc["precision"]["bits"] = "32"
    case = draw(seed)
    measured, _ = run(case, PROBES)
    assert measured["weights"].dtype == np.float32
    assert measured["eligibility_trace"].dtype == np.float32
    expected = simulate_reference(case, measured)
    # 120 rounding errors of 6e-8 with the same sign give 1e-5; psi and the norms of
    # bounded steps amplify it by up to 10
    assert_equals_reference(case, measured, expected, 1e-4, 1e-6)


@pytest.mark.parametrize("feedback", ["broadcast", "rows"])
# PES refuses a list of postsynaptic neurons
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "post list"])
def test_decay_next_to_another_rule(kind, feedback):
    """Decay acts on the weights as both rules have changed them up to the previous
    step."""
    case = draw(KINDS.index(kind))
    n_post = count_post(kind, case.dimensions, case.sizes)
    size = 1 if feedback == "broadcast" else n_post
    rng = np.random.RandomState(5)
    case.step_reference = None
    case.settings = {
        "learning_rate": 1e-3,
        "pre_synapse": 0.005,
        "trace_synapse": 0.03,
        "trace_type": "accumulating",
        "weight_bounds": None,
        "weight_decay": 20.0,
        "feedback": feedback,
        "size_eligibility": size,
    }
    case.ports = {
        "td_error": rng.randn(case.n_steps, 1),
        "eligibility": rng.randn(case.n_steps, size),
    }
    error_size = n_post
    if kind in TO_NEURONS:
        error_size = case.dimensions - (kind == "weight solver, slice")
    error = rng.randn(case.n_steps, error_size)
    beside = nengo.PES(2e-3, pre_synapse=0.01)
    net = build(case, PROBES, beside)
    with net:
        node = nengo.Node(Table(error, case.dt))
        other = net.conn.learning_rule["beside"]
        nengo.Connection(node, other, synapse=None)
    measured, _ = simulate(case, net)
    activities = columns(case, measured["raw"])
    filtered = reference.Filter(0.01, case.dt, activities.shape[1:])
    encoders = measured["encoders"]
    deltas = [
        -2e-3
        * case.dt
        / activities.shape[1]
        * np.outer(encoders @ e if kind in TO_NEURONS else e, filtered.step(a))
        for e, a in zip(error, activities, strict=True)
    ]
    expected = simulate_reference(case, measured, other_deltas=deltas)
    assert np.abs(deltas).max() > 1e-9
    assert_equals_reference(case, measured, expected, 1e-12, 1e-15)


def names_of_options(case):
    """Return one word for each option of a case."""
    s = case.settings
    feedback = s["feedback"]
    if not isinstance(feedback, str):
        feedback = type(feedback).__name__
    is_vector = s["size_td_error"] > 1
    has_psi = s["post_derivative"] is not None
    return [
        case.kind,
        f"pre {type(case.pre_type).__name__}",
        f"post {type(case.post_type).__name__}",
        f"vector {is_vector}, psi {has_psi}, {s['trace_type']}",
        f"trace {type(s['trace_synapse']).__name__}",
        f"step {type(s['step']).__name__}",
        f"bounds {s['weight_bounds']}",
        f"decay {s['weight_decay']}",
        f"feedback {feedback}",
        f"controls {s['controls']}",
        f"eligibility {min(s['size_eligibility'], 2)}",
        f"optimize {case.optimize}",
    ]


def test_the_draw_covers_every_option():
    """The cases contain every option at least four times."""
    count = Counter()
    for seed in range(N_CASES):
        count.update(names_of_options(draw(seed)))
    assert len(count) >= 50
    assert min(count.values()) >= 4, count
