"""Models as functions in JAX, compared with `nengo.Simulator`."""

import gc
from types import SimpleNamespace

import eprop_gradients
import gymnasium
import nengo
import numpy as np
import pytest
from nengo.builder import Model, Operator, Signal
from nengo.exceptions import SimulationError, SimulatorClosed
from numpy.testing import assert_allclose, assert_array_equal
from same_models import (
    AMPLIFIES,
    DECODED_ONLY,
    NEEDS_NEURONS,
    RULES,
    SINGLE,
    STDP,
    TOLERANCES,
    assert_same_signals,
    build_model,
    cleared,
    hold,
    inputs_of,
    learning_network,
    positive,
    set_reads,
    third_factor,
    two,
)

from nengo_epes import EPES, GaussianREINFORCE
from nengo_epes.arithmetic import step_sizes, surrogates
from nengo_epes.networks import GaussianPolicy, SoftmaxPolicy, TDError
from nengo_epes.networks.actor_critic import ActorCriticProcess
from nengo_epes.rl import Environment, build_network

pytest.importorskip("jax", reason="needs the extra jax")

import jax
import jax.numpy as jnp

from nengo_epes import functional

slowly = pytest.mark.slow  # compiling takes a second for each model
both_precisions = pytest.mark.parametrize("bits", [64, pytest.param(32, marks=slowly)])


@pytest.fixture
def double(request):
    """Let JAX compute in double precision."""
    with jax.enable_x64(True):
        yield


def simulators(make):
    """Make two simulators of a model; the second is for JAX."""
    return [
        nengo.Simulator(None, model=make(), optimize=False, seed=1) for _ in range(2)
    ]


def outputs(sim, n_steps):
    """Return what the functions of time of all Nodes put out in the next steps."""
    times = (sim.n_steps + 1 + np.arange(n_steps)) * sim.dt
    return {
        node: np.array([np.ravel(node.output(t)) for t in times])
        for node in sim.model.toplevel.all_nodes
        if callable(node.output)
    }


# ---- equality with nengo.Simulator


@both_precisions
@pytest.mark.parametrize("make", SINGLE, ids=lambda make: make.__name__)
def test_operators(make, bits, seed):
    """Every operator sets what Nengo's sets, for random values of what it reads."""
    nengo.rc["precision"]["bits"] = str(bits)

    def build():
        model = Model()
        for op in make(np.random.RandomState(seed)):
            model.add_op(op)
        return model

    reference, fast = simulators(build)
    rng = np.random.RandomState(seed)
    with reference, fast:
        for _ in range(40):
            set_reads(rng, reference, fast)
            reference.step()
            functional.run(fast, 1)
            assert_same_signals(reference, fast, TOLERANCES[bits])


def assert_same_learning(net, blocks, tolerance, learned=True):
    """A network learns in JAX what it learns in Nengo."""
    reference, fast = simulators(lambda: build_model(net))
    with reference, fast:
        for steps in blocks:
            reference.run_steps(steps)
            functional.run(fast, steps, outputs(fast, steps))
            assert_same_signals(reference, fast, tolerance)
        weights = reference.model.sig[net.learned]["weights"]
        assert not np.array_equal(reference.signals[weights], weights.initial_value)


@both_precisions
@pytest.mark.parametrize(
    "kind", ["node", "neurons", pytest.param("neuron slices", marks=slowly)]
)
@pytest.mark.parametrize("name", RULES)
def test_epes(name, kind, bits, seed):
    """Every form of EPES sets all signals as its numpy operator does, spikes, traces
    and weights included."""
    decoded = kind == "node"
    if (decoded and name in NEEDS_NEURONS) or (not decoded and name in DECODED_ONLY):
        pytest.skip("not defined")
    if bits == 32 and not decoded:
        pytest.skip("spikes fall on other steps, slopes of rates are refused")
    nengo.rc["precision"]["bits"] = str(bits)
    neuron_type = nengo.LIF() if bits == 64 else nengo.RectifiedLinear()
    if name == "psi, alpha" and bits == 64:
        neuron_type = AMPLIFIES
    rule = RULES[name]
    net = learning_network(rule, kind, neuron_type, seed, **inputs_of(rule))
    assert_same_learning(net, (60, 60), TOLERANCES[bits])


@pytest.mark.parametrize("kind", ["neurons", "neuron slices"])
@pytest.mark.parametrize("name", STDP)
def test_reward_stdp(name, kind, seed):
    """Pairs of spikes set all signals as the numpy operator does."""
    rule = STDP[name]
    functions = {"reward": third_factor, "hold": hold, "reset": cleared}
    inputs = {key: functions[key] for key in ("reward", *rule.controls)}
    net = learning_network(rule, kind, nengo.LIF(amplitude=0.01), seed, **inputs)
    assert_same_learning(net, (300,), 1e-12)


@pytest.mark.parametrize(
    "step",
    [
        step_sizes.Intentional(),
        step_sizes.Intentional(0.1, normalize=True, floor=0.2, shrink=50.0),
        step_sizes.Intentional(clip=None),
    ],
    ids=repr,
)
def test_bounded_steps(step, seed):
    """A bounded step sets all signals as by numpy."""
    rule = EPES(
        1e-3, size_eligibility=2, feedback="rows", step=step, controls=["reset", "hold"]
    )

    def pulses(t):
        return np.sin(9 * t) / 0.001 * (round(t / 0.001) % 7 == 0)

    inputs = inputs_of(rule) | {"td_error": pulses}
    net = learning_network(rule, "node", nengo.LIF(), seed, **inputs)
    assert_same_learning(net, (150,), 1e-11)


