"""Weights and trace may be written late: nobody is to notice."""

import pickle
import tracemalloc

import nengo
import numpy as np
import pytest
from harness import connect, drive, run
from nengo.builder.signal import SignalDict
from numpy.testing import assert_allclose

from nengo_epes import EPES, steps, surrogates
from nengo_epes.learning_rules import EPESSim
from nengo_epes.learning_rules.activities import LowpassSim
from nengo_epes.learning_rules.choice import choose_form
from nengo_epes.learning_rules.deferred import Deferred
from nengo_epes.learning_rules.factored import Factored
from nengo_epes.learning_rules.forms import Direct


def td_error(t):
    # pulses with silence between them, then continuous
    return np.sin(31 * t) if t > 0.09 or round(t / 0.001) % 13 == 0 else 0.0


def eligibility(t):
    return np.array([0.3 + np.cos(5 * t), np.sin(3 * t)])


def hold(t):
    return np.sin(40 * t)


def reset(t):
    # between two steps, so that rounding does not decide
    return float(0.0502 < t < 0.0602)


INPUTS = {"td_error": td_error, "eligibility": eligibility}
CONTROLS = {"hold": hold, "reset": reset}
PSI = surrogates.PiecewiseLinear()
VOJA = nengo.Voja(0.1)
CASES = {
    "deferred": (Deferred, "neurons", {"post_derivative": PSI}),
    "deferred, weight solver": (Deferred, "weight solver", {"post_derivative": PSI}),
    "deferred, slices": (Deferred, "neuron slices", {"post_derivative": PSI}),
    "deferred, list": (Deferred, "neurons by list", {"post_derivative": PSI}),
    "deferred, rows": (Deferred, "node", {}),
    "deferred, no memory": (
        Deferred,
        "neurons",
        {"post_derivative": PSI, "trace_synapse": None},
    ),
    "factored": (Factored, "neurons", {}),
    "factored, weight solver": (Factored, "weight solver", {}),
    "factored, slices": (Factored, "neuron slices", {"feedback": np.eye(4, 2) - 0.3}),
    "factored, no memory": (Factored, "neurons", {"trace_synapse": None}),
    "factored, Alpha": (Factored, "neurons", {"trace_synapse": nengo.Alpha(0.02)}),
    "factored, bounded": (
        Factored,
        "neurons",
        {"step": steps.Intentional(0.1), "feedback": nengo.dists.Gaussian(0, 1)},
    ),
}


@pytest.fixture(params=CASES, ids=str)
def case(request):
    """A form, the kind of connection, and the options of the rule."""
    return CASES[request.param]


def network(case, n_steps, names=(), controls=True, seed=4, neuron_type=None):
    """Make a network in which a rule learns whose outputs make it learn on."""
    _, kind, options = case
    # large changes, so that what is learned matters for what comes next
    options = {"learning_rate": 0.3, "trace_synapse": 0.02, **options}
    if controls:
        options["controls"] = tuple(CONTROLS)
    rule = EPES(size_eligibility=2, deferred_steps=n_steps, **options)
    with nengo.Network(seed=seed) as net:
        conn = connect(kind, rule, seed, neuron_type or nengo.LIF())
        drive(conn, **INPUTS, **(CONTROLS if controls else {}))
        nengo.Probe(conn, "output", label="output")
        for name in names:
            owner = conn if name == "weights" else conn.learning_rule
            nengo.Probe(owner, name, label=name)
        net.learned = conn
    return net


def arrays(sim, conn):
    """Look at weights, trace and change of a simulation, as a user would."""
    sig = sim.model.sig
    rule = conn.learning_rule
    return [
        sim.signals[sig[conn]["weights"]].copy(),
        sim.signals[sig[rule]["eligibility_trace"]].copy(),
        sim.signals[sig[rule]["delta"]].copy(),
    ]


