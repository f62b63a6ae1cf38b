"""GaussianREINFORCE against recordings, against EPES, and on bandits."""

from pathlib import Path

import bandit
import nengo
import numpy as np
import pytest
import replay_recorded
from harness import connect, drive
from nengo.exceptions import BuildError, NengoWarning, ValidationError
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes import EPES, GaussianREINFORCE
from nengo_epes.arithmetic import gaussian
from nengo_epes.networks import Baseline, GaussianPolicy

DT = 0.001
RECORDED = replay_recorded.load(Path(__file__).parent / "data" / "ngc_reinforce_dev")
READY = [(case, arrays) for case, arrays in RECORDED if case["nengo_ready"]]


@pytest.mark.parametrize(
    ("case", "arrays"), READY, ids=[str(case["id"]) for case, _ in READY]
)
def test_recorded_in_nengo(case, arrays):
    """A simulation of the rule reproduces ngc-learn's recordings, to 1e-6 or twice
    their rounding error, and the results of `gaussian`, to rounding."""
    got = replay_recorded.replay_in_nengo(case, arrays)
    pure = replay_recorded.replay(case, arrays)
    for field in replay_recorded.FIELDS:
        scale = np.abs(arrays[field]).max(initial=0.0)
        # 1e-7 because fields that should vanish hold the rounding of float32
        relative = max(1e-6, 2 * case["rel_err_vs_float64"][field])
        tolerance = {"rtol": 0, "atol": 1e-7 + relative * scale}
        assert_allclose(got[field], arrays[field], **tolerance, err_msg=field)
        atol = 1e-12 * max(1.0, np.abs(pure[field]).max(initial=0.0))
        assert_allclose(got[field], pure[field], rtol=0, atol=atol, err_msg=field)


def agent(make_rule, feed, seed, period=0.01, rows=4, steps=400, **policy_options):
    """Let a policy of two actions learn from a reward; return all weights."""
    with nengo.Network(seed=seed) as net:
        policy = GaussianPolicy(2, period=period, seed=seed, **policy_options)
        state = nengo.Ensemble(40, 2, seed=seed)
        wave = nengo.Node(lambda t: [np.sin(9 * t), np.cos(7 * t)])
        nengo.Connection(wave, state, synapse=None)
        rule = make_rule()
        conn = nengo.Connection(
            state,
            policy.input,
            function=lambda x: np.full(rows, -0.3),
            synapse=0.005,
            learning_rule_type=rule,
            seed=seed,
        )
        # the reward depends on the action, which amplifies any difference
        reward = nengo.Node(lambda t, a: 1.0 - np.sum((a - 0.5) ** 2), size_in=2)
        nengo.Connection(policy.action, reward, synapse=None)
        feed(conn.learning_rule, rule, policy, reward)
        weights = nengo.Probe(conn, "weights")
    with nengo.Simulator(net, dt=DT) as sim:
        sim.run_steps(steps)
        return sim.data[weights]


def feed_epes(port, rule, policy, reward):
    nengo.Connection(reward, port[rule.td_error], synapse=None)
    nengo.Connection(policy.score, port[rule.eligibility], synapse=None)


def feed_reinforce(port, rule, policy, reward, gate=1.0):
    nengo.Connection(reward, port[rule.reward], synapse=None)
    nengo.Connection(nengo.Node(gate), port[rule.gate], synapse=None)
    nengo.Connection(policy.decision, port[rule.decision], synapse=None)


