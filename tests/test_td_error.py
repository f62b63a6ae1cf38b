"""The TD error alone: its pulses, and the continuous form against closed forms."""

import warnings

import nengo
import numpy as np
import pytest
from nengo.exceptions import NengoWarning, ValidationError
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes.arithmetic.distributions import Softmax
from nengo_epes.networks import ActorCritic, TDError

DT = 0.001


def simulate(td_options, inputs, n_steps):
    """Run a TDError on functions of the step number (from 0); return its output."""
    with nengo.Network() as net:
        td = TDError(**td_options)
        for name, values in inputs.items():
            source = nengo.Node(lambda t, v=values: float(v[round(t / DT) - 1]))
            nengo.Connection(source, getattr(td, name), synapse=None)
        probe = nengo.Probe(td.output)
    with nengo.Simulator(net, dt=DT) as sim:
        sim.run_steps(n_steps)
        return sim.data[probe][:, 0]


def test_one_pulse_a_step():
    """Only in the step of `learn` the output is r + discount V' - V over dt, with V
    from the last step of `decide`; V' is 0 after a termination."""
    inputs = {
        "value": [1, 2, 3, 4, 5, 6, 7, 8],
        "reward": [0, 0, 10, 10, 10, 20, 20, 20],
        "terminated": [0, 0, 0, 0, 0, 1, 1, 1],
        "learn": [0, 0, 0, 1, 0, 0, 1, 0],
        "decide": [0, 1, 0, 0, 1, 0, 0, 1],
    }
    for discount in (0.5, 1.0):
        expected = np.zeros(8)
        expected[3] = 10 + discount * 4 - 2
        expected[6] = 20 + 0 - 5
        got = simulate({"discount": discount}, inputs, 8)
        assert_allclose(got, expected / DT, rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.02])
def test_true_values_have_no_error(smoothing):
    """If V(t) is the discounted integral of future rewards, the error is 0. For a
    reward r from t = 1 s on, V is r tau exp((t - 1) / tau) before and r tau after."""
    tau, n_steps = 0.5, 1500
    t = np.arange(1, n_steps + 1) * DT
    reward = np.where(t > 1.0, 2.0, 0.0)
    value = 2.0 * tau * np.exp(np.minimum(t - 1.0, 0.0) / tau)
    got = simulate(
        {"tau": tau, "smoothing": smoothing}, {"reward": reward, "value": value}, 1500
    )
    if not smoothing:
        # the first step has no slope; then a difference instead of a derivative
        # is wrong by V'' dt / 2
        assert np.abs(got[1:]).max() <= 2.0 / tau * DT
    else:
        # the derivative lags by the smoothing, but its area is correct
        assert abs(got.sum() * DT) < 0.01 * value[-1]
        assert np.abs(got[-100:]).max() < 0.05


@pytest.mark.parametrize("smoothing", [0.0, 0.01])
def test_slopes_jumps_and_ends(smoothing):
    """A ramp of V gives its slope. A jump of V gives its height as area, for any
    smoothing. `reset` marks a jump as a new episode and removes it; `terminated` sets V
    to 0 for any output of the critic."""
    tau, options = 1e9, {"tau": 1e9, "smoothing": smoothing}
    ramp = 3.0 * DT * np.arange(400)
    got = simulate(options, {"value": ramp}, 400)
    assert_allclose(got[200:], 3.0 - ramp[200:] / tau, rtol=1e-6)
    jump = np.where(np.arange(400) < 200, 1.0, 5.0)
    switch = (np.arange(400) == 200).astype(float)
    got = simulate(options, {"value": jump}, 400)
    assert_allclose(got.sum() * DT, 4.0, rtol=1e-6)
    got = simulate(options, {"value": jump, "reset": switch}, 400)
    assert_allclose(got, 0.0, atol=1e-6)
    over = (np.arange(400) >= 200).astype(float)
    got = simulate(options, {"value": jump, "terminated": over}, 400)
    assert_allclose(got.sum() * DT, -1.0, rtol=1e-6)


def test_continuous_is_the_limit_of_discrete():
    """If V is held for steps of D, the integral of the continuous error over a step is
    the discrete error with gamma = 1 - D / tau (Doya 2000)."""
    D, tau = 20, 2.0
    rng = np.random.RandomState(0)
    values, rewards = rng.randn(2, 30)
    held = {
        "value": np.repeat(values, D),
        "reward": np.repeat(rewards, D) / (D * DT),
    }
    got = simulate({"tau": tau}, held, 30 * D)
    sums = got.reshape(30, D).sum(axis=1) * DT
    gamma = 1 - D * DT / tau
    assert_allclose(sums[1:], rewards[1:] + gamma * values[1:] - values[:-1], rtol=1e-9)


def test_reset_of_the_simulator():
    """A reset simulation repeats itself, its memory included."""
    for options in ({"tau": 0.1, "smoothing": 0.01}, {}):
        with nengo.Network() as net:
            td = TDError(**options)
            wave = nengo.Node(lambda t: np.cos(50 * t))
            targets = (td.value, td.reward) if options else (td.value, td.learn)
            for target in targets:
                nengo.Connection(wave, target, synapse=None)
            if not options:
                nengo.Connection(wave, td.decide, synapse=None)
            probe = nengo.Probe(td.output)
        with nengo.Simulator(net) as sim:
            sim.run_steps(50)
            first = sim.data[probe].copy()
            assert np.abs(first).max() > 0.1
            sim.reset()
            sim.run_steps(50)
            assert_array_equal(sim.data[probe], first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 0.1}, "give tau=SECONDS"),
        ({"tau": 0.0}, "tau"),
        ({"discount": 1.1}, "discount"),
        ({"discount": -0.1}, "discount"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    """Invalid settings are refused as early as possible."""
    with nengo.Network(), pytest.raises(ValidationError, match=message):
        TDError(**options)


@pytest.mark.parametrize("missing", [(), ("decide",), ("learn", "decide")])
@pytest.mark.parametrize("kind", ["TD error", "agent", "agent, wide"])
def test_warns_of_what_is_not_connected(kind, missing):
    """A TD error or an agent without its input signals is built with a warning that
    names them; with them there is no warning."""
    one, given = nengo.Node, sorted({"learn", "decide"} - set(missing))
    with nengo.Network() as net:
        state = nengo.Ensemble(5, 1, neuron_type=nengo.LIFRate())
        if kind == "TD error":
            learner = TDError(label="the learner")
        else:
            learner = ActorCritic(state, Softmax(2), label="the learner")
        if kind == "agent, wide":
            indices = [learner.needed[name] for name in given]
            if indices:
                ones = one(np.ones(len(given)))
                nengo.Connection(ones, learner.node[indices], synapse=None)
        else:
            for name in given:
                nengo.Connection(one(1.0), getattr(learner, name), synapse=None)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        nengo.Simulator(net).close()
    warned = [str(each.message) for each in warned if each.category is NengoWarning]
    assert len(warned) == bool(missing)
    for message in warned:
        assert '"the learner"' in message
        assert message.endswith(f"nothing is connected to its {' and '.join(missing)}")
