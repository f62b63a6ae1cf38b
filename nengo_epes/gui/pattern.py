"""e-prop: twenty recurrent spiking neurons learn to generate a pattern of one second.

Their input is frozen noise, which repeats every second. After half a minute of
simulated time the output follows the target.
"""

import nengo
import numpy as np

from nengo_epes import EPES
from nengo_epes.networks import RateRegularization

n, n_inputs, period = 20, 100, 1000  # neurons, spike trains, simulator steps
rng = np.random.RandomState(0)
noise = (rng.rand(period, n_inputs) < 0.05) * 1000.0  # 50 Hz
phase = 2 * np.pi * np.arange(period) / period
pattern = np.sum([np.sin(k * phase + 6 * rng.rand()) for k in (1, 2, 3, 5)], axis=0) / 3
synapse, membrane, readout = nengo.Lowpass(0.005), nengo.Lowpass(0.02), 0.03

with nengo.Network(seed=0) as model:
    spikes = nengo.Node(lambda t: noise[round(t * 1000) % period])
    target = nengo.Node(lambda t: pattern[round(t * 1000) % period])
    relay = nengo.Ensemble(
        n_inputs,
        1,
        neuron_type=nengo.RectifiedLinear(),
        gain=np.ones(n_inputs),
        bias=np.zeros(n_inputs),
        label="inputs",
    )
    neurons = nengo.Ensemble(n, 1, gain=np.ones(n), bias=rng.uniform(0.2, 0.8, n))
    shown = nengo.Node(size_in=2, label="output, target")
    error = nengo.Node(size_in=1, label="error")
    signal = nengo.Node(size_in=n, label="learning signal")
    nengo.Connection(spikes, relay.neurons, synapse=None)
    nengo.Connection(target, shown[1], synapse=None)
    nengo.Connection(shown, error, transform=[[1, -1]], synapse=None)
    # random feedback, and a pull to 10 Hz
    feedback = -rng.randn(n, 1) / np.sqrt(n) / 33
    nengo.Connection(error, signal, transform=feedback, synapse=None)
    rates = RateRegularization(neurons.neurons, strength=3e-6)
    nengo.Connection(rates.output, signal, synapse=None)

    def learn(pre, size):
        """Let the weights from some neurons learn by e-prop."""
        rule = EPES(
            0.05 * pre.n_neurons,
            pre_synapse=synapse.combine(membrane),
            trace_synapse=readout,
            size_td_error=n,
            size_eligibility=0,
            feedback="rows",
            post_derivative="auto",
        )
        weights = size * rng.randn(n, pre.n_neurons) / np.sqrt(pre.n_neurons) / 33
        conn = nengo.Connection(
            pre.neurons,
            neurons.neurons,
            transform=weights,
            synapse=synapse,
            learning_rule_type=rule,
        )
        nengo.Connection(signal, conn.learning_rule, synapse=None)

    learn(relay, 1.0)
    learn(neurons, 0.5)
    out = nengo.Connection(
        neurons.neurons,
        shown[0],
        transform=np.zeros((1, n)),
        synapse=readout,
        learning_rule_type=nengo.PES(6e-5, pre_synapse=readout),
    )
    nengo.Connection(error, out.learning_rule, synapse=None)
