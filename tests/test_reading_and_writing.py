"""Every way to read and write a simulation between and during its steps."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import nengo
import numpy as np
import pytest
import reference
from nengo.builder.operator import Copy, DotInc
from nengo.builder.signal import SignalDict
from numpy.testing import assert_allclose, assert_array_equal
from test_epes_random import (
    PROBES,
    Case,
    Table,
    build,
    rows,
    simulate,
    simulate_reference,
)

from nengo_epes import EPES

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
    "B f": make_case("neurons", feedback="encoders", size_eligibility=2),
    "B f, slices": make_case("neuron slices", weight_bounds=(-0.02, 0.02)),
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
    return CASES[request.param]


def measure(case):
    """Return the recursion in numpy, of what an undisturbed run measures."""
    measured, _ = simulate(case, build(case, PROBES))
    expected = simulate_reference(case, measured)
    assert np.abs(np.diff(expected.weights, axis=0)).max() > 1e-6
    return {
        "weights": expected.weights,
        "delta": expected.delta,
        "eligibility_trace": expected.trace,
        "characteristic_eligibility": expected.characteristic_eligibility,
        "activities": expected.activities,
    }


def find(sim, net, name):
    """Return the signal of a name."""
    obj = net.conn if name == "weights" else net.port
    return sim.model.sig[obj][name]


def read(sim, net, name):
    return sim.signals[find(sim, net, name)]


WAYS = {
    "[]": lambda signals, signal: signals[signal],
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
    "thread": lambda signals, signal: POOL.submit(lambda: signals[signal]).result(),
}
POOL = ThreadPoolExecutor(1)


def close_to(values):
    return {"rtol": 0, "atol": 1e-12 * np.abs(values).max()}


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_reading_between_steps(case, way, optimize):
    """Every way of reading gives the values of the last step, for every array."""
    expected = measure(case)
    net = build(case)
    with nengo.Simulator(net, dt=DT, optimize=optimize, seed=case.seed) as sim:
        signals = {name: find(sim, net, name) for name in expected}
        if optimize:
            # the optimizer makes views, which Nengo's SignalDict adds at first access
            for signal in signals.values():
                sim.signals[signal]
        for t in range(30):
            sim.step()
            for name, values in expected.items():
                found = WAYS[way](sim.signals, signals[name])
                assert_allclose(found, values[t], err_msg=name, **close_to(values))


def test_reading_parts_of_the_port(case):
    """The whole port and the TD error hold what arrived in the last step."""
    net = build(case)
    with nengo.Simulator(net, dt=DT, progress_bar=False) as sim:
        for t in range(10):
            sim.step()
            port = np.concatenate([values[t] for values in case.ports.values()])
            assert_array_equal(read(sim, net, "error"), port)
            td_error = case.ports["td_error"][t]
            assert_array_equal(read(sim, net, "td_error"), td_error)


def test_arrays_once_read_stay_current(case):
    """An array that was read before the run is current after every step."""
    expected = measure(case)
    net = build(case)
    with nengo.Simulator(net, dt=DT) as sim:
        arrays = {name: read(sim, net, name) for name in expected}
        for t in range(20):
            sim.step()
            for name, values in expected.items():
                assert_allclose(arrays[name], values[t], **close_to(values))


def test_many_reads_make_no_arrays(case):
    """Reading 3000 times gives the same array each time, and no copies."""
    net = build(case)
    with nengo.Simulator(net, dt=DT) as sim:
        sim.run_steps(3)
        for name in ("weights", "eligibility_trace", "delta"):
            arrays = [read(sim, net, name) for _ in range(3000)]
            assert all(array is arrays[0] for array in arrays)


def test_reading_changes_nothing(case):
    """Reading everything after every step leaves the run the same bit for bit."""
    finals = []
    for reads in (False, True):
        net = build(case)
        with nengo.Simulator(net, dt=DT, seed=1) as sim:
            for _ in range(40):
                sim.step()
                if reads:
                    assert len(dict(sim.signals)) == len(list(sim.signals.values()))
                    str(sim.signals)
            finals.append(read(sim, net, "weights").copy())
    assert_array_equal(*finals)


def run_with_reader(sim, signal, n_steps):
    """Run while a second thread reads; return all values that it read."""
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
    """Every value that was read is the value of some step, later ones not earlier."""
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
    """A thread that reads during the run gets weights of its steps, and the run ends
    with the same weights bit for bit."""
    net = build(case)
    trajectory = trajectory_between_steps(net, net.conn, N_STEPS)
    with nengo.Simulator(net, dt=DT, seed=1) as sim:
        # NumPy keeps the interpreter's lock for arrays of up to 500 numbers
        assert read(sim, net, "weights").size < 500
        found = run_with_reader(sim, find(sim, net, "weights"), N_STEPS)
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
    """Add a Node that is called after the product of the weights, before the rule."""
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
    """After KeyboardInterrupt in a Node, learning continues from the arrays as they
    stand: the last delta is added once more, as with every rule of Nengo."""
    step = 31
    settings = {**case.settings, "pre_synapse": None}
    case = Case(**{**vars(case), "settings": settings})
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
    """Return what was measured, as the reference needs it."""
    measured = {name: sim.data[probe] for name, probe in net.measured.items()}
    measured["initial weights"] = sim.data[net.conn].weights
    encoders = sim.data[net.post].scaled_encoders
    measured["encoders"] = rows(case, encoders.T).T
    measured["feedback"] = sim.data[net.port].feedback
    return measured


def test_interrupted_like_pes():
    """After an interruption EPES without memory has the weights of PES."""
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
            net.conn = nengo.Connection(pre, post, learning_rule_type=rule)
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
    """A reset restores the initial weights and an empty trace, and the next run is the
    recursion again."""
    expected = measure(case)
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
    """Weights that are changed between two steps are those of the next product, and
    what decay and bounds act on."""
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
    """In every step the product is that of the weights that are read after it."""
    net = build(case)
    with nengo.Simulator(net, dt=DT, optimize=False) as sim:
        signal = find(sim, net, "weights")
        (product,) = (
            op for op in sim.model.operators if isinstance(op, DotInc) and op.A is signal
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
    """A Node sets some weights to 0 in every step: they are 0 after each step, and
    the others and the trace follow the recursion."""
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
