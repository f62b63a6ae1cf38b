"""Gradients of e-prop on Nengo's neurons: python benchmarks/eprop_gradients.py.

It compares three gradients of the same loss with respect to the input and recurrent
weights of networks of Nengo's LIF and AdaptiveLIF neurons:

* automatic differentiation of the neurons' step, written in torch, in which spikes have
  no gradient on their way through a recurrent connection;
* the exact form of e-prop, advanced forward in time with the voltages and currents of
  Nengo's neurons; the reset after a spike clears the eligibility of a membrane;
* the vector form, which is what `EPES` computes: it filters presynaptic activities by
  the membrane and never clears them.

The first two must be equal. The table has the angles between the last two. Install
torch, which is no dependency of the package.
"""

import json
from pathlib import Path

import nengo
import numpy as np

from nengo_epes import EPES
from nengo_epes.files import write_atomically

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks/results/eprop_gradients.json"
RECORD = ROOT / "tests/data/eprop_gradients.npz"

DT, N_STEPS, N_IN, N = 0.001, 300, 10, 16
TAU_RC, TAU_SYNAPSE, TAU_TRACE, GAMMA = 0.02, 0.005, 0.03, 0.3
N_SEEDS = 5

REST = {"initial_state": {"voltage": nengo.dists.Choice([0])}}
# neuron type, and the range of the bias currents
MODELS = {
    "LIF": (nengo.LIF(**REST), (0.5, 1.5)),
    "LIF, min_voltage -1": (nengo.LIF(min_voltage=-1, **REST), (0.0, 1.2)),
    "LIF, below threshold": (nengo.LIF(**REST), (0.5, 0.7)),
    "AdaptiveLIF": (nengo.AdaptiveLIF(tau_n=0.2, inc_n=0.02, **REST), (1.0, 2.0)),
    "AdaptiveLIF, amplitude 0.5": (
        nengo.AdaptiveLIF(tau_n=0.2, inc_n=0.1, amplitude=0.5, min_voltage=-1, **REST),
        (1.0, 2.0),
    ),
}


def as_neuron():
    """Return the pre_synapse that filters exactly as connection and membrane do.

    A connection shows its target the spikes of earlier steps, and a rule sees the
    spikes of this step, so the filter has one step of delay.
    """
    first, second = np.exp(-DT / TAU_SYNAPSE), np.exp(-DT / TAU_RC)
    gain = (1 - first) * (1 - second)
    den = np.polymul([1, -first], [1, -second])
    return nengo.LinearFilter([gain], den, analog=False)


PRE_SYNAPSES = {
    "combine": nengo.Lowpass(TAU_SYNAPSE).combine(nengo.Lowpass(TAU_RC)),
    "as the neuron": as_neuron(),
}


def draw(name, seed):
    """Return spikes, weights, biases and third factors of a network."""
    rng = np.random.RandomState(seed)
    scale = 0.03 if "below" in name else 1.0
    recurrent = scale * rng.randn(N, N) / np.sqrt(N) / 40
    np.fill_diagonal(recurrent, 0)
    return {
        "spikes": rng.rand(N_STEPS, N_IN) < 50 * DT,
        "input": scale * rng.randn(N, N_IN) / np.sqrt(N_IN) / 20,
        "recurrent": recurrent,
        "bias": rng.uniform(*MODELS[name][1], N),
        # whole numbers take less space in the record
        "third": rng.randint(-9, 10, (N_STEPS, N)).astype(np.int8),
    }


def build(data, neuron_type, rule, dt=DT):
    """Make the network; return it, its ensemble and the two connections that learn.

    Parameters
    ----------
    data : dict
        Result of `draw`.
    neuron_type : nengo.neurons.NeuronType
        Type of the recurrent neurons.
    rule : EPES
        With a third factor for each neuron.
    dt : float, optional
        Simulator step, for the height of the input spikes.
    """
    n, n_in = data["input"].shape
    with nengo.Network(seed=0) as net:
        spikes = nengo.Node(
            lambda t: data["spikes"][round(t / dt) - 1] / dt, label="spikes"
        )
        third = nengo.Node(
            lambda t: data["third"][round(t / dt) - 1].astype(float), label="third"
        )
        relay = nengo.Ensemble(
            n_in,
            1,
            gain=np.ones(n_in),
            bias=np.zeros(n_in),
            neuron_type=nengo.RectifiedLinear(),
        )
        ens = nengo.Ensemble(
            n, 1, gain=np.ones(n), bias=data["bias"], neuron_type=neuron_type
        )
        nengo.Connection(spikes, relay.neurons, synapse=None)
        conns = [
            nengo.Connection(
                pre.neurons,
                ens.neurons,
                transform=data[name],
                synapse=TAU_SYNAPSE,
                learning_rule_type=rule,
            )
            for pre, name in ((relay, "input"), (ens, "recurrent"))
        ]
        for conn in conns:
            nengo.Connection(third, conn.learning_rule, synapse=None)
    return net, ens, conns


