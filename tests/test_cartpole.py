"""The cart-pole with spiking neurons."""

import nengo
import numpy as np
import pytest

from nengo_epes.rl import cartpole
from nengo_epes.rl.training import train

LIF = cartpole.NEURONS["lif"]


def test_spiking_neurons_learn_something():
    """With the options for spiking neurons both decoders are changed, and stay finite;
    and every episode earns what it lasts."""
    result = train(cartpole.build, 1000, 40, n_neurons=30, **LIF)
    for weights in result["weights"].values():
        assert np.isfinite(weights).all()
        assert weights.any()
    assert result["returns"].sum() == result["steps"][-1]


def test_filter_of_spikes():
    """When the action is due, the filtered spikes have forgotten four fifths of the
    state before, and are nearer to the rates than through a Lowpass that forgets as
    much: half the error at most."""
    alpha, n_steps = LIF["pre_synapse"], LIF["steps_per_action"]
    elapsed = 0.001 * n_steps / alpha.tau
    left = (1 + elapsed) * np.exp(-elapsed)  # of an Alpha's step response
    assert left < 0.2
    lowpass = nengo.Lowpass(-0.001 * n_steps / np.log(left))
    with nengo.Network(seed=1) as net:
        state = nengo.Ensemble(200, 1, neuron_type=LIF["neuron_type"])
        nengo.Connection(nengo.Node(0.3), state, synapse=None)
        spikes = nengo.Probe(state.neurons)
    with nengo.Simulator(net) as sim:
        sim.run(0.5)
        built = sim.data[state]
    aligned = 0.3 * built.encoders.T
    rates = LIF["neuron_type"].rates(aligned, built.gain, built.bias)

    def error(synapse):
        filtered = synapse.filt(sim.data[spikes], dt=0.001)[300:]
        return np.sqrt(np.mean((filtered - rates) ** 2))

    assert error(alpha) < 0.5 * error(lowpass)


@pytest.mark.slow
def test_spiking_neurons_learn():
    """CartPole-v1 is solved by spiking neurons, as quickly as is asked of them: in one
    and a half times the 92 episodes of ReLU at most."""
    result = cartpole.trial(1000, 70_000, n_after=0, **LIF)
    assert result["episodes"] <= 138
