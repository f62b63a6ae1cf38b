"""A two-armed bandit learned by RewardSTDP: python benchmarks/stdp_bandit.py.

50 inputs spike randomly for 0.2 s. They excite two groups of ten LIF neurons, which
noise excites as well. The group with more spikes is the choice. A reward of 1 follows
0.15 s later, with a probability of 0.8 for one arm and 0.2 for the other. Halfway the
probabilities are exchanged. The rule learns from the reward minus the mean of earlier
rewards (`nengo_epes.networks.Baseline`), or from the reward itself.

A run has learned if at least 80 % of the last 50 choices before the exchange, and of
the last 50 of all, were the better arm. The settings were chosen on other seeds than 0
to 9.
"""

import argparse
import json
from pathlib import Path

import nengo
import numpy as np
from many import run_many

from nengo_epes import RewardSTDP
from nengo_epes.files import write_atomically
from nengo_epes.networks import Baseline
from nengo_epes.simulators import NAMES, choose_simulator

RESULTS = Path(__file__).parent / "results"
DT = 0.001
N_INPUTS, N_GROUP = 50, 10
HIGHEST = 6e-4  # weight
ACTIVE, REWARDED, TRIAL = 200, 350, 400  # steps
LAST = 50  # trials


class Bandit:
    """Counts spikes, chooses, and rewards 0.15 s later.

    Input: the number of spikes of both groups in a step. Output: the reward, and 1 in
    the step of the reward.
    """

    def __init__(self, rng, trials):
        self.rng, self.trials = rng, trials
        self.counts, self.better = np.zeros(2), []

    def __call__(self, t, spikes):
        """Do one simulator step."""
        step = round(t / DT) - 1
        trial, now = divmod(step, TRIAL)
        if now == 0:
            self.counts[:] = 0
        if now <= ACTIVE:
            self.counts += spikes * DT
        if now != REWARDED:
            return 0.0, 0.0
        # a tie is decided by chance
        chosen = int((self.counts + 0.1 * self.rng.rand(2)).argmax())
        better = chosen == int(trial >= self.trials // 2)
        self.better.append(int(better))
        return float(self.rng.rand() < (0.8 if better else 0.2)), 1.0


def run(seed, trials=400, baseline=True, simulator="nengo", **settings):
    """Simulate; return which choices were the better arm."""
    rule = RewardSTDP(
        **{
            "learning_rate": 1e-5,
            "depression": 0.0,
            "trace_synapse": 0.3,
            "weight_bounds": (0.0, HIGHEST),
            **settings,
        }
    )
    rng = np.random.RandomState(seed)
    bandit = Bandit(rng, trials)
    hertz = 40.0

    def inputs(t):
        now = (round(t / DT) - 1) % TRIAL
        active = now < ACTIVE
        return active * (rng.rand(N_INPUTS) < hertz * DT) / DT

    with nengo.Network(seed=seed) as net:
        pre = nengo.Ensemble(
            N_INPUTS,
            1,
            neuron_type=nengo.SpikingRectifiedLinear(),
            gain=np.ones(N_INPUTS),
            bias=np.zeros(N_INPUTS),
        )
        nengo.Connection(nengo.Node(inputs), pre.neurons, synapse=None)
        n = 2 * N_GROUP
        post = nengo.Ensemble(n, 1, gain=np.ones(n), bias=np.full(n, 0.6))
        noise = nengo.Node(
            nengo.processes.FilteredNoise(
                nengo.Lowpass(0.1), nengo.dists.Gaussian(0, 0.5), seed=seed
            ),
            size_out=2,
        )
        to_groups = np.repeat(np.eye(2), N_GROUP, axis=0)
        nengo.Connection(noise, post.neurons, transform=0.2 * to_groups, synapse=None)
        conn = nengo.Connection(
            pre.neurons,
            post.neurons,
            transform=np.full((n, N_INPUTS), HIGHEST / 2),
            synapse=0.005,
            learning_rule_type=rule,
        )
        choose = nengo.Node(bandit, size_in=2)
        nengo.Connection(post.neurons, choose, transform=to_groups.T, synapse=None)
        error = Baseline()
        nengo.Connection(choose[0], error.reward, synapse=None)
        nengo.Connection(choose[1], error.event, synapse=None)
        # a pulse of one step
        pulse = nengo.Node(lambda t, x: x[0] * x[1] / DT, size_in=2)
        source = error.output if baseline else choose[0]
        nengo.Connection(source, pulse[0], synapse=None)
        nengo.Connection(choose[1], pulse[1], synapse=None)
        nengo.Connection(pulse, conn.learning_rule, synapse=None)
    with choose_simulator(simulator)(net, progress_bar=False) as sim:
        sim.run_steps(trials * TRIAL)
    better = bandit.better
    half = trials // 2
    shares = [
        float(np.mean(better[end - LAST : end])) for end in (half, half + LAST, trials)
    ]
    return {
        "before the exchange": shares[0],
        "just after it": shares[1],
        "at the end": shares[2],
        "better": "".join(map(str, better)),
    }


def main():
    """Run what is not done yet, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulator", choices=NAMES, default="nengo")
    simulator = parser.parse_args().simulator
    cases = {
        "reward prediction error": {"simulator": simulator},
        "reward": {"baseline": False, "simulator": simulator},
    }
    found = run_many(run, cases, range(10), Path("study-stdp-bandit"))
    table = {}
    for case, runs in found.items():
        learned = sum(
            one["before the exchange"] >= 0.8 and one["at the end"] >= 0.8
            for one in runs
        )
        table[case] = {"learned": learned, "seeds": len(runs), "runs": runs}
        print(
            case, learned, [(x["before the exchange"], x["at the end"]) for x in runs]
        )
    command = f"python benchmarks/stdp_bandit.py --simulator {simulator}"
    text = json.dumps({"command": command, "cases": table})
    path = RESULTS / "stdp_bandit.json"
    write_atomically(path, lambda out: out.write_text(text + "\n"))


if __name__ == "__main__":
    main()
