"""Record reward-modulated STDP of Brian2: python benchmarks/stdp_brian2.py.

The synapses have the equations of Brian2's example of Izhikevich (2007): event-driven
spike traces, a clock-driven eligibility c and a clock-driven weight, the latter two by
the Euler method. The tests compare `nengo_epes.RewardSTDP` with the record. Install
brian2 and numpy < 2.4 in a Python environment of its own.

Four conventions differ. With Brian2's step k, which starts at the time k dt:

* Pairs within one step. In Brian2's examples on_pre uses y and increases x, and on_post
  uses x and increases y. The pathway that runs first counts as earlier. In the case
  "joint" this is on_pre, so a pair within one step is a potentiation with x = 1. In the
  case "separate", other pathways increase the traces after all pairs have been added.
  Then two spikes in one step are no pair, as in `RewardSTDP`.
* Order in a step. Brian2 first integrates from k dt to (k + 1) dt and then handles the
  spikes. So the pairs of step k first change the weights in step k + 1, with the reward
  of step k + 1. In `RewardSTDP` they do so in the step of the second spike. Here the
  rewards are one step later than there, and the run is one step longer.
* Height of the trace. A pair changes c by A_+ x, and c decays by 1 - dt / tau_c in each
  step, so the sum of dt c over all steps is tau_c A_+ x. The trace of `RewardSTDP` has
  an area of 1: it is c / tau_c, and its learning rate is Brian2's rate times tau_c.
* Decay of the trace. A Lowpass in Nengo decays by exp(-dt / tau). It decays as c does
  for tau = -dt / log(1 - dt / tau_c), which is tau_c - dt / 2 to first order.
"""

import json
from importlib.metadata import version
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import ms, second

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests/data/stdp_brian2.npz"

N, N_STEPS, HERTZ = 50, 2000, 20.0
SETTINGS = {
    "tau_plus": 0.017,
    "tau_minus": 0.034,
    "tau_c": 0.2,
    "A_plus": 1.0,
    "A_minus": 1.2,
    "rate": 2.0,
    "w_0": 0.3,
    "w_max": 1.0,
}

TRACES = """
dx/dt = -x / (tau_plus * second) : 1 (event-driven)
dy/dt = -y / (tau_minus * second) : 1 (event-driven)
"""
MODULATED = """
dc/dt = -c / (tau_c * second) : 1 (clock-driven)
dw/dt = rate * reward(t) * c / second : 1 (clock-driven)
"""
# pathways by name, those of on_pre and those of on_post
SEPARATE = (
    {"pre_pairs": "{target} -= {scale} * A_minus * y", "pre_spikes": "x += 1"},
    {"post_pairs": "{target} += {scale} * A_plus * x", "post_spikes": "y += 1"},
)
# as in Brian2's examples
JOINT = (
    {"pre": "{target} -= {scale} * A_minus * y; x += 1"},
    {"post": "{target} += {scale} * A_plus * x; y += 1"},
)
# in which order Brian2 runs the pathways of a step
ORDER = {"pre_pairs": 0, "post_pairs": 0, "pre_spikes": 1, "post_spikes": 1}
ORDER |= {"pre": 0, "post": 1}
# model, pathways, and whether the weights have bounds
CASES = {
    "separate": (MODULATED, SEPARATE, True),
    "joint": (MODULATED, JOINT, False),
    "plain": ("w : 1", SEPARATE, False),
}


def draw(seed=0):
    """Return spikes, (steps, neurons) for each side, and one reward for each step."""
    rng = np.random.RandomState(seed)
    pre, post = (rng.rand(N_STEPS, N) < HERTZ / 1000 for _ in range(2))
    # whole numbers take less space in the record
    return pre, post, rng.randint(-9, 10, N_STEPS).astype(np.int8)


def run(case, pre, post, rewards):
    """Run Brian2; return the eligibility and the weights, (post, pre), at the end."""
    model, pathways, bounded = CASES[case]
    modulated = model is MODULATED
    b2.start_scope()
    b2.defaultclock.dt = 1 * ms
    target, scale = ("c", "1") if modulated else ("w", "rate")
    on_pre, on_post = (
        {name: code.format(target=target, scale=scale) for name, code in side.items()}
        for side in pathways
    )
    # the reward of a step is in the next step of Brian2
    reward = b2.TimedArray(np.concatenate([[0.0], rewards]), dt=1 * ms)
    groups = [
        b2.SpikeGeneratorGroup(N, spikes.nonzero()[1], spikes.nonzero()[0] * ms)
        for spikes in (pre, post)
    ]
    synapses = b2.Synapses(
        *groups,
        TRACES + model,
        on_pre=on_pre,
        on_post=on_post,
        method="euler",
        namespace={**SETTINGS, "reward": reward, "second": second},
    )
    synapses.connect()
    synapses.w = SETTINGS["w_0"]
    for name in (*on_pre, *on_post):
        getattr(synapses, name).order = ORDER[name]
    network = b2.Network(*groups, synapses)
    if bounded:
        network.add(
            synapses.run_regularly("w = clip(w, 0, w_max)", when="after_groups")
        )
    network.run((N_STEPS + 1) * ms)
    place = np.asarray(synapses.j), np.asarray(synapses.i)
    found = {}
    for name in ("c", "w") if modulated else ("w",):
        found[name] = np.zeros((N, N))
        found[name][place] = getattr(synapses, name)
    return found


def main():
    """Run all cases and write the record."""
    b2.prefs.codegen.target = "numpy"
    pre, post, rewards = draw()
    record = {
        "pre": np.packbits(pre, axis=0),
        "post": np.packbits(post, axis=0),
        "rewards": rewards,
    }
    for case in CASES:
        for name, array in run(case, pre, post, rewards).items():
            record[f"{case} {name}"] = array
            print(f"{case} {name}: {array.min():.3g} to {array.max():.3g}")
    versions = {name: version(name) for name in ("brian2", "numpy")}
    record["settings"] = np.array(json.dumps({**SETTINGS, "versions": versions}))
    np.savez_compressed(RECORD, **record)


if __name__ == "__main__":
    main()