def make_rule(n, pre_synapse, learning_rate=0.0):
    """Return the rule that is e-prop in its vector form."""
    return EPES(
        learning_rate,
        pre_synapse=pre_synapse,
        trace_synapse=TAU_TRACE,
        size_td_error=n,
        size_eligibility=0,
        feedback="rows",
        post_derivative="auto",
    )


def simulate(data, neuron_type, pre_synapse):
    """Run a network with fixed weights.

    Returns
    -------
    state : dict of str to array
        What was probed of the neurons, each (n_steps, n).
    gradient : (n, n_in + n) array
        Third factor times eligibility trace of `EPES`, summed over the steps.
    """
    n = len(data["bias"])
    net, ens, conns = build(data, neuron_type, make_rule(n, pre_synapse))
    with net:
        names = ("input", "output", *neuron_type.state)
        state = {name: nengo.Probe(ens.neurons, name) for name in names}
        traces = [nengo.Probe(c.learning_rule, "eligibility_trace") for c in conns]
    with nengo.Simulator(net, dt=DT, progress_bar=False) as sim:
        sim.run_steps(len(data["spikes"]))
    third = data["third"].astype(float)
    gradient = [np.einsum("ti,tij->ij", third, sim.data[probe]) for probe in traces]
    return {name: sim.data[state[name]] for name in names}, np.hstack(gradient)


def exact_form(data, neuron_type, state):
    r"""Return the gradient by the exact form of e-prop, forward in time.

    The loss is the sum over the steps of third factor times the spikes (0 or 1) of each
    neuron, filtered by a Lowpass of `TAU_TRACE`.

    Parameters
    ----------
    data : dict
        Result of `draw`.
    neuron_type : nengo.LIF or nengo.AdaptiveLIF
        Type of the neurons.
    state : dict of str to array
        From `simulate`.

    Returns
    -------
    (n, n_in + n) array
        Input weights first.
    """
    n, n_in = data["input"].shape
    adapts = isinstance(neuron_type, nengo.AdaptiveLIF)
    tau_n = neuron_type.tau_n if adapts else 1.0
    by_spike = neuron_type.inc_n * neuron_type.amplitude / tau_n if adapts else 0.0
    keep_synapse, keep_trace = np.exp(-DT / TAU_SYNAPSE), np.exp(-DT / TAU_TRACE)
    out = np.hstack([data["spikes"] / DT, state["output"]])
    # the weights multiply spikes of earlier steps
    x = np.zeros(n_in + n)
    of_voltage, of_adaptation, trace, gradient = np.zeros((4, n, n_in + n))
    voltage, left, adaptation = np.zeros((3, n))
    for t in range(len(out)):
        if t > 0:
            x = keep_synapse * x + (1 - keep_synapse) * out[t - 1]
            voltage, left = state["voltage"][t - 1], state["refractory_time"][t - 1]
            if adapts:
                adaptation = state["adaptation"][t - 1]
        free = np.clip(2 * DT - left, 0, DT)
        keep = np.exp(-free / neuron_type.tau_rc)
        reached = keep * voltage + (1 - keep) * (state["input"][t] - adaptation)
        spiked = state["output"][t] > 0
        assert np.array_equal(spiked, reached > 1)
        psi = GAMMA * np.maximum(0, 1 - np.abs(reached - 1))
        before_reset = keep[:, None] * of_voltage + (1 - keep)[:, None] * (
            x - of_adaptation
        )
        e = psi[:, None] * before_reset
        of_adaptation = (1 - DT / tau_n) * of_adaptation + by_spike * e
        stays = ~spiked & (reached >= neuron_type.min_voltage)
        of_voltage = stays[:, None] * before_reset
        trace = keep_trace * trace + (1 - keep_trace) * e
        gradient += data["third"][t][:, None] * trace
    return gradient


