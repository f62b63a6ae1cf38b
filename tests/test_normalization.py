"""Running normalisation and scaling against statistics of the whole history."""

import pickle

import nengo
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nengo.exceptions import ValidationError
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes.networks import ObservationNormalization, RewardScaling, to_sphere

DT = 0.001


class Rows:
    """Outputs one row of an array in each simulator step; can be pickled."""

    __name__ = "rows"

    def __init__(self, rows):
        self.rows = np.asarray(rows, dtype=float)

    def __call__(self, t):
        return self.rows[round(t / DT) - 1]


def network_of(process, rows):
    """Return a network that feeds rows to a process, and a probe of its output."""
    with nengo.Network(seed=0) as net:
        node = nengo.Node(process)
        nengo.Connection(nengo.Node(Rows(rows)), node, synapse=None)
        probe = nengo.Probe(node)
    return net, node, probe


def simulate(process, rows):
    """Return the outputs of a process for rows of inputs, and its statistics."""
    net, node, probe = network_of(process, rows)
    with nengo.Simulator(net) as sim:
        sim.run_steps(len(rows))
        signal = sim.model.sig[node.output]["_state_statistics"]
        return sim.data[probe], sim.signals[signal].copy()


def normalized(history, clip=3.0):
    """Return the last of several samples, normalised by numpy's statistics of all."""
    if len(history) < 2:
        return np.zeros(history.shape[1])
    std = np.sqrt(history.var(axis=0, ddof=1) + 1e-16)
    return np.clip((history[-1] - history.mean(axis=0)) / std, -clip, clip)


entries = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))
histories = st.tuples(st.integers(1, 12), st.integers(1, 3)).flatmap(
    lambda shape: arrays(float, shape, elements=entries)
)


@settings(max_examples=50)
@given(histories, st.lists(st.booleans(), min_size=12, max_size=12))
def test_normalization_is_numpys(samples, is_new):
    """The output is normalised by the mean and variance of all new samples so far and
    constant between new samples; the statistics equal numpy's."""
    is_new = np.array(is_new[: len(samples)])
    rows = np.column_stack([samples, is_new])
    process = ObservationNormalization(samples.shape[1])
    output, statistics = simulate(process, rows)
    expected = to_sphere(np.zeros(samples.shape[1]))
    for k in range(len(samples)):
        if is_new[k]:
            history = samples[: k + 1][is_new[: k + 1]]
            expected = to_sphere(normalized(history))
        # a difference of two numbers of 1e3 over a deviation of 1e-4, or more
        assert_allclose(output[k], expected, rtol=0, atol=1e-8)
    seen = samples[is_new]
    assert_array_equal(statistics[2], len(seen))
    if len(seen):
        squares = ((seen - seen.mean(axis=0)) ** 2).sum(axis=0)
        assert_allclose(statistics[0], seen.mean(axis=0), rtol=1e-12, atol=1e-9)
        assert_allclose(statistics[1], squares, rtol=1e-9, atol=1e-6)


def test_far_from_zero(rng):
    """Numbers near 1e8 that vary by 1 are normalised to 1e-6; the mean square minus the
    squared mean would lose all digits."""
    samples = 1e8 + rng.randn(500, 2)
    rows = np.column_stack([samples, np.ones(500)])
    output, _ = simulate(ObservationNormalization(2), rows)
    y = output[-1, :2] / output[-1, 2]
    assert_allclose(y, normalized(samples), rtol=0, atol=1e-6)


@pytest.mark.parametrize("clip", [0.5, 3.0])
def test_constant_entries_and_clip(clip):
    """A constant entry is normalised to 0; values beyond the bound are clipped."""
    samples = np.full((100, 2), 7.3)
    samples[::2, 1] = 0.0
    samples[-1, 1] = 1e4
    rows = np.column_stack([samples, np.ones(100)])
    output, _ = simulate(ObservationNormalization(2, clip=clip), rows)
    y = output[-1, :2] / output[-1, 2]
    assert_allclose(y, [0.0, clip], rtol=0, atol=1e-9)
    assert_allclose(np.linalg.norm(output, axis=1), 1.0, rtol=1e-12)


def test_a_constant_entry_that_changes_once():
    """After constant values, as of a flag, the first other value is clipped, not
    infinite."""
    rows = np.array([[0.0, 1.0]] * 50 + [[1.0, 1.0]])
    output, _ = simulate(ObservationNormalization(1), rows)
    y = output[-1, 0] / output[-1, 1]
    assert_allclose(y, normalized(rows[:, :1]), rtol=1e-9)
    assert y == pytest.approx(3.0)


def test_not_normalized(rng):
    """Without normalisation the observation is only clipped; the statistics are still
    updated."""
    samples = 3 * rng.randn(20, 2)
    rows = np.column_stack([samples, np.ones(20)])
    process = ObservationNormalization(2, clip=2.0, normalized=False)
    output, statistics = simulate(process, rows)
    assert_allclose(output, to_sphere(np.clip(samples, -2, 2)), rtol=1e-12)
    assert_array_equal(statistics[2], 20)