@pytest.mark.parametrize(
    ("rows", "options", "seed"),
    [
        (4, {}, 0),
        (4, {"variance_scaled": False, "mean_activation": "tanh"}, 1),
        (4, {"action_low": -0.2, "clip_before_score": True}, 2),
        (2, {"fixed_std": 0.4}, 3),
    ],
)
def test_epes_with_the_score_is_the_same(rows, options, seed):
    """With the score as eligibility and the reward as TD error, EPES has the weights of
    GaussianREINFORCE in every step, for spiking neurons too."""

    def reinforce():
        return GaussianREINFORCE(2e-6, n_actions=2, learned_std=rows == 4)

    def epes():
        return EPES(2e-6, trace_synapse=None, size_eligibility=rows, feedback="rows")

    one = agent(reinforce, feed_reinforce, seed, rows=rows, **options)
    other = agent(epes, feed_epes, seed, rows=rows, **options)
    assert np.abs(one[-1] - one[0]).max() > 1e-6
    assert_allclose(other, one, rtol=0, atol=1e-12)


def test_average_is_for_episodes():
    """In the immediate regime the average has no effect."""
    plain, averaged = (
        agent(
            lambda a=average: GaussianREINFORCE(2e-6, n_actions=2, average=a),
            lambda port, rule, policy, reward: feed_reinforce(
                port, rule, policy, reward, gate=lambda t: float(t > 0.2)
            ),
            seed=0,
        )
        for average in (False, True)
    )
    assert np.any(plain[-1] != plain[0])
    assert_array_equal(averaged, plain)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("end", [1.0, 0.25])
def test_episodic_update(average, end, rng):
    """Scores are summed without the reward. When the gate opens, the return multiplies
    their sum or mean, and the sum is reset (Williams 1992, eq. 11)."""
    n, layout = 200, gaussian.decision_layout(2, 1)
    decided = rng.randn(n, layout["log_density"].stop)
    decided[:, 0] = rng.rand(n) < 0.3
    returns, gates = rng.randn(n), end * (rng.rand(n) < 0.05)

    def at(values):
        return nengo.Node(lambda t: values[round(t / DT) - 1])

    rule = GaussianREINFORCE(
        0.02, regime="episodic", average=average, objective_scale=0.5
    )
    with nengo.Network(seed=1) as net:
        conn = connect("node", rule, 1, nengo.LIF())
        port = conn.learning_rule
        for values, where in (
            (returns, rule.reward),
            (gates, rule.gate),
            (decided, rule.decision),
        ):
            nengo.Connection(at(values), port[where], synapse=None)
        names = ("activities", "eligibility", "step_count", "delta")
        probes = {name: nengo.Probe(port, name) for name in names}
    with nengo.Simulator(net) as sim:
        sim.run_steps(n)
        got = {name: sim.data[probe] for name, probe in probes.items()}

    total, count = np.zeros(got["delta"].shape[1:]), 0.0
    n_pre = total.shape[1]
    assert np.any(gates)
    for t in range(n):
        if decided[t, 0]:
            total += np.outer(decided[t, layout["score"]], got["activities"][t])
            count += 1
        share = max(count, 1.0) if average else 1.0
        change = 0.02 / n_pre * 0.5 * gates[t] * returns[t] * total / share
        assert_allclose(got["delta"][t], change, rtol=0, atol=1e-15)
        total, count = (1 - gates[t]) * total, (1 - gates[t]) * count
        assert_allclose(got["eligibility"][t], total, rtol=1e-12, atol=1e-12)
        assert_allclose(got["step_count"][t], count, rtol=1e-12)


def test_episodic_direction_is_the_gradient():
    """With a terminal reward after 10 decisions the mean episodic update has a cosine
    of at least 0.99 with the true gradient; learning with only the last score, as
    ngc-learn does, has not."""
    rng = np.random.default_rng(0)
    spec = gaussian.GaussianPolicySpec(1)
    n_steps, n_pre, n_episodes = 10, 6, 40_000
    activity = rng.normal(size=(n_steps, n_pre))
    weights = 0.1 * rng.normal(size=(2, n_pre))
    decoded = activity @ weights.T
    mean, std = gaussian.distribution(spec, decoded)
    noise = rng.normal(size=(n_episodes, n_steps, 1))
    drawn = gaussian.decide(spec, np.broadcast_to(decoded, (n_episodes, 10, 2)), noise)
    returns = -((drawn.action.sum(axis=(1, 2)) - 3.0) ** 2)
    # J = -(M - 3)^2 - S with the sums M of all means and S of all variances
    for_mean = -2 * (mean.sum() - 3.0) * activity.sum(axis=0)
    for_std = (-2 * std**2 * activity).sum(axis=0)
    gradient = np.stack([for_mean, for_std])

    def cosine(scores):
        advantage = returns - returns.mean()
        update = np.einsum("e,etr,tj->rj", advantage, scores, activity)
        return np.sum(update * gradient) / (
            np.linalg.norm(update) * np.linalg.norm(gradient)
        )

    assert cosine(drawn.score) >= 0.99
    last_alone = np.where(np.arange(n_steps)[:, None] == 9, drawn.score, 0.0)
    assert cosine(last_alone) < 0.9


