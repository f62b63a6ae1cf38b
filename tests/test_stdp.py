"""RewardSTDP against closed forms, sums over all pairs of spikes, and Brian2."""

import json
from pathlib import Path

import nengo
import numpy as np
import pytest
from nengo.exceptions import BuildError, SimulationError, ValidationError
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes import RewardSTDP

DT = 0.001


def spikes_at(times, dt=DT):
    """Return the input current of a SpikingRectifiedLinear that spikes at these times.

    ``times`` has the times of each neuron in seconds. A spike falls on the step whose
    end is closest.
    """
    steps = [{round(t / dt) for t in of_one} for of_one in times]

    def current(t):
        now = round(t / dt)
        return [(now in of_one) / dt for of_one in steps]

    return nengo.Node(current, size_out=len(steps))


def neurons(times, dt=DT):
    """Make neurons that spike at these times."""
    n = len(times)
    ens = nengo.Ensemble(
        n,
        1,
        neuron_type=nengo.SpikingRectifiedLinear(),
        gain=np.ones(n),
        bias=np.zeros(n),
    )
    nengo.Connection(spikes_at(times, dt), ens.neurons, synapse=None)
    return ens


def learn(
    rule,
    pre,
    post,
    seconds,
    reward=1.0,
    dt=DT,
    weights=0.0,
    controls=None,
    synapse=1e9,
):
    """Let one connection learn; returns weights, and the spikes of both sides."""
    with nengo.Network(seed=0) as net:
        pre, post = neurons(pre, dt), neurons(post, dt)
        shape = (post.n_neurons, pre.n_neurons)
        conn = nengo.Connection(
            pre.neurons,
            post.neurons,
            transform=np.broadcast_to(weights, shape),
            # so slow that it does not move the spikes of the post neurons
            synapse=nengo.Lowpass(synapse),
            learning_rule_type=rule,
        )
        port = conn.learning_rule
        nengo.Connection(nengo.Node(reward), port[rule.reward], synapse=None)
        for name, value in (controls or {}).items():
            node = nengo.Node(value)
            nengo.Connection(node, port[getattr(rule, name)], synapse=None)
        probes = {
            "weights": nengo.Probe(conn, "weights"),
            "pre": nengo.Probe(pre.neurons),
            "post": nengo.Probe(post.neurons),
        }
        for name in rule.probeable:
            probes[name] = nengo.Probe(port, name)
    with nengo.Simulator(net, dt=dt, progress_bar=False) as sim:
        # the change of a step is added in the next one
        sim.run_steps(round(seconds / dt) + 1)
        return {name: sim.data[probe].copy() for name, probe in probes.items()}


def trains(rng, n, seconds, hertz=20.0, dt=DT):
    """Return random spike times of n neurons."""
    spikes = rng.rand(round(seconds / dt), n) < hertz * dt
    return [(np.flatnonzero(train) + 1) * dt for train in spikes.T]


def sum_of_pairs(spikes, tau, dt):
    """Return the sum over all earlier spikes of exp(-distance / tau) at each step."""
    n_steps = len(spikes)
    distance = dt * np.subtract.outer(np.arange(n_steps), np.arange(n_steps))
    kernel = np.where(distance > 0, np.exp(-np.abs(distance) / tau), 0.0)
    return kernel @ spikes


def pairs(rule, pre, post, dt=DT):
    """Return c of every step from the spikes, (n_steps, n_post, n_pre)."""
    x = sum_of_pairs(pre, rule.pre_synapse.tau, dt)
    y = sum_of_pairs(post, rule.post_synapse.tau, dt)
    return (
        rule.potentiation * post[:, :, None] * x[:, None, :]
        - rule.depression * y[:, :, None] * pre[:, None, :]
    )


def trace_of(rule, c, dt=DT):
    """Return the eligibility trace of every step from the pairs of every step."""
    if rule.trace_synapse is None:
        return c / dt
    tau = rule.trace_synapse.tau
    age = dt * np.subtract.outer(np.arange(len(c)), np.arange(len(c)))
    kernel = np.where(age >= 0, np.exp(-np.abs(age) / tau), 0.0)
    return np.tensordot(kernel, c, axes=1) * (1 - np.exp(-dt / tau)) / dt