@pytest.mark.parametrize(
    ("psi", "neuron_type"),
    [
        (surrogates.PiecewiseLinear(gamma=0.7, beta=1.3), nengo.LIF()),
        (surrogates.PiecewiseLinear(), AMPLIFIES),
        ("auto", nengo.LIFRate()),
        ("auto", nengo.SpikingRectifiedLinear(amplitude=0.3)),
        ("auto", nengo.Sigmoid()),
        ("auto", nengo.Tanh()),
    ],
    ids=str,
)
def test_pseudo_derivatives(psi, neuron_type, seed):
    """Pseudo-derivatives, and the traces of adapting neurons, equal numpy's."""
    rule = EPES(1e-9, size_eligibility=2, post_derivative=psi)
    net = learning_network(
        rule,
        "neurons by list",
        neuron_type,
        seed,
        td_error=third_factor,
        eligibility=two,
    )
    assert_same_learning(net, (60,), 1e-12)


@pytest.mark.parametrize("optimize", [False, True])
def test_all_spikes_of_a_large_network_are_equal(optimize, seed):
    """300 x 300 spiking neurons that learn spike in the same steps."""
    rule = EPES(1e-7, size_eligibility=1, post_derivative="auto", feedback="encoders")
    with nengo.Network(seed=seed) as net:
        pre, post = nengo.Ensemble(300, 1), nengo.Ensemble(300, 1)
        nengo.Connection(nengo.Node(0.7), pre)
        conn = nengo.Connection(
            pre.neurons,
            post.neurons,
            transform=np.random.RandomState(seed).randn(300, 300) * 1e-4,
            learning_rule_type=rule,
        )
        nengo.Connection(nengo.Node([0.5, 0.3]), conn.learning_rule)
        probes = [nengo.Probe(ensemble.neurons) for ensemble in (pre, post)]
    model = build_model(net)
    sims = [nengo.Simulator(None, model=model, optimize=optimize) for _ in range(2)]
    sims[0].run_steps(300)
    functional.run(sims[1], 300)
    for probe in probes:
        spikes, same = (sim.data[probe] for sim in sims)
        assert spikes.any()
        assert_array_equal(same, spikes)
    for sim in sims:
        sim.close()


@pytest.mark.parametrize(
    ("env", "neurons"),
    [("CartPole-v1", "rate"), ("CartPole-v1", "lif"), ("Pendulum-v1", "rate")],
)
def test_an_agent_learns_the_same(env, neurons, seed):
    """With the same observations and noise, an agent learns the same weights."""
    n_steps = 900
    net = build_network(env, 0, neurons, {"max_episode_steps": 20}, n_neurons=40)
    with net:
        nengo.Probe(net.env_node, label="seen")
    node, rng = net.actor_critic.node, np.random.RandomState(seed)
    old = node.output
    shape = n_steps, old.distribution.n_noise
    noise = rng.rand(*shape) if env == "CartPole-v1" else rng.randn(*shape)
    node.output = ActorCriticProcess(
        old.distribution, old.discount, old.entropy_bonus, old.made_for, noise
    )
    reference, fast = simulators(lambda: build_model(net))
    with reference, fast:
        reference.run_steps(n_steps)
        (seen,) = (reference.data[p] for p in net.probes if p.label == "seen")
        assert seen[-1, net.env_node.output.episode] >= 2
        functional.run(fast, n_steps, {net.env_node: seen})
        for connection in (net.actor_critic.actor, net.actor_critic.critic):
            weights, same = (
                sim.signals[sim.model.sig[connection]["weights"]]
                for sim in (reference, fast)
            )
            assert weights.any()
            assert_allclose(same, weights, rtol=0, atol=1e-10 * np.abs(weights).max())


@pytest.mark.parametrize("form", ["softmax", "gaussian", "fixed, scaled, clipped"])
@pytest.mark.parametrize("period", [None, 0.004])
def test_policies(form, period, seed):
    """With the same noise, policies and their rules set what they set in Nengo."""
    options = {"period": period, "trigger": period is None}
    rng, n = np.random.RandomState(seed), 60
    if form == "softmax":
        options["noise"] = rng.rand(n, 1)
        policy, rule = SoftmaxPolicy, EPES(1e-3, size_eligibility=3, feedback="rows")
    else:
        options |= {"noise": rng.randn(n, 2), "n_actions": 2}
        policy, rule = GaussianPolicy, GaussianREINFORCE(1e-3, n_actions=2)
    if form == "fixed, scaled, clipped":
        options |= {"fixed_std": 0.7, "variance_scaled": True, "action_low": -0.3}
        rule = GaussianREINFORCE(
            1e-3,
            n_actions=2,
            learned_std=False,
            regime="episodic",
            average=True,
            weight_bounds=(-1e-3, 1e-3),
            decay=0.9,
        )
    with nengo.Network(seed=seed) as net:
        policy = policy(3, **options) if form == "softmax" else policy(**options)
        ens = nengo.Ensemble(30, 1)
        nengo.Connection(nengo.Node(lambda t: np.sin(9 * t)), ens)
        rows = policy.input.size_in
        net.learned = nengo.Connection(
            ens, policy.input, function=lambda x: [0] * rows, learning_rule_type=rule
        )
        port, pulse = (
            net.learned.learning_rule,
            lambda t: float(round(t / 0.001) % 7 < 3),
        )
        reward = nengo.Node(lambda t: np.cos(11 * t))
        nengo.Connection(nengo.Node(lambda t: float(t % 0.05 > 0.04)), policy.greedy)
        if period is None:
            nengo.Connection(nengo.Node(pulse), policy.trigger, synapse=None)
        if form == "softmax":
            nengo.Connection(reward, port[rule.td_error], synapse=None)
            nengo.Connection(policy.score, port[rule.eligibility], synapse=None)
        else:
            gate = nengo.Node(lambda t: float(round(t / 0.001) % 5 == 0))
            nengo.Connection(reward, port[rule.reward], synapse=None)
            nengo.Connection(gate, port[rule.gate], synapse=None)
            nengo.Connection(policy.decision, port[rule.decision], synapse=None)
    assert_same_learning(net, (120,), 1e-11)