def autodiff(data, neuron_type):
    """Return the same gradient by automatic differentiation, and the spikes."""
    import torch

    class Spike(torch.autograd.Function):
        """1 above the threshold; the gradient is a triangle around it."""

        @staticmethod
        def forward(ctx, voltage):
            ctx.save_for_backward(voltage)
            return (voltage > 1).to(voltage.dtype)

        @staticmethod
        def backward(ctx, gradient):
            (voltage,) = ctx.saved_tensors
            triangle = torch.clamp(1 - torch.abs(voltage - 1), min=0)
            return gradient * GAMMA * triangle

    n = len(data["bias"])
    adapts = isinstance(neuron_type, nengo.AdaptiveLIF)
    tau_n = neuron_type.tau_n if adapts else 1.0
    inc_n = neuron_type.inc_n if adapts else 0.0
    amplitude, tau_rc = neuron_type.amplitude, neuron_type.tau_rc
    w_in, w_rec = (
        torch.tensor(data[name], requires_grad=True) for name in ("input", "recurrent")
    )
    bias, third = torch.tensor(data["bias"]), torch.tensor(data["third"]).double()
    arriving = torch.tensor(data["spikes"]).double() / DT
    keep_synapse, keep_trace = np.exp(-DT / TAU_SYNAPSE), np.exp(-DT / TAU_TRACE)
    x_in = torch.zeros(arriving.shape[1], dtype=torch.float64)
    x_rec = v = left = adaptation = filtered = torch.zeros(n, dtype=torch.float64)
    loss, spikes = 0.0, []
    for t in range(len(arriving)):
        current = w_in @ x_in + w_rec @ x_rec + bias - adaptation
        left = left - DT
        free = torch.clamp(DT - left, 0, DT)
        v = v - (current - v) * torch.expm1(-free / tau_rc)
        z = Spike.apply(v)
        spiked = z.detach() > 0
        spikes.append(spiked.numpy())
        # when in the step a neuron spikes is a constant to the derivative
        above, rheobase = v.detach() - 1, current.detach() - 1
        since = torch.where(spiked, -above / rheobase, torch.zeros_like(v))
        at = DT + tau_rc * torch.log1p(since)
        left = torch.where(spiked, neuron_type.tau_ref + at, left)
        v = torch.clamp(v, min=neuron_type.min_voltage) * (~spiked)
        output = z * amplitude / DT
        adaptation = adaptation + DT / tau_n * (inc_n * output - adaptation)
        filtered = keep_trace * filtered + (1 - keep_trace) * z
        loss = loss + third[t] @ filtered
        x_in = keep_synapse * x_in + (1 - keep_synapse) * arriving[t]
        x_rec = keep_synapse * x_rec + (1 - keep_synapse) * output.detach()
    loss.backward()
    return np.hstack([w_in.grad.numpy(), w_rec.grad.numpy()]), np.array(spikes)


def angle(a, b):
    """Return the angle between two gradients in degrees."""
    a, b = (g.ravel() / np.linalg.norm(g) for g in (a, b))
    # accurate for small angles too, where the arc cosine is not
    return float(
        np.degrees(2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b)))
    )


def difference(a, b):
    """Return the largest difference relative to the largest entry of `b`."""
    return float(np.abs(a - b).max() / np.abs(b).max())


def main():
    """Write the table and the record for the tests."""
    table = {"command": "python benchmarks/eprop_gradients.py", "models": {}}
    record = {}
    for name, (neuron_type, _) in MODELS.items():
        rows = []
        for seed in range(N_SEEDS):
            data = draw(name, seed)
            reference, spikes = autodiff(data, neuron_type)
            found = {
                kind: simulate(data, neuron_type, synapse)
                for kind, synapse in PRE_SYNAPSES.items()
            }
            state, _ = found["combine"]
            assert np.array_equal(state["output"] > 0, spikes)
            exact = exact_form(data, neuron_type, state)
            angles = {kind: angle(found[kind][1], exact) for kind in found}
            rows.append((int(spikes.sum()), difference(exact, reference), angles))
            if seed == 0:
                record |= {f"{name}/{key}": value for key, value in data.items()}
                record[f"{name}/gradient"] = reference
        n_spikes, differences, angles = zip(*rows, strict=True)
        table["models"][name] = {
            "spikes": n_spikes,
            "largest relative difference of exact form and autodiff": max(differences),
            "degrees between vector and exact form": {
                kind: [round(of_seed[kind], 3) for of_seed in angles]
                for kind in PRE_SYNAPSES
            },
        }
        print(name, json.dumps(table["models"][name], indent=1))
    worst = max(
        model["largest relative difference of exact form and autodiff"]
        for model in table["models"].values()
    )
    print(f"largest relative difference of exact form and autodiff: {worst:.1e}")
    text = json.dumps(table, indent=1) + "\n"
    write_atomically(TABLE, lambda path: path.write_text(text))
    write_atomically(RECORD, lambda path: save(path, record))


def save(path, arrays):
    """Write arrays to a compressed file of exactly this name."""
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)


if __name__ == "__main__":
    main()