@pytest.mark.parametrize("milliseconds", [-100, -37, -10, -1, 1, 2, 10, 33, 100])
def test_one_pair(milliseconds):
    """The change by one pair is the closed form of the STDP window."""
    rule = RewardSTDP(
        0.3, pre_synapse=0.017, post_synapse=0.034, potentiation=0.9, depression=0.4
    )
    rule = RewardSTDP(**{**settings(rule), "trace_synapse": None})
    post = 0.15 + milliseconds * 1e-3
    found = learn(rule, [[0.15]], [[post]], 0.3)
    distance = milliseconds * 1e-3
    wanted = (
        0.3 * 0.9 * np.exp(-distance / 0.017)
        if distance > 0
        else -0.3 * 0.4 * np.exp(distance / 0.034)
    )
    assert_allclose(found["weights"][-1], wanted, rtol=0, atol=1e-12)


def settings(rule):
    """Return the arguments of a rule."""
    names = (
        "learning_rate",
        "pre_synapse",
        "post_synapse",
        "potentiation",
        "depression",
        "trace_synapse",
        "weight_bounds",
        "weight_dependence",
        "controls",
    )
    return {name: getattr(rule, name) for name in names}


def test_two_spikes_in_one_step_are_no_pair():
    """They change nothing, but both meet later spikes."""
    rule = RewardSTDP(0.3, trace_synapse=None)
    found = learn(rule, [[0.05]], [[0.05]], 0.1)
    assert not found["weights"].any()
    found = learn(rule, [[0.05]], [[0.05, 0.06]], 0.1)
    assert_allclose(found["weights"][-1], 0.3 * np.exp(-0.5), rtol=1e-12)


def test_a_late_reward_meets_what_is_left_of_the_trace():
    """One pair, and one pulse of reward later, with an area of 1: kappa c exp(-D / tau)
    / tau, but for the step of the trace."""
    rule = RewardSTDP(2.0, trace_synapse=0.5, potentiation=1.0)

    def pulse(t):
        return float(round(t / DT) == 210) / DT

    found = learn(rule, [[0.05]], [[0.06]], 0.3, reward=pulse)
    height = (1 - np.exp(-DT / 0.5)) / DT
    wanted = 2.0 * np.exp(-0.5) * height * np.exp(-0.15 / 0.5)
    assert_allclose(found["weights"][-1], wanted, rtol=1e-12)
    assert height == pytest.approx(1 / 0.5, rel=2e-3)


@pytest.mark.parametrize("trace_synapse", [None, 0.025, 1.0])
def test_random_trains(trace_synapse, rng):
    """Weights, trace and spike traces are sums over all pairs of spikes."""
    rule = RewardSTDP(1e-3, depression=1.1, trace_synapse=trace_synapse)
    rewards = rng.randn(2001)
    found = learn(
        rule,
        trains(rng, 50, 2.0),
        trains(rng, 50, 2.0),
        2.0,
        reward=lambda t: rewards[round(t / DT) - 1],
    )
    pre, post = found["pre"] * DT, found["post"] * DT
    assert 1000 < pre.sum() < 3000 and 1000 < post.sum() < 3000
    trace = trace_of(rule, pairs(rule, pre, post))
    # relative to the largest entry: it is a rate
    atol = 1e-12 * np.abs(trace).max()
    assert_allclose(found["eligibility_trace"], trace, rtol=0, atol=atol)
    delta = 1e-3 * DT * rewards[:, None, None] * trace
    assert_allclose(found["delta"], delta, rtol=0, atol=1e-12)
    wanted = delta[:-1].sum(axis=0)
    assert np.abs(wanted).max() > 1e-4
    assert_allclose(found["weights"][-1], wanted, rtol=0, atol=1e-12)
    for side, spikes, tau in (("pre", pre, 0.02), ("post", post, 0.02)):
        after = sum_of_pairs(spikes, tau, DT) + spikes
        assert_allclose(found[f"{side}_trace"], after, rtol=0, atol=1e-12)


def test_the_step_changes_nothing(rng):
    """The same spike times give the same change within 1 %, for steps of 0.5 to 2 ms.

    The times are multiples of 2 ms, and no two spikes fall on one time.
    """
    rule = RewardSTDP(1e-3)
    times = rng.permutation(np.arange(1, 1000)) * 2e-3
    pre, post = (
        np.sort(part.reshape(12, -1)) for part in (times[:480], times[480:960])
    )
    changes = [
        learn(rule, pre, post, 2.0, reward=lambda t: np.sin(9 * t), dt=dt)["weights"][
            -1
        ]
        for dt in (0.0005, 0.001, 0.002)
    ]
    largest = np.abs(changes[0]).max()
    for change in changes[1:]:
        assert_allclose(change, changes[0], rtol=0, atol=0.01 * largest)