def looked_at(rule, synapse, steps=87):
    """Return the last values of probes with the given synapse."""
    names = ("delta", "eligibility", "gradient", "objective")
    with nengo.Network(seed=4) as net:
        conn = connect("node", rule, 4, nengo.LIFRate())
        drive(conn, reward=at_reward, gate=at_gate, decision=at_decision)
        for name in names:
            nengo.Probe(conn.learning_rule, name, synapse=synapse)
        probe = nengo.Probe(conn, "weights")
    with nengo.Simulator(net) as sim:
        sim.run_steps(steps)
        signals = sim.model.sig[conn.learning_rule]
        now = {name: sim.signals[signals[name]].copy() for name in names}
        return now | {"weights": sim.data[probe]}


def at_reward(t):
    return np.sin(11 * t)


def at_gate(t):
    return 0.5 * (round(t / DT) % 3 == 0)


def at_decision(t):
    scores = [np.cos(5 * t), np.sin(3 * t)]
    return np.array([round(t / DT) % 2 == 1, *scores, 0.1, 0.2, 1.0, -0.9])


@pytest.mark.parametrize("bounds", [None, (-1e-3, 2e-3)])
@pytest.mark.parametrize("regime", ["immediate", "episodic"])
def test_filtered_probes_change_nothing(regime, bounds):
    """Probes with and without a synapse give data of the same run."""
    rule = GaussianREINFORCE(1e-3, regime=regime, weight_bounds=bounds)
    plain, filtered = (looked_at(rule, synapse) for synapse in (None, 0.01))
    assert np.any(plain["delta"]) and np.any(plain["eligibility"])
    for name, value in plain.items():
        # two builds may add in another order
        assert_allclose(filtered[name], value, rtol=1e-9, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("regime", ["immediate", "episodic"])
def test_weights_of_many_blocks(regime):
    """Weights that exceed one block follow the equation."""
    n_actions, n_pre = 50, 700
    rule = GaussianREINFORCE(0.7, n_actions=n_actions, regime=regime, pre_synapse=None)
    with nengo.Network(seed=0) as net:
        pre = nengo.Ensemble(n_pre, 1, neuron_type=nengo.RectifiedLinear())
        policy = GaussianPolicy(n_actions, period=DT)
        conn = nengo.Connection(
            pre,
            policy.input,
            function=lambda x: np.zeros(2 * n_actions),
            learning_rule_type=rule,
        )
        for name, source in (
            ("reward", nengo.Node(-0.3)),
            ("gate", nengo.Node(lambda t: round(t / DT) == 3)),
            ("decision", policy.decision),
        ):
            where = conn.learning_rule[getattr(rule, name)]
            nengo.Connection(source, where, synapse=None)
        weights = nengo.Probe(conn, "weights")
        score = nengo.Probe(conn.learning_rule, "score")
        activities = nengo.Probe(conn.learning_rule, "activities")
    with nengo.Simulator(net) as sim:
        sim.run_steps(4)
        steps = [2] if regime == "immediate" else [0, 1, 2]
        pulses = [np.outer(sim.data[score][k], sim.data[activities][k]) for k in steps]
        change = 0.7 / n_pre * -0.3 * sum(pulses)
        learned = sim.data[weights][3] - sim.data[weights][0]
    assert_array_equal(sim.data[weights][2], sim.data[weights][0])
    assert_allclose(learned, change, rtol=1e-12, atol=1e-13 * np.abs(change).max())


def test_weight_bounds():
    """Bounded weights stay within their bounds; all others learn as without bounds."""
    rule = GaussianREINFORCE(1e-2, n_actions=2, weight_bounds=(-1e-4, 2e-4))
    weights = agent(lambda: rule, feed_reinforce, seed=0)
    assert weights[1:].min() == pytest.approx(-1e-4, rel=1e-12)
    assert weights[1:].max() == pytest.approx(2e-4, rel=1e-12)


def test_closed_gate_keeps_all_weights():
    """With the gate at 0 the weights do not change, bit for bit."""

    def feed(port, rule, policy, reward):
        feed_reinforce(port, rule, policy, reward, gate=0.0)

    weights = agent(lambda: GaussianREINFORCE(n_actions=2), feed, seed=0)
    assert_array_equal(weights[-1], weights[0])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (GaussianREINFORCE(n_actions=2), "2 rows.*n_actions=2.*need 4"),
        (GaussianREINFORCE(learned_std=False), "2 rows.*learned_std=False.*need 1"),
    ],
)
def test_actions_that_do_not_fit_the_rows(rule, message):
    """A number of actions that does not fit the post side is refused."""
    with nengo.Network() as net:
        conn = connect("node", rule, 0, nengo.LIF())
        node = nengo.Node(np.ones(rule.size_in))
        nengo.Connection(node, conn.learning_rule, synapse=None)
    with pytest.raises(BuildError, match="Connection from.*" + message):
        nengo.Simulator(net)


