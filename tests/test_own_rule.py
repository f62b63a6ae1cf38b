"""The rule of the page "Write your own rule" follows its formula."""

from pathlib import Path

import nengo
import numpy as np
import pytest
from harness import WEIGHTS, connect, drive
from nengo.exceptions import (
    BuildError,
    SimulationError,
    ValidationError,
)
from numpy.testing import assert_allclose
from own_rule import ExploratoryHebb

from nengo_epes import learning_rules

TESTS = Path(__file__).parent
DT = 0.001
COLUMNS = {"neuron slices": slice(3, 20), "neurons by list": [5, 1, 7]}
ROWS = {"neuron slices": slice(1, 9, 2)}


def reward(t):
    return np.sin(9 * t) - 0.2


def lowpass(values, tau):
    """Filter as nengo.Lowpass before a learning rule."""
    state, filtered = np.zeros(values.shape[1]), []
    for value in values:
        state = state + (1 - np.exp(-DT / tau)) * (value - state)
        filtered.append(state)
    return np.array(filtered)


def by_hand(weights, pre, post, learning_rate, tau):
    """Compute the rule weight by weight."""
    weights, mean, trajectory = weights.copy(), np.zeros(post.shape[1]), []
    for step in range(len(pre)):
        trajectory.append(weights.copy())
        for i, x in enumerate(post[step]):
            for j, a in enumerate(pre[step]):
                r = reward((step + 1) * DT)
                weights[i, j] += (
                    learning_rate * DT / pre.shape[1] * r * (x - mean[i]) * a
                )
            mean[i] = np.exp(-DT / tau) * mean[i] + (1 - np.exp(-DT / tau)) * x
    return np.array(trajectory)


@pytest.mark.parametrize("synapse", [None, 0.02])
@pytest.mark.parametrize("kind", WEIGHTS)
def test_is_its_formula(kind, synapse, seed):
    """In each step the weights equal the weights of a written-out loop over spikes."""
    rule = ExploratoryHebb(1e-5, synapse=synapse, tau=0.05)
    with nengo.Network(seed=seed) as net:
        conn = connect(kind, rule, seed, nengo.LIF())
        drive(conn, reward=reward)
        weights = nengo.Probe(conn, "weights")
        pre, post = (
            nengo.Probe(getattr(side, "neurons", side))
            for side in (conn.pre_obj, conn.post_obj)
        )
    with nengo.Simulator(net, dt=DT) as sim:
        sim.run_steps(200)
    a = sim.data[pre][:, COLUMNS.get(kind, slice(None))]
    x = sim.data[post][:, ROWS.get(kind, slice(None))]
    if synapse is not None:
        a, x = lowpass(a, synapse), lowpass(x, synapse)
    expected = by_hand(sim.data[weights][0], a, x, 1e-5, 0.05)
    # so that 1e-12 is an agreement to eight digits
    assert np.abs(expected[-1] - expected[0]).max() > 1e-4
    assert_allclose(sim.data[weights], expected, rtol=0, atol=1e-12)


def test_learns_from_reward():
    """Spiking neurons that receive only minus their squared error, and explore at
    random, learn to represent minus their input: the error falls to at most half."""
    noise = nengo.processes.FilteredNoise(
        nengo.Lowpass(0.02), nengo.dists.Gaussian(0, 0.3)
    )
    rule = ExploratoryHebb(1e-6, synapse=0.02)
    with nengo.Network(seed=0) as net:
        stimulus = nengo.Node(lambda t: np.sin(2 * np.pi * t))
        pre, post = nengo.Ensemble(50, 1), nengo.Ensemble(50, 1)
        reward = nengo.Node(lambda t, x: -((x[0] + x[1]) ** 2), size_in=2)
        nengo.Connection(stimulus, pre)
        nengo.Connection(nengo.Node(noise), post, synapse=None)
        nengo.Connection(stimulus, reward[0], synapse=0.02)
        nengo.Connection(post, reward[1], synapse=0.02)
        learned = nengo.Connection(
            pre.neurons,
            post.neurons,
            transform=np.zeros((50, 50)),
            learning_rule_type=rule,
        )
        port = learned.learning_rule[rule.reward]
        nengo.Connection(reward, port, synapse=None)
        nengo.Connection(reward, port, synapse=0.2, transform=-1)  # less a baseline
        probe = nengo.Probe(reward)
    with nengo.Simulator(net, dt=DT) as sim:
        sim.run(10.0)
    # mean square of the stimulus, the error before learning
    assert sim.data[probe][-2000:].mean() > -0.25


def test_stops_before_the_weights_are_lost():
    """A NaN reward stops the simulation with its time."""
    with nengo.Network(seed=0) as net:
        conn = connect("neurons", ExploratoryHebb(), 0, nengo.LIF())
        # a process, because Nengo validates the output of a function
        drive(conn, reward=nengo.processes.PresentInput([[0.0], [np.nan]], 0.007))
    with (
        nengo.Simulator(net, dt=DT) as sim,
        pytest.raises(SimulationError, match=r"reward\[0\] is nan at t=0.008 s"),
    ):
        sim.run_steps(20)


def test_shared_pieces_refuse_what_they_cannot_do():
    """Postsynaptic activities require neurons at the post side, and two equal rules on
    one connection are refused."""
    with nengo.Network(seed=0) as net:
        decoded = connect("node", None, 0, nengo.LIF())
    model = nengo.builder.Model()
    model.build(net)
    with pytest.raises(BuildError, match=r"decoded.*weights=True"):
        learning_rules.build_post_activities(model, decoded, None)
    with nengo.Network(seed=0), pytest.raises(ValidationError, match="weights"):
        connect("node", ExploratoryHebb(), 0, nengo.LIF())
    with nengo.Network(seed=0) as net:
        connect("neurons", [ExploratoryHebb(), ExploratoryHebb()], 0, nengo.LIF())
    with (
        pytest.raises(BuildError, match="two equal rules"),
        nengo.Simulator(net),
    ):
        pass


def test_page_shows_it():
    """The page includes these files, and the rule has at most 60 lines."""
    page = (TESTS.parent / "docs/write-your-own-rule.md").read_text(encoding="utf-8")
    for name in ("own_rule.py", "test_own_rule.py"):
        assert f"```{{literalinclude}} ../tests/{name}\n" in page
    rule = (TESTS / "own_rule.py").read_text(encoding="utf-8")
    assert len(rule.splitlines()) <= 60
