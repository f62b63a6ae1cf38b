"""Every way to read and write the arrays of a simulation, between and during steps."""

import copy
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import nengo
import numpy as np
import pytest
from nengo.builder.operator import Copy, DotInc
from nengo.builder.signal import SignalDict
from numpy.testing import assert_allclose, assert_array_equal
from test_epes_random import (
    PROBES,
    Case,
    Table,
    build,
    expected_psi,
    rows,
    simulate,
    simulate_reference,
)

from nengo_epes import EPES, GaussianREINFORCE

DT = 0.001
N_STEPS = 80


def make_case(kind, post_type=None, size_td_error=1, **settings):
    """Make a connection that learns in every step, with random inputs."""
    rng = np.random.RandomState(7)
    settings = {
        "learning_rate": 1e-5,
        "pre_synapse": 0.005,
        "trace_synapse": 0.03,
        "trace_type": "accumulating",
        "weight_bounds": None,
        "weight_decay": 5.0,
        "feedback": "broadcast",
        "size_td_error": size_td_error,
        "size_eligibility": 1,
        **settings,
    }
    ports = {
        "td_error": rng.randn(N_STEPS, size_td_error),
        "eligibility": rng.uniform(-1, 2, (N_STEPS, settings["size_eligibility"])),
    }
    return Case(
        seed=3,
        kind=kind,
        n_steps=N_STEPS,
        dt=DT,
        dimensions=2,
        sizes=(15, 14),
        pre_type=nengo.LIF(),
        post_type=nengo.LIF() if post_type is None else post_type,
        settings=settings,
        ports=ports,
        optimize=False,
    )


CASES = {
    "full trace": make_case(
        "neurons",
        post_derivative="auto",
        feedback="encoders",
        size_eligibility=2,
        weight_bounds=(-0.02, 0.02),
    ),
    # B has 2 columns and 14 rows, and there is no psi
    "encoders, no psi": make_case("neurons", feedback="encoders", size_eligibility=2),
    "broadcast, slices": make_case("neuron slices", weight_bounds=(-0.02, 0.02)),
    "decoders": make_case("node", learning_rate=1e-3, weight_bounds=(-0.01, 0.01)),
    "one eligibility per row": make_case(
        "ensemble", learning_rate=1e-3, feedback="rows", size_eligibility=2
    ),
    "vector third factor": make_case(
        "neurons",
        post_derivative="auto",
        feedback="encoders",
        size_td_error=2,
    ),
    "synapse": make_case("node", learning_rate=1e-3, trace_synapse=nengo.Alpha(0.02)),
}


@pytest.fixture(params=CASES)
def case(request):
    """A connection that learns by EPES, one for each form of the trace."""
    case = copy.copy(CASES[request.param])
    case.name = request.param
    return case


@cache
def measure(name):
    """Return the recursion in numpy, computed from the measurements of an undisturbed
    run."""
    case = CASES[name]
    measured, _ = simulate(case, build(case, PROBES))
    expected = simulate_reference(case, measured)
    assert np.abs(np.diff(expected.weights, axis=0)).max() > 1e-6
    values = {
        "weights": expected.weights,
        "delta": expected.delta,
        "eligibility_trace": expected.trace,
        "characteristic_eligibility": expected.characteristic_eligibility,
        "activities": expected.activities,
        "td_error": case.ports["td_error"],
        "error": np.hstack(list(case.ports.values())),
    }
    if case.settings.get("post_derivative") is not None:
        values["post_derivative"] = expected_psi(case, measured)
    return values


def find(sim, net, name):
    """Return the signal with the given name."""
    obj = net.conn if name == "weights" else net.port
    return sim.model.sig[obj][name]


def read(sim, net, name):
    return sim.signals[find(sim, net, name)]


# Nengo adds a view at the first access by [], possibly after the build
WAYS = {
    "get": lambda signals, signal: signals.get(signal),
    "items": lambda signals, signal: next(
        array for key, array in signals.items() if key is signal
    ),
    "values": lambda signals, signal: list(signals.values())[
        list(signals).index(signal)
    ],
    "dict": lambda signals, signal: dict(signals)[signal],
    "copy": lambda signals, signal: signals.copy()[signal],
    "unpacking": lambda signals, signal: {**signals}[signal],
    "iteration": lambda signals, signal: next(
        signals[key] for key in signals if key is signal
    ),
    "[]": lambda signals, signal: signals[signal],
    "second thread": lambda signals, signal: POOL.submit(
        lambda: signals[signal]
    ).result(),
}
POOL = ThreadPoolExecutor(1)


