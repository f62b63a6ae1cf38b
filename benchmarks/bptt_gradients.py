"""e-prop beside backpropagation through time: python benchmarks/bptt_gradients.py.

The gradient of a loss with respect to input and recurrent weights, of the networks of
`eprop_gradients`, in three ways: by `jax.grad` through the model that Nengo built, in
which spikes also have a gradient on their way through the recurrent connection; by
e-prop's exact form, which leaves this part out; and by the vector form, which
`nengo_epes.EPES` computes. The table has the angles to backpropagation, in degrees.
Install the extra ``jax``.
"""

import json

import jax
import nengo
import numpy as np
from eprop_gradients import (
    DT,
    MODELS,
    N_SEEDS,
    PRE_SYNAPSES,
    ROOT,
    TAU_TRACE,
    angle,
    build,
    draw,
    exact_form,
    make_rule,
    simulate,
)

from nengo_epes import functional
from nengo_epes.files import write_atomically

TABLE = ROOT / "benchmarks/results/bptt_gradients.json"


def backpropagate(data, neuron_type):
    """Return the gradient by backpropagation through time, and the spikes.

    Parameters
    ----------
    data : dict
        Result of `eprop_gradients.draw`.
    neuron_type : nengo.LIF or nengo.AdaptiveLIF
        Type of the neurons.
    """
    n_steps, n = data["third"].shape
    net, ens, conns = build(data, neuron_type, make_rule(n, None))
    with net:
        output = nengo.Probe(ens.neurons)
    spikes, third = (
        next(node for node in net.nodes if node.label == label)
        for label in ("spikes", "third")
    )
    with nengo.Simulator(net, dt=DT, progress_bar=False) as sim:
        step, state = functional.compile(sim, inputs=[spikes, third])
        signals = [sim.model.sig[conn]["weights"] for conn in conns]
    inputs = functional.Arrays(
        {spikes: data["spikes"] / DT, third: np.zeros((n_steps, n))}
    )
    # the loss filters spikes by a Lowpass: by how much each of them counts
    counts, keep, later = np.zeros((n_steps, n)), np.exp(-DT / TAU_TRACE), 0.0
    for t in reversed(range(n_steps)):
        later = keep * later + (1 - keep) * data["third"][t]
        counts[t] = later

    def loss(weights):
        start = state.replace(dict(zip(signals, weights, strict=True)))
        _, probed = jax.lax.scan(step, start, inputs)
        out = probed[output] * (DT / neuron_type.amplitude)
        return (counts * out).sum(), out

    weights = [state[signal] for signal in signals]
    (_, out), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(weights)
    return np.hstack(gradient), np.asarray(out)


def main():
    """Write the table."""
    jax.config.update("jax_enable_x64", True)
    models = {}
    for name, (neuron_type, _) in MODELS.items():
        degrees = {"exact form": [], "vector form": []}
        for seed in range(N_SEEDS):
            data = draw(name, seed)
            backpropagated, spikes = backpropagate(data, neuron_type)
            state, vector = simulate(data, neuron_type, PRE_SYNAPSES["combine"])
            assert np.array_equal(spikes > 0, state["output"] > 0)
            exact = exact_form(data, neuron_type, state)
            for form, gradient in (("exact form", exact), ("vector form", vector)):
                degrees[form].append(round(angle(gradient, backpropagated), 2))
        models[name] = degrees
        print(name, degrees, flush=True)
    table = {
        "command": "python benchmarks/bptt_gradients.py",
        "versions": {"jax": jax.__version__, "nengo": nengo.__version__},
        "degrees to backpropagation through time, by seed": models,
    }
    text = json.dumps(table, indent=1) + "\n"
    write_atomically(TABLE, lambda path: path.write_text(text))


if __name__ == "__main__":
    main()