@pytest.mark.parametrize(
    "options", [{"discount": 0.9}, {"tau": 0.3, "smoothing": 0.02}]
)
def test_td_errors(options, seed):
    """Both TD errors are those of Nengo."""
    with nengo.Network(seed=seed) as net:
        td = TDError(**options)
        names = ["reward", "terminated", "value"]
        names += ["learn", "decide"] if "discount" in options else ["reset"]
        for i, name in enumerate(names, 3):
            wave = nengo.Node(lambda t, i=i: np.sin(40 * i * t))
            nengo.Connection(wave, getattr(td, name), synapse=None)
        probe = nengo.Probe(td.output)
    reference, fast = simulators(lambda: build_model(net))
    with reference, fast:
        reference.run_steps(200)
        functional.run(fast, 200, outputs(fast, 200))
        assert reference.data[probe].any()
        assert_allclose(fast.data[probe], reference.data[probe], atol=1e-10)


# ---- run, compile and batch


def small_network(seed, n=30):
    """Make a network with a function Node, two probes and a rule."""
    with nengo.Network(seed=seed) as net:
        net.stimulus = nengo.Node(lambda t: np.sin(9 * t), label="stimulus")
        pre, post = nengo.Ensemble(n, 1), nengo.Node(size_in=1)
        nengo.Connection(net.stimulus, pre)
        net.conn = nengo.Connection(pre, post, learning_rule_type=EPES(1e-3))
        nengo.Connection(nengo.Node([0.3, 1]), net.conn.learning_rule)
        net.output = nengo.Probe(post)
        net.weights = nengo.Probe(net.conn, "weights", sample_every=0.004)
    return net


def test_both_simulators_may_run_in_turn(seed):
    """After a run by JAX, Nengo goes on where it stopped, and the other way round."""
    net = small_network(seed)
    reference, mixed = (nengo.Simulator(net) for _ in range(2))
    with reference, mixed:
        reference.run_steps(120)
        mixed.run_steps(31)
        functional.run(mixed, 40, outputs(mixed, 40))
        mixed.run_steps(9)
        functional.run(mixed, 40, outputs(mixed, 40))
        assert mixed.n_steps == 120
        assert mixed.time == pytest.approx(0.12)
        for probe in (net.output, net.weights):
            assert_allclose(mixed.data[probe], reference.data[probe], atol=1e-12)
        assert_allclose(mixed.trange(), reference.trange())
        mixed.reset()
        functional.run(mixed, 120, outputs(mixed, 120))
        assert_allclose(mixed.data[net.output], reference.data[net.output], atol=1e-12)


def test_runs_of_several_blocks(monkeypatch, seed):
    """A long run is one of several blocks, and equals it."""
    monkeypatch.setattr(functional.model, "BLOCK", 50)
    net = small_network(seed)
    with nengo.Simulator(net) as reference, nengo.Simulator(net) as sim:
        reference.run_steps(120)
        functional.run(sim, 120, outputs(sim, 120))
        for probe in (net.output, net.weights):
            assert_allclose(sim.data[probe], reference.data[probe], atol=1e-12)


def test_a_user_may_write_between_two_runs(seed):
    """The next run uses a value that was written to a signal."""
    net = small_network(seed)
    with nengo.Simulator(net) as reference, nengo.Simulator(net) as sim:
        for each in (reference, sim):
            each.run_steps(10)
            each.signals[each.model.sig[net.conn]["weights"]][...] = 2e-3
        reference.run_steps(10)
        functional.run(sim, 10, outputs(sim, 10))
        assert_allclose(sim.data[net.output], reference.data[net.output], atol=1e-12)


def test_compile(double, seed):
    """A user's loop over a compiled model records what Nengo records."""
    net = small_network(seed)
    with nengo.Simulator(net) as sim:
        step, state = functional.compile(sim, inputs=[net.stimulus])
        values = functional.Arrays({net.stimulus: outputs(sim, 60)[net.stimulus]})
        state, probed = jax.lax.scan(step, state, values)
        sim.run_steps(60)
        assert_allclose(probed[net.output], sim.data[net.output], atol=1e-12)
        weights = sim.model.sig[net.conn]["weights"]
        assert_allclose(state[weights], sim.signals[weights], atol=1e-15)


