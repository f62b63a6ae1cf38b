"""EPES against textbook TD(lambda), on the random walk of Sutton and Barto."""

import nengo
import numpy as np
import pytest
from numpy.testing import assert_allclose

from nengo_epes import EPES

N_STATES, DISCOUNT, LAMBDA = 19, 1.0, 0.8
DT = 0.001


def walks(n_episodes, seed):
    """Return for each walk its states (0 to 18) and its final reward."""
    rng = np.random.RandomState(seed)
    episodes = []
    for _ in range(n_episodes):
        states = [N_STATES // 2]
        while 0 <= states[-1] < N_STATES:
            states.append(states[-1] + rng.choice([-1, 1]))
        episodes.append((states[:-1], 1.0 if states[-1] == N_STATES else -1.0))
    return episodes


def textbook(kind, alpha, episodes):
    """Plain TD(lambda), Sutton and Barto (2018), chapter 12; weights by transition."""
    w, trajectory = np.zeros(N_STATES), []
    features = np.eye(N_STATES)
    decay = DISCOUNT * LAMBDA
    for states, reward in episodes:
        z, v_old = np.zeros(N_STATES), 0.0
        for k, state in enumerate(states):
            last = k == len(states) - 1
            x = features[state]
            v = w @ x
            v_next = 0.0 if last else w @ features[states[k + 1]]
            delta = (reward if last else 0.0) + DISCOUNT * v_next - v
            if kind == "accumulating":
                z = decay * z + x
                w = w + alpha * delta * z
            elif kind == "replacing":
                z = np.maximum(decay * z, x)
                w = w + alpha * delta * z
            else:
                z = decay * z + (1 - alpha * decay * (z @ x)) * x
                w = w + alpha * (delta + v - v_old) * z - alpha * (v - v_old) * x
                v_old = v_next
            trajectory.append(w)
    return np.array(trajectory)


def schedule(episodes):
    """Return (phase, observed state, reward) for each simulator step.

    A transition has two steps. In the first the state is observed and enters the trace.
    In the second the next state is observed, the trace is held, and the TD error is a
    pulse. After each walk one step empties the trace.
    """
    steps = []
    for states, reward in episodes:
        for k, state in enumerate(states):
            last = k == len(states) - 1
            steps.append(("see", state, 0.0))
            if last:
                steps.append(("pulse", None, reward))
            else:
                steps.append(("pulse", states[k + 1], 0.0))
        steps.append(("reset", None, 0.0))
    return steps


def in_nengo(kind, alpha, episodes):
    """Return the weights after every transition, learned by EPES."""
    steps = schedule(episodes)
    learning_rate = alpha * N_STATES
    if kind == "accumulating":
        # the trace of EPES is the textbook's times 1 - gamma lambda
        learning_rate /= 1 - DISCOUNT * LAMBDA
    rule = EPES(
        learning_rate,
        pre_synapse=None,
        trace_synapse=-DT / np.log(DISCOUNT * LAMBDA),
        trace_type=kind,
        controls=("hold", "reset"),
    )

    def now(t):
        return steps[min(round(t / DT) - 1, len(steps) - 1)]

    def seen(t):
        state = now(t)[1]
        return np.zeros(N_STATES) if state is None else np.eye(N_STATES)[state]

    memory = {}

    def td_error(t, value):
        what, _, reward = now(t)
        if what == "see":
            memory["value"] = value[0]
        if what != "pulse":
            return 0.0
        # without a state no neuron is active, so the value is 0
        return (reward + DISCOUNT * value[0] - memory["value"]) / DT

    with nengo.Network() as net:
        states = nengo.Ensemble(
            N_STATES,
            N_STATES,
            neuron_type=nengo.RectifiedLinear(),
            encoders=np.eye(N_STATES),
            gain=np.ones(N_STATES),
            bias=np.zeros(N_STATES),
        )
        nengo.Connection(nengo.Node(seen), states, synapse=None)
        value = nengo.Node(size_in=1)
        critic = nengo.Connection(
            states.neurons,
            value,
            transform=np.zeros((1, N_STATES)),
            synapse=None,
            learning_rule_type=rule,
        )
        error = nengo.Node(td_error, size_in=1)
        nengo.Connection(value, error, synapse=None)
        for source, where in (
            (error, rule.td_error),
            (nengo.Node(1.0), rule.eligibility),
            (nengo.Node(lambda t: float(now(t)[0] == "pulse")), rule.hold),
            (nengo.Node(lambda t: float(now(t)[0] == "reset")), rule.reset),
        ):
            nengo.Connection(source, critic.learning_rule[where], synapse=None)
        probe = nengo.Probe(critic, "weights")
    with nengo.Simulator(net, dt=DT) as sim:
        sim.run_steps(len(steps) + 1)
    pulses = [i for i, (what, _, _) in enumerate(steps) if what == "pulse"]
    # a weight change takes effect in the next step
    return sim.data[probe][np.array(pulses) + 1, 0]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("kind", "alpha"), [("accumulating", 0.3), ("replacing", 0.5), ("dutch", 0.4)]
)
def test_random_walk(kind, alpha, seed):
    """After every transition of ten walks, one pulse per transition gives the weights
    of TD(lambda), with replacing traces too, and of true online TD(lambda)."""
    episodes = walks(10, seed)
    expected = textbook(kind, alpha, episodes)
    assert np.abs(expected).max() > 0.3
    assert_allclose(in_nengo(kind, alpha, episodes), expected, rtol=0, atol=1e-12)