def assert_close(got, expected):
    """Equal to rounding: 1e-12 of the largest value."""
    assert np.abs(expected).max() > 0
    assert_allclose(got, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("n_steps", [2, 16, 64, 100])
@pytest.mark.parametrize("controls", [False, True])
def test_ends_as_the_direct_form(case, n_steps, controls):
    """Whatever K is, output, weights, trace and change are those of the direct form,
    also after a number of steps that is no multiple of K."""
    seen = []
    for k in (1, n_steps):
        net = network(case, k, controls=controls)
        with nengo.Simulator(net) as sim:
            sim.run_steps(39)  # at a pulse, and at no multiple of K
            first = arrays(sim, net.learned)
            sim.run_steps(148)
            seen.append(
                [*first, *arrays(sim, net.learned), sim.data[net.all_probes[0]]]
            )
    for direct, deferred in zip(*seen, strict=True):
        assert_close(deferred, direct)


@pytest.mark.parametrize("optimize", [True, False])
def test_probes_see_the_direct_form(case, optimize):
    """Probes find everything up to date in every step that they sample."""
    names = ("weights", "eligibility_trace", "delta", "characteristic_eligibility")
    direct, late = (
        run(network(case, k, names), 180, optimize=optimize) for k in (1, 16)
    )
    for name, expected in direct.items():
        assert_close(late[name], expected)


def test_form_is_the_one_that_is_tested(case, monkeypatch):
    """The cases are kept in the forms that they are named after."""
    forms = []

    def note(*args):
        forms.append(choose_form(*args))
        return forms[-1]

    monkeypatch.setattr("nengo_epes.learning_rules.epes_build.choose_form", note)
    for k in (1, 16):
        nengo.Simulator(network(case, k)).close()
    assert [type(form) for form in forms] == [Direct, case[0]]


@pytest.mark.parametrize("attr", ["weights", "eligibility_trace", "delta"])
def test_filtered_probes(case, attr):
    """A probe with a synapse reads in every step, and gets what it would have got."""
    seen = []
    for k in (1, 16):
        net = network(case, k)
        owner = net.learned if attr == "weights" else net.learned.learning_rule
        with net:
            probe = nengo.Probe(owner, attr, synapse=0.01)
        with nengo.Simulator(net) as sim:
            sim.run_steps(140)
        seen.append(sim.data[probe])
    assert_close(seen[1], seen[0])


def test_rates_and_spikes_of_all_inputs(case):
    """Where most inputs are active at once nothing changes."""
    seen = []
    for k in (1, 16):
        net = network(case, k, controls=False, neuron_type=nengo.LIFRate())
        if case[2].get("post_derivative") is PSI:
            pytest.skip("a voltage surrogate needs neurons with a voltage")
        with nengo.Simulator(net) as sim:
            sim.run_steps(65)
            seen.append([*arrays(sim, net.learned), sim.data[net.all_probes[0]]])
    for direct, late in zip(*seen, strict=True):
        assert_close(late, direct)


def test_pickled_in_mid_run(case):
    """A simulation that is pickled between two writings goes on, bit for bit."""
    net = network(case, 16)
    with nengo.Simulator(net) as sim:
        sim.run_steps(73)
        pickled = pickle.dumps({"sim": sim, "net": net})
        sim.run_steps(50)
        straight = arrays(sim, net.learned)
    loaded = pickle.loads(pickled)
    with loaded["sim"] as sim:
        sim.run_steps(50)
        resumed = arrays(sim, loaded["net"].learned)
    for before, after in zip(straight, resumed, strict=True):
        assert np.any(before)
        np.testing.assert_array_equal(after, before)


def test_reset(case):
    """After a reset weights and trace are what they were, and everything repeats."""
    net = network(case, 16)
    with nengo.Simulator(net) as sim:
        fresh = sim.signals[sim.model.sig[net.learned]["weights"]].copy()
        sim.run_steps(41)
        first = arrays(sim, net.learned)
        sim.reset()
        weights, trace, delta = arrays(sim, net.learned)
        np.testing.assert_array_equal(weights, fresh)
        assert not np.any(trace) and not np.any(delta)
        sim.run_steps(41)
        for before, after in zip(first, arrays(sim, net.learned), strict=True):
            np.testing.assert_array_equal(after, before)


def test_weights_that_are_set(case):
    """What a user writes into the weights is there, and is learned on from."""
    seen = []
    for k in (1, 16):
        net = network(case, k)
        with nengo.Simulator(net) as sim:
            weights = sim.model.sig[net.learned]["weights"]
            sim.run_steps(41)
            sim.signals[weights][...] = 0.0
            assert not np.any(sim.signals[weights])
            sim.run_steps(80)
            seen.append([*arrays(sim, net.learned), sim.data[net.all_probes[0]]])
    for direct, late in zip(*seen, strict=True):
        assert_close(late, direct)


@pytest.mark.parametrize("bits", [32, 64])
def test_silence_leaves_no_subnormal_numbers(case, bits):
    """In a long silence traces fall to 0, and not into the range in which arithmetic
    is slow."""
    if isinstance(case[2].get("trace_synapse"), nengo.Alpha):
        pytest.skip("the state of other synapses is their own")
    nengo.rc["precision"]["bits"] = str(bits)
    rule = EPES(
        **{"trace_synapse": 0.002, **case[2]}, size_eligibility=2, deferred_steps=16
    )
    with nengo.Network(seed=1) as net:
        conn = connect(case[1], rule, 1, nengo.LIF())
        drive(conn, td_error=np.sin, eligibility=lambda t: 2 * [float(t < 0.02)])
    tiny = np.finfo(f"float{bits}").tiny
    with nengo.Simulator(net) as sim:
        ours = [
            dict.__getitem__(sim.signals, signal)  # a look would write everything
            for op in sim.step_order
            if isinstance(op, EPESSim | LowpassSim)
            for signal in (*op.sets, *op.updates)
            if signal.size > 10  # single numbers cost nothing
        ]
        for _ in range(25):
            sim.run_steps(70)
            for array in ours:
                assert np.all((array == 0) | (np.abs(array) >= tiny))
        assert not np.any(arrays(sim, conn)[1])


def test_memory_of_a_long_run():
    """What a simulation holds does not grow with the steps."""
    case = CASES["deferred"]
    net = network(case, 16)
    net.all_probes[0].sample_every = 1.0
    with nengo.Simulator(net) as sim:
        sim.run_steps(500)
        tracemalloc.start()
        sim.run_steps(200)
        first = tracemalloc.get_traced_memory()[0]
        sim.run_steps(3000)
        growth = tracemalloc.get_traced_memory()[0] - first
        tracemalloc.stop()
    # the probe takes 17 numbers a second; a vector a step would be 400 kB
    assert growth < 20_000


def test_looks_from_within(case):
    """A Node that looks in the middle of every step changes nothing."""
    seen = []
    for watches in (False, True):
        net = network(case, 16)
        simulators = []

        def look(t, simulators=simulators, net=net):
            if t > 0.002 and simulators:
                arrays(simulators[0], net.learned)

        if watches:
            with net:
                for _ in range(6):  # some before, some after the product
                    nengo.Node(look)
        with nengo.Simulator(net) as sim:
            simulators.append(sim)
            sim.run_steps(100)
            seen.append([*arrays(sim, net.learned), sim.data[net.all_probes[0]]])
    for alone, watched in zip(*seen, strict=True):
        assert_close(watched, alone)


def test_arrays_that_are_kept(case):
    """An array that was looked at once, and is kept, is up to date after every step;
    when it is let go, nothing is left of it."""
    net = network(case, 16, ["eligibility_trace"], controls=False)
    with nengo.Simulator(net) as sim:
        sig, conn = sim.model.sig, net.learned
        signals = {
            "weights": sig[conn]["weights"],
            "trace": sig[conn.learning_rule]["eligibility_trace"],  # probed
            "delta": sig[conn.learning_rule]["delta"],  # not probed
            "part": sig[conn.learning_rule]["delta"][1:],
        }
        kept = {name: sim.signals[signal] for name, signal in signals.items()}
        for steps in (39, 5, 70):
            sim.run_steps(steps)
            before = {name: array.copy() for name, array in kept.items()}
            for name, signal in signals.items():
                assert np.any(before[name]) or steps == 5
                np.testing.assert_array_equal(before[name], sim.signals[signal])
        assert sum(entry[0]() is not None for entry in sim.signals.held) == len(kept)
        kept.clear()
        sim.step()
        assert all(entry[0]() is None for entry in sim.signals.held)
        assert len(sim.signals.held) <= 1  # of the probe's last look


@pytest.mark.parametrize("size", [1, 40, 115])
def test_many_blocks(case, size, monkeypatch):
    """Large matrices are worked through in blocks; here also small ones are."""
    seen = []
    for k in (1, 16):
        net = network(case, k, controls=False)
        with nengo.Simulator(net) as sim:
            sim.run_steps(143)
            seen.append([*arrays(sim, net.learned), sim.data[net.all_probes[0]]])
        monkeypatch.setattr("nengo_epes.learning_rules.trace_steps.BLOCK", size)
        monkeypatch.setattr("nengo_epes.learning_rules.deferred.BLOCK", size)
    for whole, cut in zip(*seen, strict=True):
        assert_close(cut, whole)


@pytest.mark.parametrize("k", [1, 16])
def test_parts_that_are_kept(case, k):
    """A row, or the transposed weights, are kept up to date, too."""
    net = network(case, k, controls=False)
    with nengo.Simulator(net) as sim:
        weights = sim.model.sig[net.learned]["weights"]
        trace = sim.model.sig[net.learned.learning_rule]["eligibility_trace"]
        parts = sim.signals[weights][0], sim.signals[weights].T, sim.signals[trace][0]
        before = parts[1].copy()
        sim.run_steps(52)
        now = sim.signals[weights], sim.signals[trace]
        assert np.any(parts[1] != before) and np.any(now[1])
        for part, new in zip(parts, (now[0][0], now[0].T, now[1][0]), strict=True):
            np.testing.assert_array_equal(part, new)


def test_what_is_formed_cannot_be_written(case):
    """Writing to a formed trace would do nothing, and says so."""
    net = network(case, 16)
    with nengo.Simulator(net) as sim:
        sim.run_steps(5)
        trace = sim.model.sig[net.learned.learning_rule]["eligibility_trace"]
        with pytest.raises(ValueError, match="read-only"):
            sim.signals[trace][...] = 0.0


class OtherSignals:
    """The signals of another backend: the same interface, and no SignalDict."""

    def __init__(self):
        self.signals = SignalDict()
        for name in ("init", "reset", "items"):
            setattr(self, name, getattr(self.signals, name))

    def __getitem__(self, key):
        return self.signals[key]

    def __setitem__(self, key, value):
        self.signals[key] = value

    def __contains__(self, key):
        return key in self.signals

    def __iter__(self):
        return iter(self.signals)


@pytest.mark.parametrize("k", [1, 16])
def test_other_backends(case, k, monkeypatch):
    """Where looks cannot be noticed, everything is up to date after every step."""
    names = ("weights", "eligibility_trace", "delta", "characteristic_eligibility")
    own = run(network(case, k, names), 60)
    monkeypatch.setattr("nengo.simulator.SignalDict", OtherSignals)
    other = run(network(case, k, names), 60)
    for name, expected in own.items():
        assert_close(other[name], expected)


def test_beside_a_rule_for_encoders():
    """Encoders that learn are no fixed matrix."""
    seen = []
    for k in (1, None):
        with nengo.Network(seed=2) as net:
            rule = EPES(1e-3, size_eligibility=2, deferred_steps=k)
            conn = connect("neurons", rule, 2, nengo.LIF())
            drive(conn, td_error=td_error, eligibility=eligibility)
            post = conn.post_obj.ensemble
            nengo.Connection(conn.pre_obj.ensemble, post, learning_rule_type=VOJA)
        with nengo.Simulator(net) as sim:
            sim.run_steps(200)
            seen.append(arrays(sim, conn))
    for direct, chosen in zip(*seen, strict=True):
        assert_close(chosen, direct)


@pytest.mark.parametrize("attr", ["characteristic_eligibility", "error"])
def test_sliced_probes(case, attr):
    """Probes of a part, and of every second entry, which Nengo copies."""
    seen = []
    for k in (1, 16):
        net = network(case, k)
        with net:
            rule = net.learned.learning_rule
            parts = slice(0, 2), slice(None, None, 2)
            probes = [nengo.Probe(rule[part], attr) for part in parts]
        with nengo.Simulator(net) as sim:
            sim.run_steps(140)
        seen.append([sim.data[probe] for probe in probes])
    for direct, late in zip(*seen, strict=True):
        assert_close(late, direct)


def test_decay_beside_another_rule():
    """Who looks at the change does not change what is learned."""
    seen = []
    for looked_at in (False, True):
        with nengo.Network(seed=2) as net:
            rules = [EPES(0.2), EPES(0.3, weight_decay=100.0)]
            conn = connect("node", rules, 2, nengo.LIF(), dimensions=1)
            for rule, port in zip(rules, conn.learning_rule, strict=True):
                nengo.Connection(nengo.Node(np.sin), port[rule.td_error], synapse=None)
                nengo.Connection(nengo.Node(1.0), port[rule.eligibility], synapse=None)
            if looked_at:
                nengo.Probe(conn.learning_rule[1], "delta", synapse=0.001)
            weights = nengo.Probe(conn, "weights")
        with nengo.Simulator(net) as sim:
            sim.run_steps(200)
        seen.append(sim.data[weights])
    assert_close(*seen)