def test_a_state_can_be_changed(double, seed):
    """`Arrays.replace` changes one array; unknown keys are named."""
    net = small_network(seed)
    with nengo.Simulator(net) as sim:
        step, state = functional.compile(sim, inputs=[net.stimulus])
        weights = sim.model.sig[net.conn]["weights"]
        zero = functional.Arrays({net.stimulus: np.zeros(1)})
        changed = state.replace({weights: jnp.zeros(weights.shape)})
        _, probed = jax.jit(step)(changed, zero)
        assert_array_equal(probed[net.output], [0])
        with pytest.raises(ValueError, match="broadcast"):
            state.replace({weights: np.zeros(7)})
        with pytest.raises(KeyError, match="nothing: there is no such array"):
            state.replace({"nothing": 0})


def test_batch(double, seed):
    """Many models at once do what each does alone."""
    nets = [small_network(seed + i) for i in range(4)]
    sims = [nengo.Simulator(net, optimize=False) for net in nets]
    step, states = functional.batch(sims, inputs=[nets[0].stimulus])
    values = outputs(sims[0], 50)[nets[0].stimulus]

    def simulate(state):
        return jax.lax.scan(step, state, functional.Arrays({nets[0].stimulus: values}))

    _, probed = jax.jit(jax.vmap(simulate))(states)
    for i, (net, sim) in enumerate(zip(nets, sims, strict=True)):
        sim.run_steps(50)
        assert_allclose(probed[nets[0].output][i], sim.data[net.output], atol=1e-12)
        sim.close()


@slowly
def test_batch_of_agents(double):
    """Agents with environments learn at once what each learns alone."""
    n_steps, sims, alone = 200, [], []
    for seed in range(3):
        net = build_network("CartPole-v1", seed, n_neurons=40)
        with net:
            nengo.Probe(net.actor_critic.actor, "weights")
        sims.append(nengo.Simulator(net, optimize=False))
        with nengo.Simulator(net, optimize=False) as sim:
            functional.run(sim, n_steps)
            (probe,) = net.probes
            alone.append(sim.data[probe])
    step, states = functional.batch(sims)

    def learn(state):
        return jax.lax.scan(lambda s, _: step(s), state, length=n_steps)

    _, probed = jax.jit(jax.vmap(learn))(states)
    (found,) = probed.values()
    assert alone[0][-1].any()
    assert np.abs(alone[0] - alone[1]).max() > 1e-3 * np.abs(alone[0]).max()
    assert_allclose(found, alone, atol=1e-10 * np.abs(alone).max())
    for sim in sims:
        sim.close()


def test_no_batch():
    """A batch needs a simulator."""
    with pytest.raises(ValueError, match="sims: is empty"):
        functional.batch([])


def test_batch_of_models_with_other_nodes(double):
    """A model with fewer Nodes is named, also if the Node of the inputs is missing."""
    sims = []
    for n_nodes in (2, 1):
        with nengo.Network() as net:
            for _ in range(n_nodes):
                nengo.Node([0.0])
        sims.append(nengo.Simulator(net, optimize=False))
    inputs = [sims[0].model.toplevel.nodes[1]]
    with pytest.raises(ValueError, match=r"sims\[1\] was not built like"):
        functional.batch(sims, inputs)
    for sim in sims:
        sim.close()


@pytest.mark.parametrize("change", ["size", "synapse", "rate", "constant"])
def test_batch_refuses_other_models(change, double, seed):
    """A model that differs in more than values is named."""

    def make(is_other):
        n = 31 if is_other and change == "size" else 30
        tau = 0.02 if is_other and change == "synapse" else 0.01
        rate = 2e-3 if is_other and change == "rate" else 1e-3
        factor = np.full(3, 2.0 if is_other and change == "constant" else 1.0)
        times = jax.jit(lambda t: factor * t)
        with nengo.Network(seed=seed) as net:
            pre, post = nengo.Ensemble(n, 1), nengo.Node(size_in=1)
            rule = nengo.PES(rate)
            conn = nengo.Connection(pre, post, synapse=tau, learning_rule_type=rule)
            nengo.Connection(nengo.Node(1), conn.learning_rule, synapse=None)
            nengo.Node(functional.node(lambda t: times(t)))
        return nengo.Simulator(net, optimize=False)

    sims = [make(False), make(False), make(True)]
    with pytest.raises(ValueError, match=r"sims\[2\] was not built like"):
        functional.batch(sims)
    for sim in sims:
        sim.close()


def test_a_constant_node_is_constant_again(seed):
    """After a run with inputs, a Node has its own output."""
    with nengo.Network(seed=seed) as net:
        node = nengo.Node([0.25])
        nengo.Connection(node, nengo.Ensemble(10, 1))
        lonely = nengo.Node([1.0])
        probe = nengo.Probe(node)
    for optimize in (False, True):
        with nengo.Simulator(net, optimize=optimize) as sim:
            inputs = {node: [[5.0], [6.0]], lonely: [[2.0], [3.0]]}
            functional.run(sim, 2, inputs)
            functional.run(sim, 1)
            sim.run_steps(1)
            assert sim.data[probe][:, 0].tolist() == [5, 6, 0.25, 0.25]