def test_filtered_decisions_warn():
    """A filter on the connection of the decisions gives a warning, because it would
    lose them."""
    with nengo.Network() as net:
        rule = GaussianREINFORCE()
        conn = connect("node", rule, 0, nengo.LIF())
        nengo.Connection(nengo.Node(np.ones(rule.size_in)), conn.learning_rule)
    with pytest.warns(NengoWarning, match="use synapse=None"), nengo.Simulator(net):
        pass


def test_rewards_of_the_wrong_shape():
    """A reward of two dimensions is refused by the port."""
    with nengo.Network():
        conn = connect("node", GaussianREINFORCE(), 0, nengo.LIF())
        port = conn.learning_rule[conn.learning_rule_type.reward]
        with pytest.raises(ValidationError, match="not equal"):
            nengo.Connection(nengo.Node([1.0, 2.0]), port)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bounds": (1, 0)}, "weight_bounds.*low below high.*got .1, 0."),
        ({"weight_bounds": (0,)}, "weight_bounds"),
        ({"n_actions": 0}, "n_actions"),
        ({"regime": "batch"}, "regime"),
        ({"decay": 1.5}, "decay"),
    ],
)
def test_bad_parameters(options, message):
    """The constructor refuses a bad parameter."""
    with pytest.raises(ValidationError, match=message):
        GaussianREINFORCE(**options)


def test_bandit_improves():
    """A few hundred decisions reduce the error of the mean and raise the rewards."""
    result = bandit.run(seed=1000, n_decisions=300)
    assert abs(result["mean"][-20:].mean() - 0.6) < 0.15
    assert result["reward"][-50:].mean() > 0.5 * result["reward"][:50].mean()


