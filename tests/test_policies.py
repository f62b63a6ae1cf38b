"""Policies draw one action per decision, hold it, and report it once."""

import pickle

import nengo
import numpy as np
import pytest
from nengo.exceptions import BuildError, SimulationError, ValidationError
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from nengo_epes.arithmetic import gaussian
from nengo_epes.networks import Baseline, GaussianPolicy, SoftmaxPolicy

DT = 0.001


def decoded(t):
    return np.array([np.sin(20 * t), np.cos(30 * t), 0.1, -0.5])


def simulate(steps=60, node=decoded, **options):
    """Run a policy of two actions; return the outputs of its nodes."""
    with nengo.Network() as net:
        policy = GaussianPolicy(2, **options)
        nengo.Connection(nengo.Node(node), policy.input, synapse=None)
        if policy.trigger is not None:
            pulses = nengo.Node(lambda t: round(t / DT) % 20 in (7, 8, 9, 15))
            nengo.Connection(pulses, policy.trigger, synapse=None)
        nodes = ("action", "score", "decision")
        probes = [nengo.Probe(getattr(policy, name)) for name in nodes]
    with nengo.Simulator(net, dt=DT) as sim:
        sim.run_steps(steps)
        return [sim.data[probe] for probe in probes]


def assert_decides(got, due, noise, **options):
    """Assert that the policy decided as `gaussian` in the given steps and held the
    action in between."""
    action, score, decision = got
    spec = gaussian.GaussianPolicySpec(2, variance_scaled=True, **options)
    layout = gaussian.decision_layout(spec.n_rows, 2)
    held, k = np.zeros(layout["log_density"].stop - 1), 0
    for step in range(len(action)):
        is_due = step in due
        if is_due:
            rows = decoded((step + 1) * DT)[: spec.n_rows]
            expected = gaussian.decide(spec, rows, noise[k])
            mean, std = gaussian.distribution(spec, rows)
            parts = [expected.score, expected.action, mean, std, expected.log_density]
            held, k = np.concatenate(parts), k + 1
        assert_allclose(decision[step, 1:], held, rtol=1e-12)
        assert decision[step, 0] == is_due
        assert_array_equal(action[step], decision[step, layout["action"]])
        pulse = held[: spec.n_rows] / DT if is_due else np.zeros(spec.n_rows)
        assert_allclose(score[step], pulse, rtol=1e-12)
    assert k == len(due)


def test_decides_once_a_period(rng):
    """The policy decides once per period and holds the action in between; the score is
    a pulse of one step whose integral over time is the score."""
    noise = rng.randn(6, 2)
    got = simulate(period=0.01, noise=noise)
    assert_decides(got, range(9, 60, 10), noise)


def test_decides_on_a_trigger(rng):
    """The policy decides when the trigger rises, for any duration of the trigger."""
    noise = rng.randn(6, 2)
    got = simulate(trigger=True, noise=noise)
    assert_decides(got, [6, 14, 26, 34, 46, 54], noise)


@pytest.mark.parametrize("kind", ["softmax", "gaussian"])
def test_greedy_decisions_have_no_score(kind, rng):
    """A greedy decision takes the most probable or the mean action and has a score of
    0, including the log std; later decisions use the noise of their own number."""
    noise = {"softmax": rng.rand(6, 1), "gaussian": rng.randn(6, 2)}[kind]
    runs = []
    for greedy in (0.0, 1.0):
        with nengo.Network() as net:
            if kind == "softmax":
                policy = SoftmaxPolicy(4, period=0.01, noise=noise)
            else:
                policy = GaussianPolicy(2, period=0.01, noise=noise)
            nengo.Connection(nengo.Node(decoded), policy.input, synapse=None)
            early = nengo.Node(lambda t, on=greedy: on * (t < 0.035))
            nengo.Connection(early, policy.greedy, synapse=None)
            nodes = (policy.action, policy.score, policy.decision)
            probes = [nengo.Probe(node) for node in nodes]
        with nengo.Simulator(net, dt=DT) as sim:
            sim.run_steps(60)
            runs.append([sim.data[probe] for probe in probes])
    (_, drawn, _), (action, score, decision) = runs
    assert drawn[:35].any()
    assert not score[:39].any() and not decision[:39, 1:5].any()
    for k in (9, 19, 29):
        values = decoded((k + 1) * DT)
        best = np.eye(4)[values.argmax()] if kind == "softmax" else values[:2]
        assert_allclose(action[k], best, rtol=1e-12)
    for one, other in zip(*runs, strict=True):
        assert_array_equal(one[39:], other[39:])