def test_fixed_statistics(rng):
    """Given statistics normalise each input and do not change."""
    seen, samples = 5 + 2 * rng.randn(50, 3), 5 + 2 * rng.randn(20, 3)
    _, learned = simulate(
        ObservationNormalization(3), np.column_stack([seen, np.ones(50)])
    )
    process = ObservationNormalization(3, statistics=learned)
    output, statistics = simulate(process, samples)
    assert_array_equal(statistics, learned)
    std = np.sqrt(seen.var(axis=0, ddof=1) + 1e-16)
    expected = np.clip((samples - seen.mean(axis=0)) / std, -3, 3)
    assert_allclose(output, to_sphere(expected), rtol=1e-10)


def scaled(rewards, over, discount):
    """Return rewards over numpy's standard deviation of all discounted sums."""
    sums, expected, total = [], [], 0.0
    for reward, ends in zip(rewards, over, strict=True):
        total = reward if ends else discount * total + reward
        sums.append(total)
        variance = np.var(sums, ddof=1) if len(sums) > 1 else 1.0
        expected.append(reward / np.sqrt(variance + 1e-16))
    return np.array(expected), sums


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("discount", [0.0, 0.9, 1.0])
def test_reward_scaling_is_numpys(bits, discount, rng):
    """Rewards are divided by the standard deviation of their discounted sum, which
    restarts from the last reward of an episode. Each reward counts once; the reward of
    0 at the start of an episode does not count."""
    nengo.rc["precision"]["bits"] = str(bits)
    rewards, n = 10 + 5 * rng.randn(150), 150
    terminated, truncated = np.arange(n) % 50 == 49, np.arange(n) % 20 == 19
    rows, read = [], []
    for reward, *ends in zip(rewards, truncated, terminated, strict=True):
        read.append(len(rows))
        # each lasts for two simulator steps
        rows += [[1, reward, *ends, 0], [0, reward, *ends, 0]]
        if any(ends):
            rows += [[1, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    output, statistics = simulate(RewardScaling(discount), rows)
    expected, sums = scaled(rewards, terminated | truncated, discount)
    tolerance = {32: 1e-5, 64: 1e-10}[bits]
    assert output.dtype == f"float{bits}"
    assert_allclose(output[read, 0], expected, rtol=tolerance)
    assert_allclose(output[np.add(read, 1), 0], expected, rtol=tolerance)
    # the statistics themselves are in double precision
    assert statistics.dtype == np.float64
    assert_allclose(statistics[1], np.mean(sums), rtol=tolerance)
    assert statistics[3] == len(sums) == 150


def test_first_rewards():
    """The first reward is divided by 1; rewards that have all been 0 stay 0; equal
    returns, whose deviation is 0, give finite rewards."""
    for rewards in ([5.0], [0.0] * 10, [1.0] * 10):
        rows = [[1.0, reward, 0.0, 0.0, 0.0] for reward in rewards]
        output, _ = simulate(RewardScaling(0.0), rows)
        assert np.isfinite(output).all()
        assert_allclose(output[0], rewards[0], rtol=1e-8)
        assert (output != 0).all() == (rewards[0] != 0)


@pytest.mark.parametrize("bits", [32, 64])
def test_normalization_in_single_precision(bits, rng):
    """The output has the precision of the simulation; the statistics have 64 bits."""
    nengo.rc["precision"]["bits"] = str(bits)
    samples = 100 + rng.randn(2000, 2)
    rows = np.column_stack([samples, np.ones(2000)])
    output, statistics = simulate(ObservationNormalization(2), rows)
    assert output.dtype == f"float{bits}" and statistics.dtype == np.float64
    # in 32 bits samples of 100 are rounded by 4e-6
    tolerance = {32: 2e-5, 64: 1e-10}[bits]
    expected = to_sphere(normalized(samples))
    assert_allclose(output[-1], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize(
    ("process", "width"),
    [(ObservationNormalization(3), 4), (RewardScaling(0.9), 5)],
    ids=["observations", "rewards"],
)
def test_all_state_is_signals(process, width, optimize):
    """A pickled simulation resumes in mid-run as if it had not been pickled, and a
    reset simulation repeats itself, bit for bit."""
    rows = np.random.RandomState(3).uniform(0, 1, (60, width))
    net, _, probe = network_of(process, rows)
    with nengo.Simulator(net, optimize=optimize) as sim:
        sim.run_steps(23)
        pickled = pickle.dumps((sim, probe))
        sim.run_steps(37)
        straight = sim.data[probe].copy()
        assert len(np.unique(straight)) > 20
        sim.reset()
        sim.run_steps(60)
        assert_array_equal(sim.data[probe], straight)
    resumed, probe = pickle.loads(pickled)
    with resumed:
        resumed.run_steps(37)
        assert_array_equal(resumed.data[probe], straight)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ObservationNormalization(2, clip=0), "clip"),
        (lambda: ObservationNormalization(2, normalized=1), "normalized"),
        (lambda: ObservationNormalization(2, statistics=np.zeros((2, 2))), "statist"),
        (
            lambda: ObservationNormalization(2, statistics=np.zeros((3, 4))),
            "statistics: has 4 columns; give one for each of the 2 entries",
        ),
        (lambda: RewardScaling(1.1), "discount"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    """Invalid settings are refused as early as possible."""
    with pytest.raises(ValidationError, match=message):
        make()
