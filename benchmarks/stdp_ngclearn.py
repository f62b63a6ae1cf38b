"""RewardSTDP and ngc-learn's MSTDPETSynapse: python benchmarks/stdp_ngclearn.py.

Both run on the same spikes and rewards. Install ngclearn 3.2.1, which is no dependency
of the package. In ngc-learn a step advances the spike traces of two `VarTrace` and then
the synapse:

* A trace contains the spikes of the current step. So a pair of spikes within one step
  is both a potentiation and a depression, and adds A_+ - A_-.
* `evolve` first changes eligibility and weights with the pairs of the previous step,
  and then computes the pairs of this step. So a pair acts one step later.
* A pair adds A_+ x / tau_e to the trace, in 1/ms. A Lowpass in Nengo adds
  (1 - exp(-dt / tau_e)) A_+ x / dt, so that its sum times dt is exactly A_+ x.

The table has the largest difference of the weights at the end, relative to the largest
weight change, after the last two differences have been taken into account: on trains
without pairs within one step, on random trains, and on random trains with the pairs
within one step subtracted.
"""

import json
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import nengo
import numpy as np
from ngclearn import Context, MethodProcess
from ngclearn.components import MSTDPETSynapse, VarTrace

from nengo_epes import RewardSTDP
from nengo_epes.files import write_atomically

RESULT = Path(__file__).parent / "results/stdp_ngclearn.json"

DT, N, N_STEPS, HERTZ = 0.001, 50, 2000, 20.0
TAU_PLUS, TAU_MINUS, TAU_TRACE = 0.017, 0.034, 0.025
A_PLUS, A_MINUS, ETA, W_0 = 1.0, 1.2, 1.0, 10.0


def draw(apart):
    """Return spikes of both sides and rewards; `apart`: no two sides in one step."""
    rng = np.random.RandomState(0)
    pre, post = (rng.rand(N_STEPS, N) < HERTZ * DT for _ in range(2))
    if apart:
        pre[::2], post[1::2] = False, False
    return pre.astype(float), post.astype(float), rng.randn(N_STEPS)


def run_ngclearn(pre, post, rewards):
    """Return the weights of MSTDPETSynapse, (post, pre), at the end."""
    with Context("stdp"):
        x = VarTrace("x", N, tau_tr=1000 * TAU_PLUS, a_delta=1.0)
        y = VarTrace("y", N, tau_tr=1000 * TAU_MINUS, a_delta=1.0)
        synapse = MSTDPETSynapse(
            "synapse",
            (N, N),
            A_PLUS,
            A_MINUS,
            eta=ETA,
            tau_elg=1000 * TAU_TRACE,
            w_bound=2 * W_0,  # weights of ngc-learn are within (0, w_bound)
        )
        x.trace >> synapse.preTrace
        y.trace >> synapse.postTrace
        process = MethodProcess("step") >> x.advance_state >> y.advance_state
        process = process >> synapse.evolve
    synapse.weights.set(jnp.full((N, N), W_0))
    synapse.outmask.set(
        jnp.ones((1, N))
    )  # 0 before the first reset: nothing is learned
    # the reward of a pair is in the step after it
    for now in zip(
        [*pre, pre[0] * 0], [*post, post[0] * 0], [0, *rewards], strict=True
    ):
        s_pre, s_post, reward = (jnp.asarray(part) for part in now)
        for compartment, value in (
            (x.inputs, s_pre),
            (synapse.preSpike, s_pre),
            (y.inputs, s_post),
            (synapse.postSpike, s_post),
            (synapse.modulator, reward),
        ):
            compartment.set(jnp.atleast_2d(value))
        process.run(t=0.0, dt=1.0)
    return np.asarray(synapse.weights.get()).T


def neurons(spikes):
    """Make neurons with these spikes."""
    ens = nengo.Ensemble(
        N,
        1,
        neuron_type=nengo.SpikingRectifiedLinear(),
        gain=np.ones(N),
        bias=np.zeros(N),
    )
    rest = np.zeros((1, N))
    current = nengo.processes.PresentInput(np.vstack([spikes, rest]) / DT, DT)
    nengo.Connection(nengo.Node(current), ens.neurons, synapse=None)
    return ens.neurons


def run_nengo(pre, post, rewards):
    """Return the weights of RewardSTDP, (post, pre), at the end."""
    rule = RewardSTDP(
        ETA * DT / (TAU_TRACE * (1 - np.exp(-DT / TAU_TRACE))),
        pre_synapse=TAU_PLUS,
        post_synapse=TAU_MINUS,
        potentiation=A_PLUS,
        depression=A_MINUS,
        trace_synapse=TAU_TRACE,
    )
    with nengo.Network() as net:
        conn = nengo.Connection(
            neurons(pre),
            neurons(post),
            transform=np.full((N, N), W_0),
            synapse=nengo.Lowpass(1e9),  # the post neurons spike by their input alone
            learning_rule_type=rule,
        )
        reward = nengo.Node(nengo.processes.PresentInput([*rewards, 0.0], DT))
        nengo.Connection(reward, conn.learning_rule, synapse=None)
        spikes = nengo.Probe(conn.pre), nengo.Probe(conn.post)
    with nengo.Simulator(net, progress_bar=False) as sim:
        sim.run_steps(N_STEPS + 1)  # the last change is added in the next step
        for wanted, found in zip((pre, post), spikes, strict=True):
            np.testing.assert_allclose(sim.data[found][:-1] * DT, wanted, atol=1e-9)
        return sim.signals[sim.model.sig[conn]["weights"]].copy()


def pairs_within_steps(pre, post, rewards):
    """Return the weight change by the pairs of spikes within one step."""
    trace, change = np.zeros((N, N)), np.zeros((N, N))
    for s_pre, s_post, reward in zip(pre, post, rewards, strict=True):
        trace *= np.exp(-DT / TAU_TRACE)
        trace += (A_PLUS - A_MINUS) * np.outer(s_post, s_pre) * DT / TAU_TRACE
        change += ETA * reward * trace
    return change


def main():
    """Compare, and write the table."""
    jax.config.update("jax_enable_x64", True)
    table = {}
    for name, apart in (("no pairs within a step", True), ("random trains", False)):
        trains = draw(apart)
        theirs, ours = run_ngclearn(*trains), run_nengo(*trains)
        scale = np.abs(ours - W_0).max()
        table[name] = np.abs(theirs - ours).max() / scale
        if not apart:
            theirs = theirs - pairs_within_steps(*trains)
            name += ", pairs within a step subtracted"
            table[name] = np.abs(theirs - ours).max() / scale
    for name, value in table.items():
        print(f"{value:.1e}  {name}")
    result = {
        "command": "python benchmarks/stdp_ngclearn.py",
        "versions": {
            name: version(name) for name in ("nengo", "ngclearn", "jax", "numpy")
        },
        "largest difference relative to the largest weight change": table,
    }
    text = json.dumps(result, indent=1) + "\n"
    write_atomically(RESULT, lambda path: path.write_text(text))


if __name__ == "__main__":
    main()