def close_to(values):
    return {"rtol": 0, "atol": 1e-12 * np.abs(values).max()}


@pytest.mark.parametrize("optimize", [False, True])
def test_reading_between_steps(case, optimize):
    """Every way of reading returns the value of the last step."""
    expected = measure(case.name)
    net = build(case)
    with nengo.Simulator(net, dt=DT, optimize=optimize, seed=case.seed) as sim:
        for t in range(10):
            sim.step()
            for name, values in expected.items():
                signal = find(sim, net, name)
                current = sim.signals[signal]
                assert_allclose(current, values[t], err_msg=name, **close_to(values))
                for way, function in WAYS.items():
                    found = function(sim.signals, signal)
                    assert np.array_equal(found, current), (name, way)


def test_arrays_once_read_stay_current(case):
    """An array obtained before the run is current after every step."""
    expected = measure(case.name)
    net = build(case)
    with nengo.Simulator(net, dt=DT) as sim:
        arrays = {name: read(sim, net, name) for name in expected}
        for t in range(20):
            sim.step()
            for name, values in expected.items():
                assert_allclose(arrays[name], values[t], **close_to(values))


def test_many_reads_make_no_arrays(case):
    """Reading 100 times returns the same array each time and makes no copies."""
    net = build(case)
    with nengo.Simulator(net, dt=DT) as sim:
        sim.run_steps(3)
        for name in ("weights", "eligibility_trace", "delta"):
            arrays = [read(sim, net, name) for _ in range(100)]
            assert all(array is arrays[0] for array in arrays)


def test_reading_changes_nothing(case):
    """Reading everything after every step does not change the run, bit for bit."""
    finals = []
    for reads in (False, True):
        net = build(case)
        with nengo.Simulator(net, dt=DT, seed=1) as sim:
            for t in range(40):
                sim.step()
                if reads:
                    assert len(dict(sim.signals)) == len(list(sim.signals.values()))
                if reads and t % 10 == 3:
                    str(sim.signals)
            finals.append(read(sim, net, "weights").copy())
    assert_array_equal(*finals)


def run_with_reader(sim, signal, n_steps):
    """Run while a second thread reads; return all values that the thread read."""
    found, stop, errors = [], threading.Event(), []

    def reader():
        try:
            while not stop.is_set():
                for way in ("[]", "get", "items", "dict"):
                    found.append(np.array(WAYS[way](sim.signals, signal)))
        except Exception as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=reader)
    thread.start()
    try:
        sim.run_steps(n_steps, progress_bar=False)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert not errors
    return found


def assert_on_trajectory(found, trajectory):
    """Assert that each value equals the value of some step, in the order of the
    steps."""
    index = {weights.tobytes(): t for t, weights in enumerate(trajectory)}
    times = [index[array.tobytes()] for array in found]
    assert times == sorted(times)
    assert len(set(times)) > 3, "the thread has hardly read"


def trajectory_between_steps(net, conn, n_steps):
    """Return the weights before the first and after every step."""
    with nengo.Simulator(net, dt=DT, seed=1) as sim:
        weights = sim.signals[sim.model.sig[conn]["weights"]]
        trajectory = [weights.copy()]
        for _ in range(n_steps):
            sim.step()
            trajectory.append(weights.copy())
    return trajectory


def test_reading_from_a_thread(case):
    """A thread that reads during the run gets weights of single steps, and the final
    weights do not change, bit for bit."""
    net = build(case)
    trajectory = trajectory_between_steps(net, net.conn, 300)
    with nengo.Simulator(net, dt=DT, seed=1) as sim:
        # numpy does not release the GIL for arrays of up to 500 numbers
        assert read(sim, net, "weights").size < 500
        found = run_with_reader(sim, find(sim, net, "weights"), 300)
        assert_array_equal(read(sim, net, "weights"), trajectory[-1])
    assert_on_trajectory(found, trajectory)