def test_networks_of_nengo(seed):
    """Product, EnsembleArray and basal ganglia with Nengo's optimizer are equal."""
    with nengo.Network(seed=seed) as net:
        stimulus = nengo.Node([0.7, 0.3, 0.5])
        product = nengo.networks.Product(30, 2)
        array = nengo.networks.EnsembleArray(20, 3)
        ganglia = nengo.networks.BasalGanglia(3, n_neurons_per_ensemble=20)
        nengo.Connection(stimulus[:2], product.input_a)
        nengo.Connection(stimulus[1:], product.input_b)
        nengo.Connection(stimulus[::-1], array.input)
        nengo.Connection(array.output, ganglia.input)
        ends = product.output, array.output, ganglia.output
        probes = [nengo.Probe(end, synapse=0.01) for end in ends]
    with nengo.Simulator(net) as reference, nengo.Simulator(net) as sim:
        reference.run_steps(80)
        functional.run(sim, 80)
        for probe in probes:
            assert reference.data[probe].any()
            assert_allclose(sim.data[probe], reference.data[probe], atol=1e-12)


def test_large_probes_are_fetched_in_small_blocks(monkeypatch, seed):
    """A block has as many steps as its probes have room, and at least one."""
    monkeypatch.setattr(functional.model, "BYTES", 100)
    net = small_network(seed)
    with nengo.Simulator(net) as reference, nengo.Simulator(net) as sim:
        program = functional.model.Program(sim, [net.stimulus])
        assert functional.model.block_size(program) == 1  # 31 numbers in each step
        reference.run_steps(9)
        functional.run(sim, 9, outputs(sim, 9))
        assert_allclose(sim.data[net.weights], reference.data[net.weights], atol=1e-12)


def test_simulators_are_not_kept_alive(seed):
    """The compiled functions of a simulator are deleted with it."""
    net = small_network(seed)
    with nengo.Simulator(net) as sim:
        functional.run(sim, 1, outputs(sim, 1))
    before = len(functional.model._programs)
    del sim
    gc.collect()
    assert len(functional.model._programs) == before - 1


# ---- what is refused


def test_python_is_refused_by_name(seed):
    """Each function Node is named, with the remedies."""
    with nengo.Network(seed=seed) as net:
        nengo.Node(lambda t: t, label="clock")
        nengo.Node(nengo.processes.WhiteSignal(1, 5), label="noise")
        nengo.Ensemble(10, 1, neuron_type=nengo.PoissonSpiking(nengo.LIFRate()))
    with nengo.Simulator(net) as sim:
        with pytest.raises(NotImplementedError) as error:
            functional.run(sim, 10)
    message = str(error.value)
    assert message.count("inputs={node: values}") == 2
    assert message.count("@functional.node") == 1
    assert "PoissonSpiking" in message


def test_remedies(seed):
    """Functions of Connections, and Nodes without output, can be marked."""
    with nengo.Network(seed=seed) as net:
        source = nengo.Node([0.5])
        nengo.Connection(source, nengo.Node(size_in=1), function=np.sin)
        nengo.Node(lambda t, x: None, size_in=1, label="log")
    with nengo.Simulator(net) as sim:
        with pytest.raises(NotImplementedError) as error:
            functional.run(sim, 1)
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    assert all(
        line.endswith("mark its function with @functional.node") for line in lines
    )


def test_marked_functions_that_need_numbers(seed):
    """A function that asks whether an array is positive is named."""

    @functional.node
    def positive_part(t):
        return t if t > 0 else 0 * t

    with nengo.Network(seed=seed) as net:
        nengo.Node(positive_part)
    with nengo.Simulator(net) as sim:
        with pytest.raises(NotImplementedError, match=r"positive_part.*jnp\.where"):
            functional.run(sim, 1)


class Unknown(Operator):
    """An operator that is known to nobody."""

    def __init__(self, signal):
        super().__init__()
        self.sets, self.incs, self.reads, self.updates = [], [], [], [signal]

    def make_step(self, signals, dt, rng):
        """Do nothing."""
        return lambda: None


def test_unknown_operators_are_refused_by_name(seed):
    """An operator without a translation is named."""
    model = Model()
    model.add_op(Unknown(Signal(np.zeros(2), name="x")))
    with nengo.Simulator(None, model=model) as sim:
        with pytest.raises(
            NotImplementedError, match=r"Unknown.*functional\.translates"
        ):
            functional.run(sim, 1)


@pytest.mark.parametrize(
    "rule",
    [
        EPES(trace_type="dutch"),
        EPES(step=step_sizes.ObGD()),
        EPES(trace_synapse=nengo.Alpha(0.1), controls="reset"),
    ],
    ids=repr,
)
def test_rules_without_a_translation(rule, seed):
    """Forms of EPES without a translation are named."""
    with nengo.Network(seed=seed) as net:
        pre, post = nengo.Ensemble(10, 1), nengo.Node(size_in=1)
        conn = nengo.Connection(pre, post, learning_rule_type=rule)
        nengo.Connection(
            nengo.Node(np.ones(conn.learning_rule.size_in)), conn.learning_rule
        )
    with nengo.Simulator(net) as sim:
        with pytest.raises(NotImplementedError, match="no translation"):
            functional.run(sim, 1)


