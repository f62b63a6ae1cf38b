"""Contract of every learning rule of the package, in both simulators.

Add a new rule to ``MEMBERS`` to run all of these tests on it.
"""

import copy
import importlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field

import nengo
import numpy as np
import own_rule
import pytest
from harness import connect, drive
from nengo.exceptions import NengoWarning
from numpy.testing import assert_allclose, assert_array_equal

import nengo_epes
from nengo_epes import EPES, GaussianREINFORCE, RewardSTDP, checkpoints, z
from nengo_epes.arithmetic import step_sizes, surrogates


@dataclass
class Member:
    """A learning rule, its inputs, and its exceptions from the defaults."""

    name: str
    rule: nengo.learning_rules.LearningRuleType
    inputs: dict[str, Callable]
    others: list = field(default_factory=list)
    kind: str = "node"
    # without spikes, which fall on other steps when anything is rounded differently
    rates: nengo.neurons.NeuronType = field(default_factory=nengo.LIFRate)


def td_error(t):
    return 0.4 + np.sin(11 * t)


def eligibility(t):
    return np.array([0.3 + np.cos(5 * t), np.sin(3 * t)])


def positive(t):
    return 1.5 + np.cos(5 * t)


def hold(t):
    return np.sin(40 * t)


def reset(t):
    # between two steps, so that rounding does not decide
    return float(0.0502 < t < 0.0602)


def reward(t):
    return 1.5 + np.sin(11 * t)


def gate(t):
    # open in the steps of decisions that end an episode of three
    return float(round(t / 0.0005) % 60 == 0)


def decision(t):
    decided = float(round(t / 0.0005) % 20 == 0)
    score = [np.cos(5 * t), np.sin(3 * t)]
    return np.array([decided, *score, 0.1, 0.2, 1.0, -0.9])


REINFORCE_INPUTS = {"reward": reward, "gate": gate, "decision": decision}

