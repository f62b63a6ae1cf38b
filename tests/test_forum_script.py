"""Delayed-error PES in the forum's notation, rewritten and shortened."""

import nengo
import numpy as np
from numpy.testing import assert_allclose

from nengo_epes.synapses import z


def ring_buffer(steps, size):
    """Return a node function that delays its input by a number of steps."""
    memory = np.zeros((steps, size))
    count = 0

    def delayed(t, x):
        nonlocal count
        if t == 0:
            return np.zeros(size)
        oldest = memory[count % steps].copy()
        memory[count % steps] = x
        count += 1
        return oldest

    return delayed


def learn(notation, n=1500, seconds=20, seed=0):
    """Learn from an error delayed by n steps; return the RMSE of the second half."""
    with nengo.Network(seed=seed) as model:
        stim = nengo.Node(np.cos)
        x = nengo.Ensemble(100, 1, neuron_type=nengo.LIFRate(), seed=seed)
        y = nengo.Node(size_in=1)
        nengo.Connection(stim, x, synapse=None)
        pre_synapse = z ** (-n - 1) if notation != "undelayed" else nengo.Lowpass(0.005)
        conn = nengo.Connection(
            x,
            y,
            function=lambda x: 0,
            synapse=None,
            learning_rule_type=nengo.PES(2e-5, pre_synapse=pre_synapse),
        )
        if notation == "by hand":
            error = nengo.Node(ring_buffer(n, 1), size_in=1)
            # with the step that the node adds, n steps in total
            nengo.Connection(error, conn.learning_rule, synapse=None)
            nengo.Connection(y, error, synapse=None)
            nengo.Connection(stim, error, synapse=None)
        else:
            nengo.Connection(y, conn.learning_rule, synapse=z ** (-n))
            nengo.Connection(stim, conn.learning_rule, synapse=z ** (-n))
        probe = nengo.Probe(y)
    with nengo.Simulator(model) as sim:
        sim.run(seconds)
        target = -np.cos(sim.trange())
    half = len(target) // 2
    return np.sqrt(np.mean((sim.data[probe][half:, 0] - target[half:]) ** 2))


def test_forum_notation():
    """Delayed activities learn better than undelayed ones, and as well as with a ring
    buffer, which is the same network."""
    delayed = learn("z")
    assert delayed < 0.6 * learn("undelayed")
    # the ring buffer has the same delay
    assert_allclose(delayed, learn("by hand"), rtol=1e-6)