def test_bounds_hold_towards_the_environment_only(rng):
    """The action is clipped; the score is the score of the unclipped sample."""
    noise = 2 * rng.randn(60, 2)
    bounds = {"action_low": -0.5, "action_high": (0.5, 0.25)}
    got = simulate(period=DT, noise=noise, **bounds)
    assert got[0].min() == -0.5
    assert (got[0].max(axis=0) == [0.5, 0.25]).all()
    assert_decides(got, range(60), noise, **bounds)


def test_first_action_is_within_the_bounds(rng):
    """Before the first decision, and after a reset, the action is the value within the
    bounds nearest to 0, and the decision reports it."""
    with nengo.Network() as net:
        policy = GaussianPolicy(
            3, period=0.005, action_low=(1.0, -3.0, -1.0), action_high=(2.0, -2.0, 1.0)
        )
        probes = [nengo.Probe(node) for node in (policy.action, policy.decision)]
    where = gaussian.decision_layout(6, 3)["action"]
    with nengo.Simulator(net, dt=DT) as sim:
        for _ in range(2):
            sim.run_steps(6)
            action, decision = (sim.data[probe] for probe in probes)
            assert_array_equal(action[:4], [[1.0, -2.0, 0.0]] * 4)
            assert_array_equal(decision[:, where], action)
            assert not np.any(
                np.delete(decision[:4], range(where.start, where.stop), 1)
            )
            assert np.any(action[4] != action[3])
            sim.reset()


@pytest.mark.parametrize("policy", [GaussianPolicy, SoftmaxPolicy])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"period": np.inf}, ValidationError, "period=inf; give a finite number"),
        ({"period": np.nan}, ValidationError, "period=nan; give a finite number"),
        ({"period": 0.0}, ValidationError, "period=0.0; give a finite number"),
        ({"period": "often"}, ValidationError, "period='often'; give a finite number"),
        ({}, ValidationError, "give period=SECONDS"),
        ({"period": 0.0105}, BuildError, "no multiple of the simulator's step"),
        ({"period": DT, "noise": [[0.5] * 3]}, ValidationError, "noise: must be"),
        ({"period": DT, "noise": np.zeros((0, 3))}, ValidationError, "noise: must be"),
        ({"trigger": True, "noise": [[np.inf] * 3]}, ValidationError, "noise"),
    ],
)
def test_errors_name_the_policy(policy, options, error, message):
    """The message names the policy, which matters if there are several."""
    expected = f"{policy.__name__} 'of the arm'.*{message}"
    with nengo.Network() as net, pytest.raises(error, match=expected):
        policy(2, label="of the arm", **options)
        nengo.Simulator(net, dt=DT)


def test_uniform_noise_is_checked():
    """Noise of a softmax policy must lie in [0, 1); the message gives the position of a
    wrong value."""
    for bad in (1.0, -0.1, np.nan):
        match = rf"SoftmaxPolicy: noise: .* from 0 to below 1 .got {bad:g} at \[1, 0\]"
        with nengo.Network(), pytest.raises(ValidationError, match=match):
            SoftmaxPolicy(2, period=DT, noise=[[0.0], [bad]])
    with nengo.Network():
        SoftmaxPolicy(2, period=DT, noise=[[0.0], [np.nextafter(1, 0)]])
        GaussianPolicy(1, period=DT, noise=[[-7.0], [7.0]], fixed_std=1.0)


def test_fixed_standard_deviation(rng):
    """With a fixed standard deviation, the input of the policy has only the means."""
    noise = rng.randn(60, 2)
    got = simulate(node=lambda t: decoded(t)[:2], period=DT, noise=noise, fixed_std=0.3)
    assert_decides(got, range(60), noise, fixed_std=0.3)


def noise_of(got):
    """Return the noise of a policy with mean 0 and standard deviation 1."""
    return got[0]


def zeros(t):
    return np.zeros(4)


def test_own_noise_is_standard_normal():
    """The noise is standard normal, and independent between decisions and actions."""
    noise = noise_of(simulate(4000, zeros, period=DT, seed=11))
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    # four standard errors of a correlation
    assert abs(np.corrcoef(noise.T)[0, 1]) < 4 / np.sqrt(4000)
    for lag in (1, 2, 3):
        pair = noise[lag:, 0], noise[:-lag, 0]
        assert abs(np.corrcoef(*pair)[0, 1]) < 4 / np.sqrt(4000)


def test_seed_replays_the_noise():
    """The same seed gives the same noise; another seed gives other noise."""
    one, again, other = (
        noise_of(simulate(20, zeros, period=DT, seed=seed)) for seed in (1, 1, 2)
    )
    assert_array_equal(one, again)
    assert not np.any(one == other)