MEMBERS = [
    Member(
        "EPES",
        EPES(1e-3, size_eligibility=2),
        {"td_error": td_error, "eligibility": eligibility},
        others=[
            EPES(1e-4, size_eligibility=2),
            EPES(1e-3, size_eligibility=1),
            EPES(1e-3, size_eligibility=2, pre_synapse=0.006),
            EPES(1e-3, size_eligibility=2, trace_synapse=None),
            EPES(1e-3, size_eligibility=2, trace_synapse=z**-3),
            EPES(1e-3, size_eligibility=2, feedback="rows"),
            EPES(1e-3, size_eligibility=2, controls="hold"),
            nengo.PES(1e-3),
        ],
    ),
    Member(
        "EPES, higher-order trace, controls",
        EPES(
            1e-3,
            size_eligibility=2,
            trace_synapse=nengo.Alpha(0.03),
            controls=("hold", "reset"),
        ),
        {
            "td_error": td_error,
            "eligibility": eligibility,
            "hold": hold,
            "reset": reset,
        },
    ),
    Member(
        "EPES, delayed trace, through encoders",
        EPES(1e-3, size_eligibility=2, trace_synapse=0.5 * z**-9 + 0.5 * z**-30),
        {"td_error": td_error, "eligibility": eligibility},
        kind="neurons",
    ),
    Member(
        "EPES, replacing, random feedback",
        EPES(
            1e-3,
            size_eligibility=1,
            trace_type="replacing",
            feedback=nengo.dists.Uniform(0.5, 1),
        ),
        {"td_error": td_error, "eligibility": positive},
        others=[EPES(1e-3, trace_type="dutch"), EPES(1e-3, feedback=np.ones((17, 1)))],
        kind="neurons",
    ),
    Member(
        "EPES, postsynaptic factor, bounded step",
        EPES(
            1e-3,
            size_eligibility=2,
            post_derivative="auto",
            step=step_sizes.ObGD(max_rate=100.0),
        ),
        {"td_error": td_error, "eligibility": eligibility},
        others=[
            EPES(1e-3, size_eligibility=2, post_derivative=surrogates.Arctan()),
            EPES(1e-3, size_eligibility=2, step=step_sizes.ObGD(kappa=3.0)),
            EPES(1e-3, size_eligibility=2, step=step_sizes.Intentional()),
        ],
        kind="neurons",
        # the slope of LIFRate has a pole at the threshold, where each step matters
        rates=nengo.Sigmoid(),
    ),
    Member(
        "EPES, vector third factor, no eligibility input",
        EPES(
            1e-3,
            size_td_error=2,
            size_eligibility=0,
        ),
        {"td_error": eligibility},
        others=[
            EPES(1e-3, size_td_error=1, size_eligibility=0),
            EPES(1e-3, size_td_error=2, size_eligibility=1),
            EPES(1e-3, size_td_error=2, size_eligibility=0, weight_decay=0.1),
        ],
    ),
    Member(
        "EPES, vector third factor, postsynaptic factor",
        # so slow that what is learned does not change the activities much, on which
        # the step's own rounding would act
        EPES(
            1e-6,
            size_td_error=2,
            feedback=nengo.dists.Uniform(-1, 1),
            post_derivative="auto",
        ),
        {"td_error": eligibility, "eligibility": positive},
        kind="neurons",
        rates=nengo.Sigmoid(),
    ),
    Member(
        "GaussianREINFORCE",
        GaussianREINFORCE(1e-3),
        REINFORCE_INPUTS,
        others=[
            GaussianREINFORCE(1e-4),
            GaussianREINFORCE(1e-3, pre_synapse=None),
            GaussianREINFORCE(1e-3, n_actions=2),
            GaussianREINFORCE(1e-3, learned_std=False),
            GaussianREINFORCE(1e-3, regime="episodic"),
            GaussianREINFORCE(1e-3, average=True),
            GaussianREINFORCE(1e-3, objective_scale=0.01),
            GaussianREINFORCE(1e-3, weight_bounds=(0, 1)),
            GaussianREINFORCE(1e-3, decay=0.9),
            EPES(1e-3),
        ],
    ),
    Member(
        "GaussianREINFORCE, episodic",
        GaussianREINFORCE(1e-3, regime="episodic", average=True),
        REINFORCE_INPUTS,
    ),
    Member(
        "RewardSTDP",
        RewardSTDP(1e-5, controls=("hold", "reset"), trace_synapse=0.1),
        {"reward": reward, "hold": hold, "reset": reset},
        others=[
            RewardSTDP(1e-4, controls=("hold", "reset"), trace_synapse=0.1),
            RewardSTDP(1e-5, controls=("hold", "reset")),
            RewardSTDP(1e-5, controls="hold", trace_synapse=0.1),
            RewardSTDP(1e-5, pre_synapse=0.03),
            RewardSTDP(1e-5, depression=1.0),
            RewardSTDP(1e-5, weight_bounds=(0, 1)),
            nengo.BCM(1e-6),
        ],
        kind="neurons",
        rates=nengo.SpikingRectifiedLinear(),
    ),
    Member(
        "a rule of one's own, slices",
        own_rule.ExploratoryHebb(1e-6),
        {"reward": reward},
        others=[
            own_rule.ExploratoryHebb(1e-5),
            own_rule.ExploratoryHebb(1e-6, synapse=None),
            own_rule.ExploratoryHebb(1e-6, tau=0.2),
            nengo.BCM(1e-6),
        ],
        kind="neuron slices",
    ),
]


@pytest.fixture(params=MEMBERS, ids=lambda member: member.name)
def member(request):
    """Each of the rules."""
    return request.param


@pytest.fixture(params=["nengo", "compiled"])
def simulator(request):
    """Each of the simulators."""
    if request.param == "nengo":
        return nengo.Simulator
    pytest.importorskip("numba", reason="needs the extra compiled")
    return importlib.import_module("nengo_epes.compiled").Simulator


def network(member, seed, rule=None, neuron_type=None, probes=True):
    """Make the network in which a member learns."""
    neuron_type = nengo.LIF() if neuron_type is None else neuron_type
    rule = member.rule if rule is None else rule
    with nengo.Network(seed=seed) as net:
        conn = connect(member.kind, rule, seed, neuron_type)
        if member.inputs:
            drive(conn, **member.inputs)
        net.learned = conn
        net.weights = nengo.Probe(conn, "weights")
        net.probes_of_rule = (
            {
                name: nengo.Probe(conn.learning_rule, name)
                for name in conn.learning_rule.probeable
            }
            if probes
            else {}
        )
    return net


