"""Networks in single precision, compared with closed forms and numpy in double
precision."""

import nengo
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats
from toy_environments import RandomWalk

from nengo_epes.arithmetic import softmax, updates
from nengo_epes.arithmetic.distributions import BoundedGaussian, Softmax
from nengo_epes.networks import Baseline, GaussianPolicy, SoftmaxPolicy, TDError
from nengo_epes.networks.actor_critic import ActorCriticProcess
from nengo_epes.rl import build_network

DT = 0.001
# single precision rounds by 6e-8; sums and quotients accumulate a few such errors
TOLERANCES = {32: 1e-5, 64: 1e-12}
both_precisions = pytest.mark.parametrize("bits", [32, 64])


def in_precision(bits):
    """Set Nengo's precision; the shared fixture restores it."""
    nengo.rc["precision"]["bits"] = str(bits)


def source(values):
    """Make a node that outputs one row of values per step."""
    return nengo.Node(lambda t: values[round(t / DT) - 1])


def simulate(net, probes, steps):
    """Run a network; return the data of its probes."""
    with nengo.Simulator(net, dt=DT) as sim:
        sim.run_steps(steps)
        return [sim.data[probe] for probe in probes]


def decisions_of(policy, rows):
    """Return the decisions of a policy that decides in each step."""
    nengo.Connection(source(rows), policy.input, synapse=None)
    probes = [nengo.Probe(policy.decision), nengo.Probe(policy.score)]
    return probes, len(rows)


@both_precisions
def test_gaussian_policy(bits, rng):
    """Scores, actions and densities of a Gaussian policy equal scipy's and the closed
    forms in double precision, even beyond the bounds of the log std."""
    in_precision(bits)
    rows, noise = 2 * rng.randn(100, 4), rng.randn(100, 2)
    with nengo.Network() as net:
        policy = GaussianPolicy(
            2,
            period=DT,
            mean_activation="tanh",
            log_std_bounds=(-2, 1),
            action_low=-0.5,
            noise=noise,
        )
        probes, steps = decisions_of(policy, rows)
    decision, score = simulate(net, probes, steps)
    mean, std = np.tanh(rows[:, :2]), np.exp(np.clip(rows[:, 2:], -2, 1))
    drawn = mean + std * noise
    expected = [
        np.ones((100, 1)),
        (1 - mean**2) * std * noise,
        noise**2 - 1,
        np.maximum(drawn, -0.5),
        mean,
        std,
        stats.norm.logpdf(drawn, mean, std),
    ]
    tolerance = TOLERANCES[bits]
    assert decision.dtype == f"float{bits}"
    # absolute tolerance, because noise^2 - 1 and the log density cancel near 0
    both = {"rtol": tolerance, "atol": tolerance}
    assert_allclose(decision, np.hstack(expected), **both)
    assert_allclose(score * DT, np.hstack(expected[1:3]), **both)


@both_precisions
def test_softmax_policy(bits, rng):
    """Probabilities, actions and scores of a softmax policy equal the closed forms in
    double precision, even for probabilities that underflow."""
    in_precision(bits)
    rows, noise = 3 * rng.randn(100, 3), rng.rand(100, 1)
    rows[50:, 1] -= 200.0  # exp(-200) is 0 in single precision
    with nengo.Network() as net:
        policy = SoftmaxPolicy(3, period=DT, noise=noise)
        probes, steps = decisions_of(policy, rows)
    decision, score = simulate(net, probes, steps)
    chances = special.softmax(rows, axis=1)
    chosen = (noise >= np.cumsum(chances, axis=1)).sum(axis=1)
    # no uniform number is within rounding error of a border
    assert np.abs(noise - np.cumsum(chances, axis=1)[:, :2]).min() > 1e-5
    one_hot = np.eye(3)[chosen]
    expected = [np.ones((100, 1)), one_hot - chances, one_hot, chances]
    tolerance = TOLERANCES[bits]
    assert decision.dtype == f"float{bits}"
    both = {"rtol": tolerance, "atol": tolerance}
    assert_allclose(decision, np.hstack(expected), **both)
    assert_allclose(score * DT, expected[1], **both)
    # called as a Node, under the error state of Nengo's simulator
    with np.errstate(invalid="raise", divide="ignore"):
        entropies = [policy.entropy(row) for row in decision]
    assert_allclose(entropies, stats.entropy(chances, axis=1), **both)


def test_choice_where_probabilities_sum_to_less_than_1():
    """The rest of [0, 1) that rounding leaves belongs to the last action of positive
    probability."""
    chances = np.array([0.25, 0.75, 0.0], dtype=np.float32)
    chances[1] = np.nextafter(chances[1], np.float32(0))
    assert np.cumsum(chances)[-1] < 1 - 1e-8
    assert softmax.choose(chances, uniform=1 - 1e-9) == 1