class Interruption:
    """A Node function that raises KeyboardInterrupt in one step."""

    def __init__(self, step):
        self.step, self.done = step, False

    def __call__(self, t, _):
        """Return 0, or raise once."""
        if round(t / DT) == self.step and not self.done:
            self.done = True
            raise KeyboardInterrupt
        return 0.0


def between_product_and_rule(net, function, port=None):
    """Add a Node that runs after the product of the weights and before the rule.

    The order holds because the connections have no synapse.
    """
    port = net.port if port is None else port
    with net:
        target = net.conn.post_obj
        node = nengo.Node(function, size_in=target.size_out, size_out=1)
        if isinstance(target, nengo.Ensemble):
            target = target.neurons
            node.size_in = target.size_out
        nengo.Connection(target, node, synapse=None)
        nengo.Connection(node, port[0], synapse=None)


def test_continuing_after_an_interruption(case):
    """After KeyboardInterrupt in a Node, learning continues from the current arrays:
    the last delta is added once more, as with every rule of Nengo."""
    step = 31
    case.settings = {**case.settings, "pre_synapse": None}
    net = build(case, PROBES)
    between_product_and_rule(net, Interruption(step))
    with nengo.Simulator(net, dt=DT, optimize=False, seed=case.seed) as sim:
        with pytest.raises(KeyboardInterrupt):
            sim.run_steps(N_STEPS)
        sim.run_steps(N_STEPS - step)
        measured = collect(case, net, sim)
        final = read(sim, net, "weights").copy()
    ports = {
        name: np.delete(values, step - 1, axis=0) for name, values in case.ports.items()
    }
    case.ports, case.n_steps = ports, N_STEPS - 1
    expected = simulate_reference(case, measured)
    again = np.zeros_like(expected.delta)
    again[step - 2] = expected.delta[step - 2]
    expected = simulate_reference(case, measured, other_deltas=again)
    for name, values in (("weights", expected.weights), ("delta", expected.delta)):
        assert_allclose(measured[name], values, err_msg=name, **close_to(values))
    assert_array_equal(final, measured["weights"][-1])
    assert_allclose(
        measured["eligibility_trace"], expected.trace, **close_to(expected.trace)
    )


def collect(case, net, sim):
    """Return the measurements that the reference needs."""
    measured = {name: sim.data[probe] for name, probe in net.measured.items()}
    measured["initial weights"] = sim.data[net.conn].weights
    encoders = sim.data[net.post].scaled_encoders
    measured["encoders"] = rows(case, encoders.T).T
    measured["feedback"] = sim.data[net.port].feedback
    return measured


def test_interrupted_like_pes():
    """After an interruption, EPES without memory has the weights of PES."""
    finals = []
    for rule in (
        nengo.PES(1e-3, pre_synapse=None),
        EPES(
            1e-3,
            size_td_error=2,
            size_eligibility=0,
            pre_synapse=None,
            trace_synapse=None,
        ),
    ):
        sign = -1.0 if isinstance(rule, EPES) else 1.0
        with nengo.Network(seed=1) as net:
            pre = nengo.Ensemble(20, 2, seed=1)
            post = nengo.Node(size_in=2)
            nengo.Connection(nengo.Node([0.3, -0.5]), pre, synapse=None)
            net.conn = nengo.Connection(
                pre, post, synapse=None, learning_rule_type=rule
            )
            error = nengo.Node(Table(sign * np.random.RandomState(2).randn(90, 2), DT))
            nengo.Connection(error, net.conn.learning_rule, synapse=None)
        between_product_and_rule(net, Interruption(40), net.conn.learning_rule)
        with nengo.Simulator(net, dt=DT) as sim:
            with pytest.raises(KeyboardInterrupt):
                sim.run_steps(80)
            sim.run_steps(40)
            finals.append(sim.signals[sim.model.sig[net.conn]["weights"]].copy())
            initial = sim.data[net.conn].weights
    pes, epes = finals
    assert np.abs(pes - initial).max() > 1e-6
    assert_allclose(epes, pes, **close_to(pes))