def data(net, sim):
    """Return all that was probed."""
    return [sim.data[net.weights], *(sim.data[p] for p in net.probes_of_rule.values())]


def test_learns_and_can_be_probed(member, simulator, seed):
    """The weights change and remain finite. Everything in ``probeable`` can be probed;
    the trace and the change have the shape of the weights."""
    net = network(member, seed)
    with simulator(net) as sim:
        sim.run_steps(100)
    weights = sim.data[net.weights]
    assert np.all(np.isfinite(weights))
    assert np.any(weights[-1] != weights[0])
    for name, probe in net.probes_of_rule.items():
        assert len(sim.data[probe]) == 100
        if name in ("delta", "eligibility_trace", "eligibility"):
            assert sim.data[probe].shape == weights.shape


def test_resets(member, simulator, seed):
    """After a reset the simulation repeats itself, bit for bit."""
    net = network(member, seed)
    with simulator(net) as sim:
        sim.run_steps(80)
        first = [d.copy() for d in data(net, sim)]
        sim.reset()
        sim.run_steps(80)
        for before, after in zip(first, data(net, sim), strict=True):
            assert_array_equal(after, before)


@pytest.mark.parametrize(("optimize", "bits"), [(True, 64), (False, 32)])
def test_pickles_in_mid_run(member, simulator, optimize, bits, seed):
    """A simulation pickled in mid-run continues bit for bit, in its precision."""
    nengo.rc["precision"]["bits"] = str(bits)
    net = network(member, seed)
    with simulator(net, optimize=optimize) as sim:
        sim.run_steps(57)
        pickled = pickle.dumps({"sim": sim, "net": net})
        sim.run_steps(43)
        straight = data(net, sim)
    loaded = pickle.loads(pickled)
    with loaded["sim"] as sim:
        sim.run_steps(43)
        resumed = data(loaded["net"], sim)
    assert np.any(straight[0][-1] != straight[0][57])
    for before, after in zip(straight, resumed, strict=True):
        assert before.dtype == np.dtype(f"float{bits}")
        assert_array_equal(after, before)


def test_goes_on_from_a_checkpoint(member, simulator, seed, tmp_path):
    """A new simulator that loads a checkpoint continues bit for bit."""
    results = []
    for loads in (False, True):
        net = network(member, seed)
        with simulator(net, optimize=False) as sim:
            if loads:
                checkpoints.load(sim, tmp_path / "a")
            else:
                sim.run_steps(57)
                checkpoints.save(sim, tmp_path / "a")
            sim.run_steps(43)
            results.append([probed[-43:] for probed in data(net, sim)])
    for straight, resumed in zip(*results, strict=True):
        assert_array_equal(resumed, straight)


def test_single_precision_is_close(member, simulator, seed):
    """A simulation in single precision learns the same weights, within the
    precision."""
    results = []
    for bits in (64, 32):
        nengo.rc["precision"]["bits"] = str(bits)
        # rates: a spike that falls one step later is more than rounding
        net = network(member, seed, neuron_type=member.rates)
        with simulator(net) as sim:
            sim.run_steps(100)
        results.append(sim.data[net.weights])
    double, single = results
    # 24 bits of every factor, of weights up to 1e-2 and of their changes
    assert_allclose(single, double, rtol=1e-4, atol=1e-7)


def test_optimizer_changes_nothing(member, simulator, seed):
    """The optimizer changes the results by the order of sums only."""
    net = network(member, seed, neuron_type=member.rates)
    weights = []
    for optimize in (True, False):
        with simulator(net, optimize=optimize) as sim:
            sim.run_steps(100)
        weights.append(sim.data[net.weights])
    assert_allclose(*weights, rtol=0, atol=1e-12)


def test_does_not_depend_on_the_step(member, seed):
    """Half the step gives the same change of the weights, within 1 %."""
    if "delayed" in member.name:
        pytest.skip("a delay in steps is another delay in seconds")
    if type(member.rule) is RewardSTDP:
        pytest.skip("spikes move; test_stdp.py has the same spike times")
    change = []
    for dt in (0.001, 0.0005):
        net = network(member, seed, neuron_type=member.rates, probes=False)
        with nengo.Simulator(net, dt=dt) as sim:
            sim.run(0.2)
        change.append(sim.data[net.weights][-1] - sim.data[net.weights][0])
    assert_allclose(change[1], change[0], rtol=0, atol=0.01 * np.abs(change[0]).max())