def test_wrong_inputs(seed):
    """Inputs of another shape, or of other objects, are named."""
    net = small_network(seed)
    with nengo.Simulator(net) as sim:
        wrong = {net.stimulus: np.zeros((9, 1))}
        with pytest.raises(ValueError, match=r"stimulus.*\(10, 1\).*\(9, 1\)"):
            functional.run(sim, 10, wrong)
        with pytest.raises(ValueError, match=r"inputs: must be a dict.*stimulus"):
            functional.run(sim, 10, [net.stimulus])
        with pytest.raises(ValueError, match="is not a Node of this model"):
            functional.run(sim, 10, {nengo.Node(0, add_to_container=False): [[0]] * 10})
        with pytest.raises(ValueError, match="jax_enable_x64"):
            functional.compile(sim)
        with pytest.raises(ValueError, match=r"n_steps: must be an int \(got 1\.0\)"):
            functional.run(sim, 1.0)
        with pytest.raises(ValueError, match=r"stimulus.*numbers of shape.*<U1"):
            functional.run(sim, 1, {net.stimulus: [["a"]]})
        with jax.enable_x64(True):
            step, state = functional.compile(sim, [net.stimulus])
            with pytest.raises(ValueError, match=r"stimulus.*needs an array.*got None"):
                step(state)
            wide = functional.Arrays({net.stimulus: np.zeros(2)})
            with pytest.raises(ValueError, match=r"stimulus.*shape \(1,\)"):
                step(state, wide)
    with pytest.raises(SimulatorClosed):
        functional.run(sim, 1)
    with pytest.raises(SimulatorClosed):
        functional.compile(sim)


def test_what_is_not_finite_is_named(seed):
    """An infinite input stops a run, and leaves the simulator as it was."""
    net = small_network(seed)
    with nengo.Simulator(net) as sim:
        functional.run(sim, 10, outputs(sim, 10))
        before = {s: sim.signals[s].copy() for s in sim.signals}
        values = {net.stimulus: np.full((10, 1), np.inf)}
        with pytest.raises(SimulationError, match=r"not finite.*nengo\.Simulator"):
            functional.run(sim, 10, values)
        assert sim.n_steps == 10
        for signal, array in before.items():
            assert_array_equal(sim.signals[signal], array)


def test_signals_of_one_name_that_are_not_finite(seed):
    """All changes of weights are checked, although Nengo gives them one name."""

    @functional.node
    def late(t):
        return jnp.where(t > 0.0095, jnp.inf, t)

    with nengo.Network(seed=seed) as net:
        for source in (nengo.Node(late), nengo.Node([0.5])):
            pre, post = nengo.Ensemble(10, 1), nengo.Node(size_in=1)
            conn = nengo.Connection(pre, post, learning_rule_type=nengo.PES())
            nengo.Connection(source, conn.learning_rule, synapse=None)
    with nengo.Simulator(net, optimize=False) as sim:
        rules = [conn.learning_rule for conn in net.connections if conn.learning_rule]
        deltas = [sim.model.sig[rule]["delta"] for rule in rules]
        assert len({delta.name for delta in deltas}) == 1
        state = dict.fromkeys(deltas, np.zeros(1))
        program = SimpleNamespace(signals=deltas, probes=[])
        for bad in deltas:
            arrays = {**state, bad: np.array([np.inf])}
            with pytest.raises(SimulationError, match="Delta: is not finite"):
                functional.model._store(sim, program, arrays, {}, 10)
        with pytest.raises(SimulationError, match="is not finite"):
            functional.run(sim, 10)


def test_half_precision_is_refused(seed):
    """JAX and numpy round sums in half precision differently."""
    nengo.rc["precision"]["bits"] = "16"
    with nengo.Network(seed=seed) as net:
        nengo.Ensemble(10, 1)
    with nengo.Simulator(net) as sim:
        with pytest.raises(ValueError, match="half precision"):
            functional.run(sim, 1)


def test_a_probe_that_is_not_finite_once(seed):
    """A NaN in a single step is noticed if it is probed."""

    @functional.node
    def once(t):
        return jnp.where(jnp.abs(t - 0.005) < 1e-9, jnp.nan, t)

    with nengo.Network(seed=seed) as net:
        nengo.Probe(nengo.Node(once))
    with nengo.Simulator(net) as sim:
        with pytest.raises(SimulationError, match="is not finite"):
            functional.run(sim, 10)
        assert sim.n_steps == 0


def test_negative_contributions_to_a_replacing_trace(seed):
    """A trace that is not defined stops the run."""
    rule = EPES(1e-3, trace_type="replacing")
    net = learning_network(
        rule,
        "node",
        nengo.LIFRate(),
        seed,
        td_error=third_factor,
        eligibility=lambda t: -positive(t),
    )
    with nengo.Simulator(net) as sim:
        with pytest.raises(SimulationError, match="not finite"):
            functional.run(sim, 10, outputs(sim, 10))


# ---- functions in jax.numpy, gradients, environments


def test_functions_in_jax(seed):
    """Functions of Nodes in jax.numpy are those of Nengo."""

    @functional.node
    def source(t):
        return jnp.sin(9 * t)

    @functional.node
    def square(t, x):
        return jnp.stack([x[0] ** 2, t])

    with nengo.Network(seed=seed) as net:
        nodes = nengo.Node(source), nengo.Node(square, size_in=1)
        nengo.Connection(*nodes, synapse=None)
        ens = nengo.Ensemble(30, 2)
        nengo.Connection(nodes[1], ens)
        probe = nengo.Probe(ens, synapse=0.01)
    with nengo.Simulator(net) as reference, nengo.Simulator(net) as sim:
        with jax.enable_x64(True):
            reference.run_steps(50)
        functional.run(sim, 50)
        assert_allclose(sim.data[probe], reference.data[probe], atol=1e-12)