@pytest.fixture(scope="module")
def brian2():
    """Record of benchmarks/stdp_brian2.py, which explains the conventions."""
    path = Path(__file__).parent / "data/stdp_brian2.npz"
    with np.load(path) as record:
        found = dict(record)
    for side in ("pre", "post"):
        spikes = np.unpackbits(found[side], axis=0)[: len(found["rewards"])]
        # a spike of Brian2's step k falls on the step that ends at (k + 1) dt
        found[side] = [(np.flatnonzero(train) + 1) * DT for train in spikes.T]
        found[f"{side} spikes"] = spikes.astype(float)
    return found | json.loads(str(found["settings"]))


def run_of_brian2(record, bounds=None, trace=True):
    """Return the rule and the run of RewardSTDP with the settings of the record."""
    tau = record["tau_c"]
    # Brian2 integrates the trace by the Euler method, and its height is 1
    lowpass = -DT / np.log(1 - DT / tau) if trace else None
    rule = RewardSTDP(
        record["rate"] * (tau if trace else 1),
        pre_synapse=record["tau_plus"],
        post_synapse=record["tau_minus"],
        potentiation=record["A_plus"],
        depression=record["A_minus"],
        trace_synapse=lowpass,
        weight_bounds=bounds,
    )
    rewards = [*record["rewards"], 0]
    found = learn(
        rule,
        record["pre"],
        record["post"],
        len(record["rewards"]) * DT,
        reward=(lambda t: rewards[round(t / DT) - 1]) if trace else 1.0,
        weights=record["w_0"],
    )
    return rule, found


