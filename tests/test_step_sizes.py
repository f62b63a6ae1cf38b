"""Bounded steps: their bounds, and agreement with the published formulas."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes.arithmetic import updates
from nengo_epes.arithmetic.step_sizes import Intentional, ObGD

STEPS = [ObGD(), Intentional(), Intentional(0.05, normalize=True)]
GAMMA_LAMBDA = 0.8
# for tests that depend on the history of neither TD error nor trace
C, A = np.ones(1), np.array([30.0, 40.0])
E = np.outer(C, A)


def textbook_obgd(learner, delta, contribution, alpha, kappa):
    """Elsayed et al. (2024), algorithm 3, with features of the order 1."""
    learner["z"] = GAMMA_LAMBDA * learner["z"] + contribution
    bound = alpha * kappa * max(abs(delta), 1.0) * np.sum(np.abs(learner["z"]))
    step = alpha / bound if bound > 1 else alpha
    learner["w"] = learner["w"] + step * delta * learner["z"]


def textbook_intentional(learner, delta, contribution, eta, normalize):
    """Sharifnassab et al. (2026), without diagonal scaling; sums instead of running
    means, and a limit on the TD error of 2 root mean squares."""
    g, d = learner.setdefault("g", []), learner.setdefault("d", [])
    learner["z"] = GAMMA_LAMBDA * learner["z"] + contribution
    g.insert(0, np.sum(contribution**2))
    sigma = np.average(g, weights=GAMMA_LAMBDA ** np.arange(len(g)))
    d.insert(0, delta)
    ages = 0.9 ** np.arange(len(d))
    cap = 2.0 * math.sqrt(np.average(np.square(d), weights=ages))
    limited = min(max(delta, -cap), cap)
    if normalize:
        m = learner.setdefault("m", [])
        m.insert(0, abs(limited))
        limited /= np.average(m, weights=ages)
    learner["w"] = learner["w"] + eta * limited * learner["z"] / math.sqrt(
        sigma * np.sum(learner["z"] ** 2)
    )


def experience(rows, n_pre, n_steps):
    """Make TD errors with large outliers, eligibilities, and activities in hertz."""
    rng = np.random.RandomState(7)
    deltas = rng.randn(n_steps) * np.where(rng.rand(n_steps) < 0.1, 50.0, 1.0)
    return deltas, rng.randn(n_steps, rows), rng.uniform(0, 300, (n_steps, n_pre))


def in_simulator_steps(step, rate, rows, n_pre, n_steps, substeps):
    """Learn as in the simulator: the trace has gain 1 and is held in the step of a
    pulse."""
    decay = GAMMA_LAMBDA ** (1 / substeps)
    trace, weights = np.zeros((2, rows, n_pre))
    scratch, state = np.empty_like(trace), step.initial_state()
    trajectory = []
    for delta, c, a in zip(*experience(rows, n_pre, n_steps), strict=True):
        for _ in range(substeps):
            updates.accumulate(trace, decay, c, a, scratch)
            assert step(state, rate, 0.0, trace, c, a, decay) == 0.0
        # the state has changed: these are not the activities in the trace
        weights += trace * step(state, rate, delta, trace, c + 1, a + 1, decay=1.0)
        trajectory.append(weights.copy())
    return np.stack(trajectory)


@pytest.mark.parametrize("rows, n_pre, substeps", [(1, 9, 1), (1, 9, 7), (3, 5, 20)])
@pytest.mark.parametrize("kappa", [0.2, 2.0])
def test_obgd_is_the_published_one(kappa, rows, n_pre, substeps):
    """With activities over the maximum rate as features, an unnormalised trace, and the
    rate in these units, the weights equal the textbook's."""
    max_rate, alpha = 300.0, 0.4
    rate = alpha / ((1 - GAMMA_LAMBDA) * max_rate**2)
    step = ObGD(kappa, max_rate)
    got = in_simulator_steps(step, rate, rows, n_pre, 60, substeps)
    learner = {"z": 0.0, "w": 0.0}
    for k, (delta, c, a) in enumerate(zip(*experience(rows, n_pre, 60), strict=True)):
        textbook_obgd(learner, delta, np.outer(c, a / max_rate), alpha, kappa)
        # rounding of a thousand steps
        assert_allclose(got[k] * max_rate, learner["w"], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("rows, n_pre, substeps", [(1, 9, 1), (1, 9, 7), (3, 5, 20)])
@pytest.mark.parametrize("normalize", [False, True])
def test_intentional_is_the_published_one(normalize, rows, n_pre, substeps):
    """With the textbook's trace, and statistics updated once per environment step, the
    weights equal the textbook's."""
    step = Intentional(0.3, normalize, clip=2.0, delta_decay=0.9)
    got = in_simulator_steps(step, math.nan, rows, n_pre, 60, substeps)
    learner = {"z": 0.0, "w": 0.0}
    for k, (delta, c, a) in enumerate(zip(*experience(rows, n_pre, 60), strict=True)):
        textbook_intentional(learner, delta, np.outer(c, a), 0.3, normalize)
        # rounding of a thousand steps
        assert_allclose(got[k], learner["w"], rtol=1e-11, atol=1e-14)


def scores_that_vanish(scale, n_steps=200):
    """Make TD errors of +-1, scores that decay from 1 to 1e-4, and activities."""
    rng = np.random.RandomState(3)
    deltas = rng.choice([-1.0, 1.0], n_steps)
    scores = rng.randn(n_steps, 2) * np.geomspace(1, 1e-4, n_steps)[:, None]
    return deltas, scores, scale * rng.uniform(0, 1, (n_steps, 30))


def learned_with(step, scale=100.0):
    """Return the change of the output by each TD error, and the step sizes."""
    decay, state = 0.9, step.initial_state()
    trace, moves, scratch = np.zeros((2, 30)), [], np.empty((2, 30))
    for delta, c, a in zip(*scores_that_vanish(scale), strict=True):
        updates.accumulate(trace, decay, c, a, scratch)
        moves.append(step(state, math.nan, delta, trace, c, a, decay) * trace @ a)
    return np.array(moves)


def test_floor_in_numpy():
    """With a floor the step divides by the norm of the trace times the root of (bounded
    mean square of the score times mean square of the activities)."""
    eta, floor, T, decay = 0.3, 0.2, 50.0, 0.9
    step = Intentional(eta, clip=None, floor=floor, shrink=T)
    got = learned_with(step)
    e = np.zeros((2, 30))
    experiences = list(zip(*scores_that_vanish(100.0), strict=True))
    for k, (delta, c, a) in enumerate(experiences):
        e = decay * e + (1 - decay) * np.outer(c, a)
        ages = decay ** np.arange(k, -1, -1)
        so_far = experiences[: k + 1]
        score = np.average([s @ s for _, s, _ in so_far], weights=ages)
        activity = np.average([x @ x for _, _, x in so_far], weights=ages)
        size = eta / np.sqrt(1 + (k + 1) / T)
        size *= delta / np.sqrt(max(score, floor) * activity * np.sum(e**2))
        # rounding of 200 steps
        assert_allclose(got[k], size * e @ a, rtol=1e-11, atol=1e-14)


def test_floor_does_not_depend_on_the_unit_of_activities():
    """With activities 100 times larger the output moves by the same, with a floor
    too."""
    step = Intentional(0.3, floor=0.2)
    assert_allclose(learned_with(step, 1.0), learned_with(step, 100.0), rtol=1e-11)


def test_without_a_floor_steps_grow_as_scores_vanish():
    """When scores decay to 1e-4, each TD error moves the output over 1000 times further
    without a floor, and less than 5 times further with one."""
    growth = {}
    for floor in (None, 0.2):
        moves = np.linalg.norm(learned_with(Intentional(0.3, floor=floor)), axis=1)
        growth[floor] = moves[-20:].mean() / moves[5:25].mean()
    assert growth[None] > 1000
    assert growth[0.2] < 5


sizes = st.floats(1e-6, 1e6) | st.just(0.0)
signed = sizes | sizes.map(lambda x: -x)
matrices = st.sampled_from([(1, 1), (1, 5), (3, 4)]).flatmap(
    lambda shape: arrays(float, shape, elements=signed)
)


@given(matrices, signed, st.floats(1e-12, 1e3), st.floats(0.1, 10), st.floats(1, 500))
def test_obgd_never_exceeds_its_bound(trace, delta, rate, kappa, max_rate):
    """For all activities up to the largest, the output moves by at most the TD error,
    or 1, over kappa; smaller steps are not changed."""
    got = ObGD(kappa, max_rate)(np.zeros(0), rate, delta, trace, C, A, 0.5)
    allowed = min(abs(delta), 1.0) / kappa
    plain = rate * delta
    # worst case: maximal activity where the trace is positive (negative), else 0
    worst = np.abs(got * trace).sum(axis=1).max() * max_rate
    assert worst <= allowed * (1 + 1e-12)
    assert abs(got) <= abs(plain) and got * plain >= 0
    if np.abs(plain * trace).sum() * max_rate < allowed * (1 - 1e-12):
        assert_allclose(got, plain, rtol=1e-12)


def test_obgd_in_the_head():
    """A trace of size 20 at 100 Hz, with a rate of 0.01 and margin 2, is divided by 40
    for TD errors up to 1, and by 40 times the TD error above."""
    step = ObGD(kappa=2, max_rate=100)
    for delta, expected in [(0.5, 0.005 / 40), (-1, -0.01 / 40), (7, 0.07 / 280)]:
        got = step(np.zeros(0), 0.01, delta, np.array([[15.0, -5.0]]), C, A, 0.0)
        assert_allclose(got, expected, rtol=1e-12)


# from where the sum of squares is silence it would not be so
rates = st.floats(1e-2, 1e3) | st.just(0.0)


@given(
    arrays(float, (4, 3), elements=rates), st.floats(1e-2, 1e3), st.booleans(), signed
)
def test_intentional_does_not_depend_on_the_scale(activities, k, normalize, delta):
    """With all activities multiplied by k, the output moves by the same."""
    step = Intentional(normalize=normalize)
    moves = []
    for a in (activities, k * activities):
        state, trace, moved = step.initial_state(), np.zeros((2, a.shape[1])), []
        for row in a:
            c = np.array([1.0, -2.0])
            updates.accumulate(trace, 0.7, c, row, np.empty_like(trace))
            change = step(state, 1.0, delta, trace, c, row, 0.7) * trace
            moved.append(change @ row)
        moves.append(moved)
    assert_allclose(moves[1], moves[0], rtol=1e-9, atol=1e-12 * (1 + abs(delta)))


def test_intentional_moves_the_output_by_what_is_intended():
    """Without memory the output moves by eta times the TD error, weighted with the
    eligibilities if there are several post dimensions; if normalised, it always moves
    by eta."""
    c = np.array([0.5, -2.0])
    for normalize, expected in [(False, 0.25 * 8.0), (True, 0.25)]:
        step = Intentional(0.25, normalize)
        got = step(step.initial_state(), 1.0, 8.0, np.outer(c, A), c, A, decay=0.0)
        assert_allclose(c @ (got * np.outer(c, A)) @ A, expected, rtol=1e-12)


def test_intentional_limits_rare_errors():
    """After many errors of size 1, an error of 100 counts as 20 of its root mean
    squares; the first error is never limited."""
    step = Intentional(delta_decay=0.999)
    state = step.initial_state()
    plain = step(state, 1.0, 1.0, E, C, A, decay=0.0)
    for k in range(10_000):
        assert abs(step(state, 1.0, (-1.0) ** k, E, C, A, 0.0) / plain) < 1 + 1e-9
    got = step(state, 1.0, -100.0, E, C, A, decay=0.0)
    # the mean square is 0.999 + 0.001 * 100^2; 0.999^10000 is 5e-5
    assert_allclose(got, -plain * 20 * math.sqrt(0.999 + 10), rtol=1e-4)
    unlimited = replace(step, clip=None)
    assert_allclose(unlimited(state, 1.0, -100.0, E, C, A, 0.0), -100 * plain)


@pytest.mark.parametrize("step", STEPS, ids=repr)
def test_no_pulse_changes_nothing(step):
    """A TD error of 0 changes neither the weights nor its own statistics. A held trace
    changes nothing; a trace that advances changes only the scale of the activities."""
    state = step.initial_state()
    step(state, 0.1, 2.0, E, C, A, 0.5)
    before = state.copy()
    assert step(state, 0.1, 0.0, E, C, 3 * A, 1.0) == 0.0
    assert_array_equal(state, before)
    assert step(state, 0.1, 0.0, E, C, 3 * A, 0.5) == 0.0
    assert_array_equal(state[2:], before[2:])


@pytest.mark.parametrize("step", [*STEPS, Intentional(clip=None)], ids=repr)
@pytest.mark.parametrize("dtype, largest", [("float64", 1e70), ("float32", 1e9)])
@given(data=st.data())
def test_never_nan(step, dtype, largest, data):
    """The change is finite for all inputs whose fourth powers are finite, 0
    included."""
    values = st.floats(-largest, largest, width=32 if dtype == "float32" else 64)
    vector = arrays(dtype, 3, elements=values)
    state = step.initial_state().astype(dtype)
    for _ in range(data.draw(st.integers(1, 3))):
        trace = data.draw(arrays(dtype, (2, 3), elements=values))
        c, a = data.draw(vector)[:2], data.draw(vector)
        delta, decay = data.draw(values), data.draw(st.floats(0, 1))
        assert np.isfinite(step(state, 1e-5, delta, trace, c, a, decay) * trace).all()


@pytest.mark.parametrize("normalize", [False, True])
def test_silence(normalize):
    """A trace that is empty, or nearly so, changes nothing."""
    step = Intentional(normalize=normalize)
    assert step(step.initial_state(), 0.1, 2.0, E, C, A, decay=1.0) == 0.0
    for a in (0 * A, 1e-8 * A):
        state = step.initial_state()
        assert step(state, 0.1, 2.0, np.outer(C, a), C, a, decay=0.5) == 0.0


@pytest.mark.parametrize("step", [*STEPS, Intentional(1, clip=None)], ids=repr)
def test_values(step):
    """Steps are value objects: equal, hashable, picklable, and their repr evaluates."""
    for again in (eval(repr(step)), pickle.loads(pickle.dumps(step)), replace(step)):
        assert again == step and hash(again) == hash(step)
    assert len({*STEPS, step, Intentional(0.5), ObGD(np.float64(2.0))}) <= 4
    assert repr(ObGD(np.float64(2))) == "ObGD(kappa=2.0, max_rate=400.0)"
    with pytest.raises(AttributeError):
        step.eta = 3.0


@pytest.mark.parametrize(
    "step, name, values",
    [
        (ObGD, "kappa", [0, -1.0, math.inf, math.nan, "two", None]),
        (ObGD, "max_rate", [0, -1.0, math.inf, math.nan]),
        (Intentional, "eta", [0, -1.0, math.inf, math.nan, None]),
        (Intentional, "clip", [0, -1.0, math.inf, math.nan]),
        (Intentional, "floor", [0, -1.0, math.inf, math.nan]),
        (Intentional, "shrink", [0, -1.0, math.inf, math.nan]),
        (Intentional, "delta_decay", [0, 1, -0.5, math.nan]),
        (Intentional, "normalize", [1, "yes", None]),
    ],
)
def test_parameters_are_checked(step, name, values):
    """The message names the parameter, its value, and the valid values."""
    for value in values:
        with pytest.raises(ValueError, match=f"{name}: must .*{value!r}") as error:
            step(**{name: value})
        assert "such as" in str(error.value) or "True" in str(error.value)