def test_reset_between_runs(case):
    """A reset restores the initial weights and empties the trace, and the next run
    equals the recursion again."""
    expected = measure(case.name)
    net = build(case)
    with nengo.Simulator(net, dt=DT, optimize=False, seed=case.seed) as sim:
        sim.run_steps(37)
        sim.reset()
        assert_array_equal(read(sim, net, "weights"), sim.data[net.conn].weights)
        assert not read(sim, net, "eligibility_trace").any()
        assert not read(sim, net, "delta").any()
        for t in range(30):
            sim.step()
            for name, values in expected.items():
                found = read(sim, net, name)
                assert_allclose(found, values[t], err_msg=name, **close_to(values))


@pytest.mark.parametrize("optimize", [False, True])
def test_weights_changed_by_hand(case, optimize):
    """Weights that are changed between two steps are used by the next product, by decay
    and by bounds."""
    net = build(case, PROBES)
    with nengo.Simulator(net, dt=DT, optimize=optimize, seed=case.seed) as sim:
        sim.run_steps(40)
        weights = read(sim, net, "weights")
        by_hand = 0.5 * weights[::-1] + 0.003
        weights[...] = by_hand
        sim.run_steps(40)
        measured = collect(case, net, sim)
    first = simulate_reference(case, measured)
    others = np.zeros_like(first.delta)
    others[39] = by_hand - first.weights[39]
    expected = simulate_reference(case, measured, other_deltas=others)
    for name, values in (("weights", expected.weights), ("delta", expected.delta)):
        assert_allclose(measured[name], values, err_msg=name, **close_to(values))


def test_output_uses_the_weights_that_are_read(case):
    """In every step the product uses the weights that are read after the step."""
    net = build(case)
    with nengo.Simulator(net, dt=DT, optimize=False) as sim:
        signal = find(sim, net, "weights")
        (product,) = (
            op
            for op in sim.model.operators
            if isinstance(op, DotInc) and op.A is signal
        )
        for t in range(20):
            if t == 10:
                sim.signals[signal][...] *= -2.0
            sim.step()
            found = sim.signals[product.Y]
            expected = sim.signals[signal] @ sim.signals[product.X]
            atol = 1e-12 * max(np.abs(found).max(), 1e-3)
            assert_allclose(found, expected, rtol=0, atol=atol)


def test_mask_of_weights(case):
    """Weights that a Node sets to 0 in every step are 0 after each step; the other
    weights and the trace follow the recursion."""
    net = build(case, PROBES)
    simulator, mask = [], None

    def cut(t, _):
        weights = read(simulator[0], net, "weights")
        weights[mask] = 0.0
        return 0.0

    between_product_and_rule(net, cut)
    with nengo.Simulator(net, dt=DT, optimize=False, seed=case.seed) as sim:
        simulator.append(sim)
        weights = read(sim, net, "weights")
        mask = np.random.RandomState(1).rand(*weights.shape) < 0.4
        for _ in range(N_STEPS):
            sim.step()
            assert not weights[mask].any()
        measured = collect(case, net, sim)
    assert not measured["weights"][:, mask].any()
    expected = simulate_reference(case, measured)
    for name in ("weights", "delta"):
        values = vars(expected)[name][:, ~mask]
        assert_allclose(measured[name][:, ~mask], values, **close_to(values))
    assert_allclose(
        measured["eligibility_trace"], expected.trace, **close_to(expected.trace)
    )


def test_trace_emptied_by_hand(case):
    """A trace that is set to 0 between two steps grows again from 0."""
    if case.name == "synapse":
        pytest.skip("the Alpha filter has a state of its own")
    net = build(case, PROBES)
    with nengo.Simulator(net, dt=DT, seed=case.seed) as sim:
        sim.run_steps(40)
        trace = read(sim, net, "eligibility_trace")
        assert trace.any()
        trace.setflags(write=True)
        trace[...] = 0
        sim.run_steps(40)
        measured = collect(case, net, sim)
    expected = simulate_reference(
        case, measured, after_step=lambda t, trace: trace.clear() if t == 39 else None
    )
    assert_equal_run(measured, expected)