def test_brian2(brian2):
    """Weights within bounds, and eligibility, if spikes of one step are no pair."""
    bounds = 0.0, brian2["w_max"]
    rule, found = run_of_brian2(brian2, bounds)
    weights = brian2["separate w"]
    assert weights.min() < 0.01 and weights.max() > 0.99
    assert_allclose(found["weights"][-1], weights, rtol=0, atol=1e-12)
    # the record is one step later
    trace = found["eligibility_trace"][-2] * np.exp(-DT / rule.trace_synapse.tau)
    wanted = brian2["separate c"] / brian2["tau_c"]
    assert_allclose(trace, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


def test_brian2_pairs_within_one_step(brian2):
    """In Brian2's usual form such a pair is a potentiation; nothing else differs."""
    rule, found = run_of_brian2(brian2)
    pre, post = brian2["pre spikes"], brian2["post spikes"]
    missing = rule.potentiation * post[:, :, None] * pre[:, None, :]
    assert missing.sum() > 1000
    change = np.tensordot(brian2["rewards"], trace_of(rule, missing), axes=1)
    wanted = brian2["joint w"] - rule.learning_rate * DT * change
    assert np.abs(wanted - brian2["joint w"]).max() > 0.1
    assert_allclose(found["weights"][-1], wanted, rtol=0, atol=1e-12)


def test_brian2_plain_stdp(brian2):
    """Without a trace and with a reward of 1 the rule is plain STDP."""
    _, found = run_of_brian2(brian2, trace=False)
    weights = brian2["plain w"]
    assert np.abs(weights - brian2["w_0"]).min() > 0.1
    assert_allclose(found["weights"][-1], weights, rtol=1e-12)


def bounded(rule, c, reward, weights):
    """Return the weights of every step, by loops over all entries."""
    low, high = rule.weight_bounds
    trace = trace_of(rule, c)
    weights = np.full(c.shape[1:], weights)
    history = []
    for e, r in zip(trace, reward, strict=True):
        history.append(weights.copy())
        for place in np.ndindex(*weights.shape):
            w = weights[place]
            change = rule.learning_rate * DT * r * e[place]
            if rule.weight_dependence == "multiplicative":
                change *= (high - w if change > 0 else w - low) / (high - low)
            weights[place] = min(max(w + change, low), high)
    return np.array(history)


@pytest.mark.parametrize("weight_dependence", ["additive", "multiplicative"])
def test_bounds(weight_dependence, rng):
    """Weights stop at their bounds, or approach them."""
    rule = RewardSTDP(
        2.0,
        trace_synapse=0.1,
        weight_bounds=(-0.1, 0.3),
        weight_dependence=weight_dependence,
    )
    rewards = rng.choice([-1.0, 0.0, 1.0], 501)
    found = learn(
        rule,
        trains(rng, 6, 0.5, hertz=60),
        trains(rng, 5, 0.5, hertz=60),
        0.5,
        reward=lambda t: rewards[round(t / DT) - 1],
        weights=0.1,
    )
    c = pairs(rule, found["pre"] * DT, found["post"] * DT)
    wanted = bounded(rule, c, rewards, 0.1)
    assert_allclose(found["weights"], wanted, rtol=0, atol=1e-12)
    at_bounds = np.isin(found["weights"].round(12), rule.weight_bounds).any()
    assert at_bounds == (weight_dependence == "additive")


def test_hold_and_reset(rng):
    """Hold freezes the eligibility, and the spike traces go on; reset clears it."""
    rule = RewardSTDP(1.0, trace_synapse=0.1, controls=("hold", "reset"))

    def hold(t):
        return float(0.1005 < t < 0.2005)

    def reset(t):
        return float(0.3005 < t < 0.3505)

    found = learn(
        rule,
        trains(rng, 4, 0.5, hertz=50),
        trains(rng, 3, 0.5, hertz=50),
        0.5,
        controls={"hold": hold, "reset": reset},
    )
    pre, post = found["pre"] * DT, found["post"] * DT
    c, decay = pairs(rule, pre, post), np.exp(-DT / 0.1)
    trace = np.zeros(c.shape[1:])
    for step, found_trace in enumerate(found["eligibility_trace"]):
        t = (step + 1) * DT
        if reset(t):
            trace = np.zeros_like(trace)
        elif not hold(t):
            trace = decay * trace + (1 - decay) / DT * c[step]
        assert_allclose(found_trace, trace, rtol=0, atol=1e-10)
    after = sum_of_pairs(pre, 0.02, DT) + pre
    assert_allclose(found["pre_trace"], after, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "neuron_type",
    [
        nengo.LIF(),
        nengo.LIF(amplitude=0.01),
        nengo.AdaptiveLIF(),
        nengo.Izhikevich(),
        nengo.SpikingRectifiedLinear(amplitude=0.3),
        nengo.PoissonSpiking(nengo.LIFRate()),
        nengo.RegularSpiking(nengo.RectifiedLinear()),
        nengo.StochasticSpiking(nengo.RectifiedLinear(amplitude=3)),
    ],
    ids=str,
)
def test_neuron_types(neuron_type, seed):
    """Any spiking neurons: one number of spikes whatever the height of a spike."""
    rule = RewardSTDP(1e-6, trace_synapse=None)
    with nengo.Network(seed=seed) as net:
        pre = nengo.Ensemble(9, 1, neuron_type=neuron_type)
        post = nengo.Ensemble(7, 1, neuron_type=neuron_type)
        nengo.Connection(nengo.Node(0.7), pre)
        nengo.Connection(nengo.Node(0.4), post)
        conn = nengo.Connection(
            pre.neurons,
            post.neurons,
            transform=np.zeros((7, 9)),
            learning_rule_type=rule,
        )
        nengo.Connection(nengo.Node(1), conn.learning_rule, synapse=None)
        weights, *outputs = (
            nengo.Probe(conn, "weights"),
            nengo.Probe(pre.neurons),
            nengo.Probe(post.neurons),
        )
    # the optimizer cannot merge neurons that draw random numbers
    with nengo.Simulator(net, progress_bar=False, optimize=False) as sim:
        sim.run_steps(400)
    heights = [sim.data[output] for output in outputs]
    height = min(one[one > 0].min() for one in heights)
    spikes = [np.rint(one / height) for one in heights]
    c = pairs(rule, *spikes)
    assert np.abs(c).max() > 0.1
    wanted = 1e-6 * c[:-1].sum(axis=0)
    assert_allclose(sim.data[weights][-1], wanted, rtol=0, atol=1e-15)


@pytest.mark.parametrize("side", ["pre", "post"])
def test_rate_neurons_are_refused(side):
    """The message names the neurons and two ways out."""
    types = {"pre": nengo.LIF(), "post": nengo.LIF(), side: nengo.LIFRate()}
    with nengo.Network() as net:
        pre = nengo.Ensemble(3, 1, neuron_type=types["pre"])
        post = nengo.Ensemble(2, 1, neuron_type=types["post"])
        conn = nengo.Connection(
            pre.neurons,
            post.neurons,
            transform=np.zeros((2, 3)),
            learning_rule_type=RewardSTDP(),
        )
        nengo.Connection(nengo.Node(1), conn.learning_rule)
    with pytest.raises(BuildError, match=r"LIFRate\(\) has none.*nengo.LIF.*EPES"):
        nengo.Simulator(net)


def test_slices_and_recurrence(rng, seed):
    """Slices, lists of neurons and a connection of neurons to themselves."""
    rule = RewardSTDP(1e-6)
    with nengo.Network(seed=seed) as net:
        ens = nengo.Ensemble(20, 1, max_rates=nengo.dists.Uniform(50, 100))
        nengo.Connection(nengo.Node(lambda t: np.sin(12 * t)), ens)
        conn = nengo.Connection(
            ens.neurons[[3, 8, 1]],
            ens.neurons[4:16:3],
            transform=rng.randn(4, 3) * 1e-3,
            synapse=0.005,
            learning_rule_type=rule,
        )
        nengo.Connection(nengo.Node(1), conn.learning_rule, synapse=None)
        probes = nengo.Probe(conn, "weights"), nengo.Probe(ens.neurons)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(600)
    weights, spikes = (sim.data[probe] for probe in probes)
    spikes = spikes * DT
    c = pairs(rule, spikes[:, [3, 8, 1]], spikes[:, 4:16:3])
    change = 1e-6 * DT * trace_of(rule, c)[:-1].sum(axis=0)
    assert np.abs(change).max() > 1e-9
    assert_allclose(weights[-1] - weights[0], change, rtol=0, atol=1e-15)


def test_zero_reward_and_negative_reward(rng):
    """Weights stay as they are without a reward; its sign is the sign of the change."""
    rule, pre, post = RewardSTDP(1e-3), trains(rng, 4, 0.5), trains(rng, 3, 0.5)
    changes = [
        learn(rule, pre, post, 0.5, reward=reward)["weights"][-1]
        for reward in (0.0, 1.0, -1.0)
    ]
    assert not changes[0].any()
    assert np.abs(changes[1]).max() > 0
    assert_array_equal(changes[1], -changes[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": -1}, "learning_rate"),
        ({"learning_rate": np.nan}, "finite"),
        ({"pre_synapse": None}, "pre_synapse"),
        ({"pre_synapse": 0}, "above 0"),
        ({"post_synapse": nengo.Alpha(0.01)}, "exponentially"),
        ({"trace_synapse": 0.0}, "above 0"),
        ({"trace_synapse": nengo.Alpha(0.1)}, "exponentially"),
        ({"depression": -1.0}, "depression"),
        ({"weight_bounds": (1, 0)}, "low below high"),
        ({"weight_dependence": "hard"}, "weight_dependence"),
        ({"weight_dependence": "multiplicative"}, "finite weight_bounds"),
        (
            {"weight_dependence": "multiplicative", "weight_bounds": (0, np.inf)},
            "finite weight_bounds",
        ),
        ({"controls": ("hold", "hold")}, "each once"),
    ],
)
def test_invalid_parameters(arguments, message):
    """Each is refused when the rule is made."""
    with pytest.raises(ValidationError, match=message):
        RewardSTDP(**arguments)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", ["learning_rate", "potentiation", "depression"])
def test_factors_that_would_overflow(name, bits):
    """They are refused when the model is built, with name, value and precision."""
    nengo.rc["precision"]["bits"] = str(bits)
    rule = RewardSTDP(**{name: 1e200})
    message = rf"{name}=1e\+200.*too large for float{bits}"
    with pytest.raises(BuildError, match=message):
        learn(rule, [[0.01]], [[0.02]], 0.1)


def test_half_precision(rng):
    """A trace in half precision, of 11 bits, is near the trace in double precision."""
    pre, post = trains(rng, 4, 0.3, hertz=40), trains(rng, 3, 0.3, hertz=40)
    traces = []
    for bits in (64, 16):
        nengo.rc["precision"]["bits"] = str(bits)
        rule = RewardSTDP(1e-2, trace_synapse=0.1)
        # half precision ends at 65504; weights of 0 have no effect
        found = learn(rule, pre, post, 0.3, reward=0.0, synapse=1e4)
        traces.append(found["eligibility_trace"].astype(float))
    assert found["eligibility_trace"].dtype == np.float16
    largest = np.abs(traces[0]).max()
    # 300 roundings of half a unit in the last place, which partly cancel
    assert_allclose(traces[1], traces[0], rtol=0, atol=0.03 * largest)


def test_missing_control():
    """The message says how to get the input."""
    with pytest.raises(AttributeError, match=r"RewardSTDP\(controls=\('hold',\)\)"):
        _ = RewardSTDP().hold


def test_decoded_connection_is_refused():
    """Nengo says that there are no post neurons."""
    with nengo.Network():
        pre, post = nengo.Ensemble(5, 1), nengo.Node(size_in=1)
        with pytest.raises(ValidationError, match="connections to neurons"):
            nengo.Connection(pre, post, learning_rule_type=RewardSTDP())


def test_a_reward_that_is_not_a_number_stops():
    """The weights are not lost, and the message names the port."""
    rule = RewardSTDP()
    with pytest.raises(SimulationError, match=r"port\[0\] is 1e\+90 at t=0.011 s"):
        learn(rule, [[0.01]], [[0.02]], 0.1, reward=lambda t: 1e90 if t > 0.0105 else 0)