@pytest.mark.parametrize("side", [1, -1], ids=["upper", "lower"])
@pytest.mark.parametrize("stop", [False, True])
def test_standard_deviation_returns_from_its_bound(stop, side):
    """Rewards for more (less) noise move the standard deviation to its upper (lower)
    bound, and rewards for the opposite move it back across the middle of the bounds;
    with ``stop_at_bounds`` it stays."""
    rule = GaussianREINFORCE(1e-5, pre_synapse=None)
    n_first, n_steps = 150, 1500
    with nengo.Network(seed=0) as net:
        # LIFRate neurons need no filter, so every step can have a decision
        state = nengo.Ensemble(200, 1, neuron_type=nengo.LIFRate(), seed=0)
        options = {"log_std_bounds": (-1, 1), "stop_at_bounds": stop}
        policy = GaussianPolicy(period=DT, seed=0, **options)
        nengo.Connection(nengo.Node(0.5), state, synapse=None)
        conn = nengo.Connection(
            state,
            policy.input,
            function=lambda x: [0.0, 0.0],
            synapse=None,
            learning_rule_type=rule,
        )

        def pay(t, action_and_mean):
            # the distance from the mean, so that all means are equally good
            distance = min(abs(action_and_mean[0] - action_and_mean[1]), 1.0)
            return side * distance if t < n_first * DT else -side * distance

        reward, baseline = nengo.Node(pay, size_in=2), Baseline()
        where = gaussian.decision_layout(2, 1)
        nengo.Connection(policy.action, reward[0], synapse=None)
        nengo.Connection(policy.decision[where["mean"]], reward[1], synapse=None)
        nengo.Connection(reward, baseline.reward, synapse=None)
        nengo.Connection(policy.decision[0], baseline.event, synapse=None)
        feed_reinforce(conn.learning_rule, rule, policy, baseline.output)
        probe = nengo.Probe(policy.decision[where["standard_deviation"]])
    with nengo.Simulator(net, dt=DT) as sim:
        sim.run_steps(n_steps)
    std = sim.data[probe][:, 0]
    bound = np.exp(side)
    assert std[n_first - 1] == bound
    # in the middle of the bounds the standard deviation is exp(0) = 1
    assert (std[-1] == bound) if stop else (side * np.log(std[-1]) < 0)


# seeds 3 to 9 are in benchmarks/results/bandit.json
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_bandit_is_learned(seed):
    """The error of the mean falls below 0.03, and the standard deviation below 0.1
    (over the last 100 of 3000 decisions)."""
    result = bandit.run(seed=seed)
    assert abs(result["mean"][-100:].mean() - 0.6) <= 0.03
    assert result["standard_deviation"][-100:].max() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_contextual_bandit_is_learned(seed):
    """The agent gains at least 90 % of the possible improvement over the best action
    that ignores the context, whose mean reward is -(0.6^2) / 3 = -0.12."""
    result = bandit.run(seed=seed, contextual=True)
    assert result["reward"][-300:].mean() >= 0.1 * -0.12


def test_baseline_leaves_the_update_unbiased():
    """With a baseline, the mean update is still the gradient."""
    rng = np.random.default_rng(5)
    spec, decoded, n = gaussian.GaussianPolicySpec(1), np.array([0.1, -0.2]), 5000
    noise = rng.normal(size=(n, 1))
    drawn = gaussian.decide(spec, np.tile(decoded, (n, 1)), noise)
    rewards = 50.0 - (drawn.action[:, 0] - 0.6) ** 2
    with nengo.Network() as net:
        baseline = Baseline()
        source = nengo.Node(lambda t: rewards[round(t / DT) - 1])
        nengo.Connection(source, baseline.reward, synapse=None)
        nengo.Connection(nengo.Node(1.0), baseline.event, synapse=None)
        probe = nengo.Probe(baseline.output)
    with nengo.Simulator(net) as sim:
        sim.run_steps(n)
    updates = sim.data[probe] * drawn.score
    updates = updates[1:]  # the first reward has no previous rewards
    std = np.exp(-0.2)
    gradient = [-2 * (0.1 - 0.6), -2 * std**2]
    error = updates.std(axis=0) / np.sqrt(n)
    assert np.all(np.abs(updates.mean(axis=0) - gradient) < 3 * error)
    # the baseline reduces the variance
    assert np.all(updates.std(axis=0) < 0.5 * (rewards[:, None] * drawn.score).std(0))