@both_precisions
def test_td_error(bits, rng):
    """At each decision the error is the reward plus the discounted value minus the
    previous value, over dt; in continuous time it is r - V / tau + dV / dt."""
    in_precision(bits)
    values, rewards = rng.randn(2, 60)
    learns = np.arange(60) % 3 == 1
    decides = np.arange(60) % 3 == 2
    ends = np.arange(60) % 12 < 3
    with nengo.Network() as net:
        exact, continuous = TDError(discount=0.9), TDError(tau=0.5)
        inputs = {
            exact.value: values,
            exact.reward: rewards,
            exact.terminated: ends.astype(float),
            exact.learn: learns.astype(float),
            exact.decide: decides.astype(float),
            continuous.value: values,
            continuous.reward: rewards,
        }
        for node, given in inputs.items():
            nengo.Connection(source(given), node, synapse=None)
        probes = [nengo.Probe(exact.output), nengo.Probe(continuous.output)]
    pulses, error = (data[:, 0] for data in simulate(net, probes, 60))
    before = np.concatenate([np.zeros(4), np.repeat(values[2::3], 3)])[1:61]
    follows = np.where(ends, 0.0, 0.9 * values)
    expected = np.where(learns, (rewards + follows - before) / DT, 0.0)
    # values of order 1 over dt: the differences cancel
    atol = TOLERANCES[bits] / DT
    assert_allclose(pulses, expected, rtol=0, atol=atol)
    slopes = np.diff(values, prepend=values[0]) / DT
    assert_allclose(error, rewards - values / 0.5 + slopes, rtol=0, atol=atol)


@both_precisions
def test_baseline(bits, rng):
    """The baseline is the mean of the previous rewards, of which the first ten have
    equal weights."""
    in_precision(bits)
    rewards = 5.0 + rng.randn(10)
    with nengo.Network() as net:
        baseline = Baseline(rate=0.1)
        nengo.Connection(source(rewards), baseline.reward, synapse=None)
        nengo.Connection(nengo.Node(1.0), baseline.event, synapse=None)
        probe = nengo.Probe(baseline.output)
    (got,) = simulate(net, [probe], 10)
    expected = [rewards[k] - rewards[:k].mean() if k else 0.0 for k in range(10)]
    # rewards of order 5 cancel
    assert_allclose(got[:, 0], expected, rtol=0, atol=5 * TOLERANCES[bits])


@both_precisions
@pytest.mark.parametrize(
    "distribution", [Softmax((2, 3)), BoundedGaussian(2, reach=0.5)], ids=str
)
def test_decisions(bits, distribution, rng):
    """Actions, scores and TD errors of an actor-critic equal the distribution's in
    double precision, with the value and the bonus of the last decision."""
    in_precision(bits)
    size, n = distribution.size, 40
    decoded, rewards = 2 * rng.randn(n, size), rng.randn(n)
    values, noise = rng.randn(n), np.array(rng.rand(n, distribution.n_noise))
    learns = np.arange(n) % 2 == 0
    rows = np.zeros((n, size + 7))
    rows[:, :size], rows[:, size] = decoded, values
    rows[:, size + 4], rows[:, size + 5], rows[:, size + 6] = learns, ~learns, rewards
    with nengo.Network() as net:
        process = ActorCriticProcess(distribution, 0.9, 0.1, DT, noise)
        node = nengo.Node(process)
        nengo.Connection(source(rows), node, synapse=None)
        probe = nengo.Probe(node)
    (got,) = simulate(net, [probe], n)
    memory, last = distribution.initial_memory(), None
    tolerance = TOLERANCES[bits]
    assert got.dtype == f"float{bits}"
    for k in range(n):
        if learns[k] and last is not None:
            delta = rewards[k] + last[1] + 0.9 * values[k] - last[0]
            both = got[k, [size, 2 * size + 3]] * DT
            assert_allclose(both, delta, rtol=0, atol=10 * tolerance)
        elif not learns[k]:
            drawn = distribution.decide(decoded[k], noise[k // 2], memory, k == 1)
            last = values[k], 0.1 * drawn[2]
            atol = 10 * tolerance
            assert_allclose(got[k, :size], drawn[0], rtol=0, atol=atol)
            score = got[k, size + 1 : 2 * size + 1]
            assert_allclose(score, drawn[1], rtol=0, atol=atol)


def agent_in(environment, bits, n_decisions=150):
    """Let an agent learn; return weights of critic and actor, and all actions."""
    in_precision(bits)
    settings = {} if environment == "FrozenLake-v1" else {"n_neurons": 40}
    net = build_network(environment, seed=0, **settings)
    agent = net.actor_critic
    with net:
        probes = [nengo.Probe(conn, "weights") for conn in (agent.critic, agent.actor)]
        probes.append(nengo.Probe(agent.action))
    return simulate(net, probes, n_decisions * 2)


@pytest.mark.parametrize(
    "environment", [RandomWalk, "CartPole-v1", "Pendulum-v1", "FrozenLake-v1"], ids=str
)
def test_agent(environment):
    """An agent learns for 150 decisions with finite weights; its first 50 decisions
    give the weights and actions of double precision."""
    single = agent_in(environment, 32)
    double = agent_in(environment, 64)
    early = 100
    for one, other in zip(single, double, strict=True):
        assert one.dtype == np.float32
        assert np.isfinite(one).all()
        # rounding errors of 6e-8 in each of 50 updates, relative to the largest entry;
        # actions amplify them through the observations
        largest = np.abs(other[:early]).max()
        assert largest > 0
        assert_allclose(one[:early], other[:early], rtol=0, atol=3e-5 * largest)


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_guard_of_small_numbers(bits):
    """The guard removes tiny numbers only: ordinary traces are above it by far."""
    dtype = np.dtype(f"float{bits}")
    smallest, period = updates.subnormal_guard(0.99, dtype)
    assert np.finfo(dtype).tiny <= smallest < 1e-4
    # nothing above it becomes subnormal before the next time
    assert smallest * 0.99 ** (period - 1) >= np.finfo(dtype).tiny