def test_gradient_of_rates(double, seed):
    """The gradient of a loss of rectified neurons is that of finite differences."""
    with nengo.Network(seed=seed) as net:
        stimulus = nengo.Node([0.4])
        kind = nengo.RectifiedLinear()
        a, b = (nengo.Ensemble(12, 1, neuron_type=kind) for _ in range(2))
        nengo.Connection(stimulus, a)
        conn = nengo.Connection(a, b, synapse=0.01)
        probe = nengo.Probe(b)
    with nengo.Simulator(net) as sim:
        step, state = functional.compile(sim)
        weights = sim.model.sig[conn]["weights"]

    def loss(w):
        _, probed = jax.lax.scan(step, state.replace({weights: w}), length=40)
        return ((probed[probe] - 0.1) ** 2).sum()

    w, direction = state[weights], np.random.RandomState(seed).randn(*weights.shape)
    slope = (jax.grad(loss)(w) * direction).sum()
    h = 1e-6 * np.abs(w).max()
    difference = (loss(w + h * direction) - loss(w - h * direction)) / (2 * h)
    assert abs(slope) > 1e-3
    assert_allclose(slope, difference, rtol=1e-6)


def test_pseudo_derivative_of_a_spike(double):
    """A spike has the derivative 0.3 max(0, 1 - |v - 1|)."""
    voltages = jnp.linspace(-0.5, 2.5, 13)
    derivative = jax.vmap(jax.grad(functional.operators.spike))(voltages)
    expected = surrogates.PiecewiseLinear(gamma=0.3)(np.asarray(voltages))
    assert_allclose(derivative, expected, atol=1e-15)


@pytest.mark.parametrize("name", list(eprop_gradients.MODELS))
def test_gradient_of_spikes(name, double):
    """The gradient of spiking neurons is that of torch, which was recorded.

    The recurrent spikes are given, because they have no gradient in the record.
    """
    g = eprop_gradients
    record = np.load(g.RECORD)
    names = ("spikes", "input", "recurrent", "bias", "third")
    data = {key: record[f"{name}/{key}"] for key in names}
    neuron_type = g.MODELS[name][0]
    state, _ = g.simulate(data, neuron_type, g.PRE_SYNAPSES["combine"])
    spikes = np.hstack([data["spikes"] / g.DT, state["output"]])
    weights = np.hstack([data["input"], data["recurrent"]])
    n, n_pre = weights.shape
    with nengo.Network(seed=0) as net:
        source = nengo.Node(np.zeros(n_pre))
        gain_and_bias = {"gain": np.ones(n), "bias": data["bias"]}
        ens = nengo.Ensemble(n, 1, neuron_type=neuron_type, **gain_and_bias)
        conn = nengo.Connection(
            source, ens.neurons, transform=weights, synapse=g.TAU_SYNAPSE
        )
        probe = nengo.Probe(ens.neurons)
    # the third factors of later steps, as the Lowpass of the loss weights them
    ahead, keep, later = np.zeros((len(spikes), n)), np.exp(-g.DT / g.TAU_TRACE), 0.0
    for t in reversed(range(len(spikes))):
        later = keep * later + (1 - keep) * data["third"][t]
        ahead[t] = later
    with nengo.Simulator(net, dt=g.DT) as sim:
        step, start = functional.compile(sim, inputs=[source])
        signal = sim.model.sig[conn]["weights"]
    inputs = functional.Arrays({source: spikes})

    def loss(w):
        _, probed = jax.lax.scan(step, start.replace({signal: w}), inputs)
        return (ahead * probed[probe]).sum() * g.DT / neuron_type.amplitude

    gradient = jax.jit(jax.grad(loss))(weights)
    expected = record[f"{name}/gradient"]
    assert_allclose(gradient, expected, atol=1e-12 * np.abs(expected).max(), rtol=0)


ENVIRONMENTS = [
    ("CartPole-v1", lambda env, seen: setattr(env, "state", seen)),
    ("MountainCar-v0", lambda env, seen: setattr(env, "state", seen)),
    ("MountainCarContinuous-v0", lambda env, seen: setattr(env, "state", seen)),
    (
        "Pendulum-v1",
        lambda env, seen: setattr(
            env, "state", np.array([np.arctan2(seen[1], seen[0]), seen[2]])
        ),
    ),
]