def test_repr_equality_hash(member):
    """Evaluating the repr gives an equal rule; a change of any setting gives an unequal
    rule."""
    names = {
        **vars(nengo.synapses),
        **vars(nengo.dists),
        **vars(nengo_epes),
        **vars(step_sizes),
        **vars(surrogates),
        **vars(own_rule),
        "array": np.array,
    }
    again = eval(repr(member.rule), names)
    assert again == member.rule
    assert hash(again) == hash(member.rule)
    for other in member.others:
        assert other != member.rule
        if type(other) is type(member.rule):
            assert eval(repr(other), names) == other


def test_copies(member):
    """Copies and pickles of a rule are equal to it; parameters are read-only."""
    assert copy.copy(member.rule) == member.rule
    assert copy.deepcopy(member.rule) == member.rule
    assert pickle.loads(pickle.dumps(member.rule)) == member.rule
    with pytest.raises(nengo.exceptions.ReadonlyError):
        member.rule.learning_rate = 1.0


def test_copied_network_learns_the_same(member, simulator, seed):
    """A copy of a network learns the same weights."""
    net = network(member, seed)
    # Nengo copies what it knows of, and drops other attributes
    copied = net.copy()
    weights = []
    for built in (net, copied):
        probe = next(p for p in built.all_probes if p.attr == "weights")
        with simulator(built) as sim:
            sim.run_steps(60)
        weights.append(sim.data[probe])
    # two builds add up in any order: equal to rounding
    assert_allclose(*weights, rtol=1e-9, atol=1e-15)


def test_config_sets_defaults(member):
    """A Config sets the defaults of a rule; an explicit argument overrides it."""
    rule_type = type(member.rule)
    with nengo.Network() as net:
        net.config.configures(rule_type)
        net.config[rule_type].learning_rate = 0.123
        assert rule_type().learning_rate == 0.123
        assert rule_type(learning_rate=0.5).learning_rate == 0.5
    assert rule_type().learning_rate != 0.123


def test_beside_another_rule(member, simulator, seed):
    """Two rules on one connection add their changes."""
    with nengo.Network(seed=seed) as net:
        rules = {"first": member.rule, "second": nengo.PES(1e-3)}
        conn = connect(member.kind, rules, seed, nengo.LIF())
        for name, value in member.inputs.items():
            target = conn.learning_rule["first"][getattr(member.rule, name)]
            nengo.Connection(nengo.Node(value), target, synapse=None)
        error = nengo.Node([0.3] * conn.learning_rule["second"].size_in)
        nengo.Connection(error, conn.learning_rule["second"], synapse=None)
        weights = nengo.Probe(conn, "weights")
        deltas = [nengo.Probe(rule, "delta") for rule in conn.learning_rule.values()]
    with simulator(net) as sim:
        sim.run_steps(50)
    first, second = (sim.data[delta] for delta in deltas)
    assert np.any(first) and np.any(second)
    assert_allclose(
        np.diff(sim.data[weights], axis=0), (first + second)[:-1], rtol=0, atol=1e-15
    )


def test_shared_by_two_connections(member, simulator, seed):
    """One rule object on two connections acts as two rules."""
    with nengo.Network(seed=seed) as net:
        pair = [connect(member.kind, member.rule, s, nengo.LIF()) for s in (1, 2)]
        drive(pair[0], **member.inputs)
        # the second gets inputs, but no TD error: it is not to learn
        drive(pair[1], **{n: np.zeros_like(f(0.0)) for n, f in member.inputs.items()})
        weights = [nengo.Probe(conn, "weights") for conn in pair]
    with simulator(net) as sim:
        sim.run_steps(50)
    learned, silent = (sim.data[probe] for probe in weights)
    assert np.any(learned[-1] != learned[0])
    assert_array_equal(silent[-1], silent[0])


def test_nothing_connected_warns(member):
    """A rule without inputs never learns, and gives a warning."""
    with nengo.Network(seed=1) as net:
        connect(member.kind, member.rule, 1, nengo.LIF())
    with pytest.warns(NengoWarning, match="never learn"), nengo.Simulator(net):
        pass