def test_feedback_changed_by_hand(case):
    """A matrix B that is changed between two steps takes effect in the next step."""
    n_post = 3 if case.kind == "neuron slices" else 2
    matrices = {"broadcast": np.ones((n_post, 1)), "rows": np.eye(n_post)}
    # a matrix in place of the name, which has none
    feedback = matrices.get(case.settings["feedback"], "encoders")
    case.settings = {**case.settings, "feedback": feedback}
    net = build(case, PROBES)
    rng = np.random.RandomState(1)
    with nengo.Simulator(net, dt=DT, optimize=False, seed=case.seed) as sim:
        if isinstance(feedback, str):
            signal = sim.model.sig[net.post]["encoders"]
        else:
            (signal,) = (s for s in sim.signals if s.name.endswith(".feedback"))
        matrix = sim.signals[signal]
        before = matrix.copy()
        sim.run_steps(40)
        matrix.setflags(write=True)
        matrix[...] = after = rng.randn(*matrix.shape)
        sim.run_steps(40)
        measured = collect(case, net, sim)
    B = np.array([before] * 40 + [after] * 40)
    expected = simulate_reference(case, measured, feedback=B)
    assert_equal_run(measured, expected)


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("size_td_error", [1, 2])
def test_encoders_cut_like_pes(size_td_error, optimize):
    """If the encoders of half of the neurons are set to 0 in mid-run, EPES without
    memory has the weights of PES."""
    error = np.random.RandomState(2).randn(80, 2)
    common = {"pre_synapse": 0.005, "learning_rate": 1e-5}
    epes = {
        1: EPES(trace_synapse=None, size_eligibility=2, **common),
        2: EPES(trace_synapse=None, size_td_error=2, size_eligibility=0, **common),
    }[size_td_error]
    finals = []
    for rule in (nengo.PES(**common), epes):
        values = error
        if rule is epes:
            values = np.hstack([-np.ones((80, 1)), error])
            values = -error if size_td_error == 2 else values
        with nengo.Network(seed=1) as net:
            pre, post = (nengo.Ensemble(n, 2, seed=n) for n in (20, 16))
            nengo.Connection(nengo.Node([0.3, -0.5]), pre, synapse=None)
            conn = nengo.Connection(
                pre.neurons,
                post.neurons,
                transform=np.zeros((16, 20)),
                learning_rule_type=rule,
            )
            node = nengo.Node(Table(values, DT))
            nengo.Connection(node, conn.learning_rule, synapse=None)
        with nengo.Simulator(net, dt=DT, optimize=optimize) as sim:
            sim.run_steps(40)
            encoders = sim.signals[sim.model.sig[post]["encoders"]]
            encoders.setflags(write=True)
            encoders[:8] = 0.0
            sim.run_steps(40)
            finals.append(sim.signals[sim.model.sig[conn]["weights"]].copy())
            encoders.setflags(write=False)
    pes, epes = finals
    assert np.abs(pes).max() > 1e-6
    assert_allclose(epes, pes, **close_to(pes))


def assert_equal_run(measured, expected):
    """Compare weights, trace and delta of a whole run with the reference."""
    for name, values in (
        ("eligibility_trace", expected.trace),
        ("delta", expected.delta),
        ("weights", expected.weights),
    ):
        assert_allclose(measured[name], values, err_msg=name, **close_to(values))


def reinforce_network(regime="immediate", probed=False):
    """Make a connection that learns by GaussianREINFORCE in every tenth step."""
    rule = GaussianREINFORCE(1e-3, regime=regime, pre_synapse=None)
    rng = np.random.RandomState(4)
    decisions = rng.randn(N_STEPS, 7)
    decisions[:, 0] = np.arange(N_STEPS) % 10 == 3
    inputs = {
        "reward": rng.randn(N_STEPS, 1),
        "gate": rng.choice([0.0, 0.25, 1.0], (N_STEPS, 1)),
        "decision": decisions,
    }
    with nengo.Network(seed=3) as net:
        pre = nengo.Ensemble(20, 2, seed=3)
        nengo.Connection(nengo.Node([0.3, -0.5]), pre, synapse=None)
        net.conn = nengo.Connection(
            pre, nengo.Node(size_in=2), synapse=None, learning_rule_type=rule
        )
        net.port = net.conn.learning_rule
        for name, values in inputs.items():
            where = getattr(rule, name)
            node = nengo.Node(Table(values, DT))
            nengo.Connection(node, net.port[where], synapse=None)
        if probed:
            net.raw = nengo.Probe(pre.neurons)
    return net, inputs