@pytest.mark.parametrize(("name", "put"), ENVIRONMENTS, ids=lambda x: str(x)[:12])
def test_environments(name, put, seed):
    """Each transition is that of Gymnasium from the same state, and the signals follow
    each other as in `Environment`."""
    process = Environment(name, steps_per_action=3, seed=1)
    with nengo.Network(seed=seed) as net:
        env_node = nengo.Node(process)
        actions = nengo.Node(np.zeros(process.n_actions))
        nengo.Connection(actions, env_node, synapse=None)
        seen = nengo.Probe(env_node)
    n_slots = 620
    wanted = np.random.RandomState(seed).uniform(-1, 1, (n_slots, process.n_actions))
    with nengo.Simulator(net) as sim:
        functional.run(sim, 3 * n_slots, {actions: np.repeat(wanted, 3, axis=0)})
        data = sim.data[seen]
    slots = data.reshape(n_slots, 3, -1)
    get = lambda name: slots[..., getattr(process, name)][..., 0]  # noqa: E731
    begins = get("step") == 0
    over = (get("terminated") > 0) | (get("truncated") > 0)
    one = np.ones(n_slots)
    assert_array_equal(get("observe"), np.outer(one, [1, 0, 0]))
    assert_array_equal(get("reset"), begins * [1, 0, 0])
    assert_array_equal(get("learn"), ~begins * [0, 1, 0])
    assert_array_equal(get("decide"), ~over * [0, 0, 1])
    # all else is constant during a slot
    observed = slots[..., process.observation]
    assert_array_equal(observed, np.repeat(observed[:, :1], 3, axis=1))
    first = begins[:, 0]
    assert first[0]
    assert_array_equal(first[1:], over[:-1, 0])
    assert_array_equal(get("episode")[:, 0], np.cumsum(first) - 1)
    limit = gymnasium.make(name).spec.max_episode_steps
    gym_env = gymnasium.make(name, disable_env_checker=True).unwrapped
    gym_env.reset(seed=0)
    length = total = 0
    for i in range(1, n_slots):
        if first[i]:
            gym_env.reset(seed=0)
            length = total = 0
            continue
        put(gym_env, observed[i - 1, 0])
        action = process.choose(wanted[i])
        observation, reward, terminated, *_ = gym_env.step(action)
        length, total = length + 1, total + reward
        assert_allclose(observed[i, 0], observation, atol=2e-5)
        assert_allclose(get("reward")[i, 0], reward, atol=2e-5)
        assert get("terminated")[i, 0] == terminated
        assert get("truncated")[i, 0] == (length == limit and not terminated)
        assert_allclose(get("episode_return")[i, 0], total, atol=1e-3)


def seen_by(seed=0, optimize=True, others=0):
    """Return the first observations of episodes in JAX."""
    process = Environment("CartPole-v1", seed=seed)
    with nengo.Network(seed=1) as net:
        for _ in range(others):
            nengo.Ensemble(10, 1)
        node = nengo.Node(process)
        probe = nengo.Probe(node)
    with nengo.Simulator(net, optimize=optimize) as sim:
        functional.run(sim, 200)
        data = sim.data[probe]
    return data[data[:, process.reset][:, 0] > 0.5, process.observation]


def test_seeds_of_environments():
    """Episodes follow from the seed and their number alone."""
    first = seen_by()
    assert len(first) >= 3
    assert len(np.unique(first, axis=0)) == len(first)
    assert_array_equal(seen_by(optimize=False, others=2), first)
    assert not np.isin(seen_by(seed=1), first).any()


def test_environments_do_not_change_between_simulators():
    """After steps of Nengo, the environment in JAX would be another one."""
    with nengo.Network(seed=0) as net:
        nengo.Node(Environment("CartPole-v1"))
    with nengo.Simulator(net) as sim:
        functional.run(sim, 4)
        functional.run(sim, 4)
        sim.reset()
        sim.run_steps(8)
        with pytest.raises(SimulationError, match=r"sim\.reset"):
            functional.run(sim, 4)
        sim.reset()
        functional.run(sim, 4)
        functional.run(sim, 4, {net.nodes[0]: np.zeros((4, 14))})
        with pytest.raises(SimulationError, match=r"sim\.reset"):
            functional.run(sim, 4)


class Line(gymnasium.Env):
    """A walk on a line; the space of its actions is given."""

    observation_space = gymnasium.spaces.Box(-9, 9, (1,))

    def __init__(self, action_space):
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        """Start at 0."""
        return np.zeros(1, np.float32), {}


@pytest.mark.parametrize(
    "space",
    [
        gymnasium.spaces.Discrete(3, start=1),
        gymnasium.spaces.MultiDiscrete([3, 2]),
        gymnasium.spaces.Box(-np.inf, np.inf, (1,)),
        gymnasium.spaces.Box(-2, 2, (1,), int),
        gymnasium.spaces.Box(-1, 1, (2, 2)),
    ],
    ids=str,
)
def test_actions_without_a_translation(monkeypatch, space):
    """Actions that would be another than Gymnasium's are refused."""

    def make():
        return Line(space)

    walk = functional.Dynamics(
        reset=lambda key: jnp.zeros(1),
        step=lambda state, action: (state, 0.0, False),
        observe=lambda state: state,
    )
    monkeypatch.setitem(functional.ENVIRONMENTS, make, walk)
    with nengo.Network() as net:
        nengo.Node(Environment(make))
    with nengo.Simulator(net) as sim:
        with pytest.raises(NotImplementedError, match="actions of"):
            functional.run(sim, 2)


def test_observations_of_another_size(monkeypatch):
    """An observation that does not fit the space is named."""

    def make():
        return Line(gymnasium.spaces.Discrete(2))

    wide = functional.Dynamics(
        reset=lambda key: jnp.zeros(2),
        step=lambda state, action: (state, 0.0, False),
        observe=lambda state: state,
    )
    monkeypatch.setitem(functional.ENVIRONMENTS, make, wide)
    with nengo.Network() as net:
        nengo.Node(Environment(make))
    with nengo.Simulator(net) as sim:
        with pytest.raises(ValueError, match=r"observe.*shape \(1,\).*\(2,\)"):
            functional.run(sim, 2)


def test_other_environments_are_refused():
    """An environment that is not written in JAX is named."""
    with nengo.Network() as net:
        nengo.Node(Environment("FrozenLake-v1"))
    with nengo.Simulator(net) as sim:
        with pytest.raises(NotImplementedError, match=r"FrozenLake-v1.*CartPole-v1"):
            functional.run(sim, 10)