def test_noise_depends_on_seed_and_decision_alone():
    """The noise of decision k is the stream of numpy's Philox from counter k."""
    noise = noise_of(simulate(20, zeros, period=DT, seed=1))
    # the process's own generator gives the key
    key = int(np.random.RandomState(1).randint(2**31))
    for k in (0, 1, 19):
        bits = np.random.Philox(key=key, counter=[0, 0, k, 0])
        expected = np.random.Generator(bits).standard_normal(2)
        assert_allclose(noise[k], expected, rtol=1e-15)


def test_noise_goes_on_after_pickling_and_repeats_after_reset():
    """A pickled simulation continues with the noise of an unpickled one, and a reset
    simulation repeats it. Two policies without a seed draw different noise, the same in
    every build of the network."""
    builds = []
    for network_seed in (5, 5, 5, 6):
        with nengo.Network(seed=network_seed) as net:
            policies = [GaussianPolicy(1, period=0.002) for _ in range(2)]
            probes = [nengo.Probe(policy.action) for policy in policies]
            noisy = nengo.Node(nengo.processes.WhiteNoise(), size_out=1)
            nengo.Probe(noisy)
        with nengo.Simulator(net) as sim:
            sim.run_steps(17)
            pickled = pickle.dumps((sim, probes))
            sim.run_steps(20)
            straight = [sim.data[probe].copy() for probe in probes]
            sim.reset()
            sim.run_steps(37)
            again = [sim.data[probe] for probe in probes]
            assert_array_equal(again, straight)
        sim, probes = pickle.loads(pickled)
        with sim:
            sim.run_steps(20)
            assert_array_equal([sim.data[probe] for probe in probes], straight)
        builds.append(straight)
    assert not np.any(straight[0][1:] == straight[1][1:])
    assert_array_equal(builds[0], builds[1])
    assert_array_equal(builds[0], builds[2])
    assert not np.any(builds[0][0][1:] == builds[3][0][1:])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValidationError, "GaussianPolicy.period.*period=SECONDS.*trigger=True"),
        ({"period": 0.1, "trigger": True}, ValidationError, "period=SECONDS"),
        ({"period": 0}, ValidationError, "period"),
        ({"period": 0.1, "fixed_std": -1}, ValueError, "fixed_std: .*got -1"),
        (
            {"period": 0.1, "action_low": 2, "action_high": 1},
            ValueError,
            "action_low: .*got 2 and 1",
        ),
        ({"period": 0.1, "log_std_bounds": (2, -1)}, ValueError, "log_std_bounds"),
        ({"period": 0.1, "noise": [[np.nan, 0]]}, ValidationError, "finite"),
        ({"period": 0.1, "noise": [[1.0]]}, ValidationError, r"\(decisions, 2\)"),
        ({"period": 0.0004}, BuildError, "no multiple.*dt=0.001"),
        ({"period": 0.0105}, BuildError, "no multiple.*period of 0.01 s"),
        ({"period": 0.01, "noise": [[0, 0]]}, SimulationError, "decision 1 has no"),
    ],
)
def test_bad_policies(options, error, message):
    """Invalid policies are refused as early as possible."""
    with pytest.raises(error, match=message):
        simulate(**options)


def test_baseline_is_the_mean_of_the_past(rng):
    """The baseline is the mean of all previous counted rewards, without the current
    one; later it is an exponential average."""
    rewards = rng.randn(200)
    events = rng.rand(200) < 0.7
    with nengo.Network() as net:
        baseline = Baseline(rate=0.1)
        for values, node in ((rewards, baseline.reward), (events, baseline.event)):
            source = nengo.Node(lambda t, v=values: float(v[round(t / DT) - 1]))
            nengo.Connection(source, node, synapse=None)
        probe = nengo.Probe(baseline.output)
    with nengo.Simulator(net) as sim:
        sim.run_steps(200)
    past = []
    for step, reward in enumerate(rewards):
        weights = np.ones(len(past))
        for i in range(10, len(past)):  # 0.1 new + 0.9 old
            weights[:i] *= 0.9
            weights[i] = 0.1 * 10
        # the first ten are a plain mean of ten
        weights[: min(10, len(past))] /= max(1, min(10, len(past)))
        weights[10:] /= 10
        expected = reward - np.dot(weights, past) if past else 0.0
        assert_allclose(sim.data[probe][step, 0], expected, atol=1e-12)
        if events[step]:
            past.append(reward)