def reinforce_weights(weights, raw, inputs, regime="immediate", again=None):
    """Return the weights of every step and those after the last one.

    Immediate (Williams 1992, equation 4): rate / n reward score a^T in the step of a
    decision. Episodic (equation 11): the reward times the sum of the scores; the part
    that the gate lets learn is forgotten.
    """
    trajectory, rate = [weights], 1e-3 / raw.shape[1]
    total = np.zeros_like(weights)
    for t, a in enumerate(raw):
        decides, score = inputs["decision"][t, 0] > 0.5, inputs["decision"][t, 1:3]
        gate, reward = inputs["gate"][t, 0], inputs["reward"][t, 0]
        if regime == "immediate":
            total = np.zeros_like(weights)
        if decides:
            total = total + np.outer(score, a)
        delta = rate * gate * reward * total
        if regime == "episodic":
            total = (1 - gate) * total
        weights = weights + delta
        if t == again:
            weights = weights + delta
        trajectory.append(weights)
    return np.array(trajectory)


REGIMES = ["immediate", "episodic"]


def reinforce_reference(regime):
    """Return the weights of every step of an undisturbed run."""
    net, inputs = reinforce_network(regime, probed=True)
    with nengo.Simulator(net, dt=DT, seed=1) as sim:
        sim.run_steps(N_STEPS)
        initial, raw = sim.data[net.conn].weights, sim.data[net.raw]
    weights = reinforce_weights(initial, raw, inputs, regime)
    assert np.abs(weights[-1] - weights[0]).max() > 1e-4
    return weights


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("regime", REGIMES)
def test_reinforce_reading(regime, optimize):
    """Every way of reading returns the weights and the delta of the last step of
    GaussianREINFORCE, also after a reset."""
    expected = reinforce_reference(regime)
    net, _ = reinforce_network(regime)
    with nengo.Simulator(net, dt=DT, optimize=optimize, seed=1) as sim:
        for _ in range(2):
            for t in range(25):
                sim.step()
                values = {
                    "weights": expected[t],
                    "delta": expected[t + 1] - expected[t],
                }
                for name, value in values.items():
                    signal = find(sim, net, name)
                    current = sim.signals[signal]
                    assert_allclose(current, value, **close_to(expected))
                    for way, function in WAYS.items():
                        found = function(sim.signals, signal)
                        assert np.array_equal(found, current), (name, way)
            sim.reset()
            assert_array_equal(read(sim, net, "weights"), sim.data[net.conn].weights)
            assert not read(sim, net, "eligibility").any()


@pytest.mark.parametrize("optimize", [False, True])
def test_reinforce_names_can_be_read(optimize):
    """Every probeable of GaussianREINFORCE can be read without a probe, with its
    documented shape."""
    net, inputs = reinforce_network("episodic")
    matrices = {"eligibility", "gradient", "accumulated_gradients", "delta"}
    shapes = {"activities": (20,), "score": (2,)}
    with nengo.Simulator(net, dt=DT, optimize=optimize) as sim:
        sim.run_steps(4)
        for name in net.port.probeable:
            shape = (2, 20) if name in matrices else shapes.get(name, (1,))
            for way in ("get", "items", "[]"):
                found = WAYS[way](sim.signals, find(sim, net, name))
                assert found.shape == shape, (name, way)
        assert_array_equal(read(sim, net, "reward"), inputs["reward"][3])
        assert_array_equal(read(sim, net, "score"), inputs["decision"][3, 1:3])


@pytest.mark.parametrize("regime", REGIMES)
def test_reinforce_from_a_thread(regime):
    """A thread that reads during the run gets weights of single steps of
    GaussianREINFORCE and changes nothing."""
    net, _ = reinforce_network(regime)
    trajectory = trajectory_between_steps(net, net.conn, 10 * N_STEPS)
    with nengo.Simulator(net, dt=DT, seed=1) as sim:
        found = run_with_reader(sim, find(sim, net, "weights"), 10 * N_STEPS)
        assert_array_equal(read(sim, net, "weights"), trajectory[-1])
    # learning steps only
    index = {w.tobytes() for w in trajectory}
    assert all(array.tobytes() in index for array in found)


@pytest.mark.parametrize("regime", REGIMES)
def test_reinforce_after_an_interruption(regime):
    """After KeyboardInterrupt the last delta of GaussianREINFORCE is added once more,
    as with every rule of Nengo."""
    step = 35  # the delta of step 34, a decision, is added again
    net, inputs = reinforce_network(regime, probed=True)
    between_product_and_rule(net, Interruption(step))
    with nengo.Simulator(net, dt=DT, optimize=False, seed=1) as sim:
        with pytest.raises(KeyboardInterrupt):
            sim.run_steps(N_STEPS)
        sim.run_steps(N_STEPS - step)
        initial, raw = sim.data[net.conn].weights, sim.data[net.raw]
        final = read(sim, net, "weights").copy()
    inputs = {k: np.delete(v, step - 1, axis=0) for k, v in inputs.items()}
    expected = reinforce_weights(initial, raw, inputs, regime, again=step - 2)
    # the delta of the last step has not been added yet
    assert_allclose(final, expected[-2], **close_to(expected))


@pytest.mark.parametrize("regime", REGIMES)
def test_reinforce_weights_changed_by_hand(regime):
    """Weights that are changed by hand are used by the next product of
    GaussianREINFORCE, and masked weights are 0 after each step."""
    expected = reinforce_reference(regime)
    net, _ = reinforce_network(regime)
    simulator, mask = [], np.random.RandomState(1).rand(2, 20) < 0.4

    def cut(t, _):
        read(simulator[0], net, "weights")[mask] = 0.0
        return 0.0

    between_product_and_rule(net, cut)
    with nengo.Simulator(net, dt=DT, optimize=False, seed=1) as sim:
        simulator.append(sim)
        weights = read(sim, net, "weights")
        for t in range(N_STEPS):
            if t == 40:
                weights += 0.5
            sim.step()
            assert not weights[mask].any()
            values = expected[t] + (0.5 if t >= 40 else 0.0)
            assert_allclose(weights[~mask], values[~mask], **close_to(expected))


def test_reinforce_eligibility_emptied_by_hand():
    """An episode's eligibility that is set to 0 by hand is lost."""
    net, inputs = reinforce_network("episodic", probed=True)
    with nengo.Simulator(net, dt=DT, seed=1) as sim:
        sim.run_steps(40)
        eligibility = read(sim, net, "eligibility")
        eligibility.setflags(write=True)
        eligibility[...] = 0
        middle = read(sim, net, "weights").copy() + read(sim, net, "delta")
        sim.run_steps(40)
        raw = sim.data[net.raw][40:]
        final = read(sim, net, "weights").copy()
    rest = {name: values[40:] for name, values in inputs.items()}
    expected = reinforce_weights(middle, raw, rest, "episodic")
    assert np.abs(final - middle).max() > 1e-4
    assert_allclose(final, expected[-2], **close_to(expected))


def assert_plain_nengo(sim, conn):
    """Assert that the model has Nengo's SignalDict, its addition of delta and its
    product."""
    assert type(sim.signals) is SignalDict
    weights = sim.model.sig[conn]["weights"]
    delta = sim.model.sig[conn.learning_rule]["delta"]
    operators = sim.model.operators
    additions = [op for op in operators if type(op) is Copy and op.src is delta]
    assert [(op.dst, op.inc) for op in additions] == [(weights, True)]
    assert sum(type(op) is DotInc and op.A is weights for op in operators) == 1
    # nothing else writes the weights
    writers = [op for op in operators if weights in (*op.sets, *op.incs, *op.updates)]
    assert writers == additions


def test_model_has_the_operators_of_nengo(case):
    """An EPES model has Nengo's SignalDict, Copy and product, and no other operator
    writes the weights."""
    net = build(case)
    with nengo.Simulator(net, dt=DT, optimize=False) as sim:
        assert_plain_nengo(sim, net.conn)


@pytest.mark.parametrize("regime", REGIMES)
def test_reinforce_model_has_the_operators_of_nengo(regime):
    """The same holds for a model with GaussianREINFORCE."""
    net, _ = reinforce_network(regime)
    with nengo.Simulator(net, dt=DT, optimize=False) as sim:
        assert_plain_nengo(sim, net.conn)
