"""The distal reward problem: python benchmarks/distal_reward.py.

A small form of the experiment of Izhikevich (2007). 100 inputs of 2 Hz go to 10 spiking
neurons. Whenever input 0 and then neuron 0 spike within 10 ms, a reward follows 1 to 3
seconds later, after many other pairs of spikes. The synapse between the two should
grow, and most others should not. The neurons differ in their bias and noise: equal
neurons would spike together, and so would not differ in their rewards. In the control,
rewards come as often, but at times that do not depend on any spike.

All seeds and the control run side by side in one simulation, in which nothing connects
them. The settings were chosen on other seeds than 0 to 9. ``--seconds 60 --output
FILE`` runs a short form.
"""

import argparse
import heapq
import json
from pathlib import Path

import nengo
import numpy as np

from nengo_epes import RewardSTDP
from nengo_epes.files import write_atomically
from nengo_epes.simulators import NAMES, choose_simulator

RESULTS = Path(__file__).parent / "results"
DT = 0.001
SECONDS, MINUTE = 3600, 60
N_INPUTS, N_NEURONS = 100, 10
HIGHEST = 4e-3  # weight
RANDOM_HERTZ = 0.3  # about as often as delayed rewards
SETTINGS = {
    "learning_rate": 1e-3,
    "depression": 2.0,
    "trace_synapse": 1.0,
    "weight_bounds": (0.0, HIGHEST),
}


class Inputs:
    """Random spikes of 2 Hz of the inputs of one seed."""

    def __init__(self, rng, hertz=2.0):
        self.rng, self.hertz, self.rows = rng, hertz, iter(())

    def next(self):
        """Return the spikes of a step, of height 1 / dt."""
        row = next(self.rows, None)
        if row is None:
            spikes = self.rng.rand(1000, N_INPUTS) < self.hertz * DT
            self.rows = iter(spikes / DT)
            row = next(self.rows)
        return row


class LateReward:
    """Rewards 1 to 3 s after two spikes within 10 ms, or at random times."""

    def __init__(self, rng, random_hertz=None, delays=(1.0, 3.0), tau=0.2):
        self.rng, self.random_hertz, self.delays = rng, random_hertz, delays
        self.decay = np.exp(-DT / tau)
        self.reward, self.last, self.due, self.n_rewards = 0.0, -np.inf, [], 0

    def next(self, t, pre, post):
        """Return the reward of this step."""
        self.reward *= self.decay
        # half a step: the times are multiples of dt, but for rounding
        while self.due and self.due[0] < t + DT / 2:
            heapq.heappop(self.due)
            self.reward += 1.0
        if self.random_hertz is not None:
            earned = self.rng.rand() < self.random_hertz * DT
        else:
            earned = post and t - self.last < 0.010 + DT / 2
        if earned:
            heapq.heappush(self.due, t + self.rng.uniform(*self.delays))
            self.n_rewards += 1
            self.last = -np.inf
        if pre:
            self.last = t
        return self.reward


def run(cases, seconds=SECONDS, simulator="nengo"):
    """Simulate; return the weights of each case as parts of the highest weight.

    A case is a seed, and None or the rate of random rewards in hertz.
    """
    n = len(cases)
    rngs = [np.random.RandomState(seed) for seed, _ in cases]
    bias = np.concatenate([rng.uniform(0.6, 0.8, N_NEURONS) for rng in rngs])
    inputs = [Inputs(rng) for rng in rngs]
    rewards = [
        LateReward(np.random.RandomState(1_000_000 + seed), random_hertz)
        for seed, random_hertz in cases
    ]

    def spikes_of_all(t):
        return np.concatenate([one.next() for one in inputs])

    def rewards_of_all(t, spikes):
        pairs = zip(rewards, spikes[:n].tolist(), spikes[n:].tolist(), strict=True)
        return [one.next(t, pre, post) for one, pre, post in pairs]

    with nengo.Network(seed=0) as net:
        pre = nengo.Ensemble(
            n * N_INPUTS,
            1,
            neuron_type=nengo.SpikingRectifiedLinear(),
            gain=np.ones(n * N_INPUTS),
            bias=np.zeros(n * N_INPUTS),
        )
        post = nengo.Ensemble(
            n * N_NEURONS,
            1,
            gain=np.ones(n * N_NEURONS),
            bias=bias,
            # a standard deviation of 0.1 with a time constant of 10 ms
            noise=nengo.processes.FilteredNoise(
                nengo.Lowpass(0.01), nengo.dists.Gaussian(0, 0.1 * np.sqrt(0.02))
            ),
        )
        nengo.Connection(nengo.Node(spikes_of_all), pre.neurons, synapse=None)
        reward = nengo.Node(rewards_of_all, size_in=2 * n)
        nengo.Connection(pre.neurons[::N_INPUTS], reward[:n], synapse=None)
        nengo.Connection(post.neurons[::N_NEURONS], reward[n:], synapse=None)
        probes = []
        for k in range(n):
            conn = nengo.Connection(
                pre.neurons[k * N_INPUTS : (k + 1) * N_INPUTS],
                post.neurons[k * N_NEURONS : (k + 1) * N_NEURONS],
                transform=np.full((N_NEURONS, N_INPUTS), HIGHEST / 4),
                synapse=0.005,
                learning_rule_type=RewardSTDP(**SETTINGS),
            )
            nengo.Connection(reward[k], conn.learning_rule, synapse=None)
            probes.append(nengo.Probe(conn, "weights", sample_every=MINUTE))
    with choose_simulator(simulator)(net, progress_bar=False) as sim:
        sim.run_steps(round(seconds / DT))
    return [
        result(sim.data[probe] / HIGHEST, one)
        for probe, one in zip(probes, rewards, strict=True)
    ]


def result(weights, late_reward):
    """Summarize a case; the weights are (n_minutes, neurons, inputs)."""
    others = weights.reshape(len(weights), -1)[:, 1:]
    return {
        "rewarded": weights[:, 0, 0].round(4).tolist(),
        "mean of the others": others.mean(axis=1).round(4).tolist(),
        "others above 0.9, at the end": int((others[-1] > 0.9).sum()),
        "rewards": late_reward.n_rewards,
    }


def table(runs):
    """Summarize all seeds."""
    last = [one["rewarded"][-1] for one in runs]
    others = [one["mean of the others"][-1] for one in runs]
    reached = sum(x >= 0.9 and y <= 0.3 for x, y in zip(last, others, strict=True))
    return {
        "rewarded, at the end": last,
        "mean of the others, at the end": others,
        "seeds with 0.9 and the others at most 0.3": reached,
        "runs": runs,
    }


def main():
    """Run both cases, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--seeds", type=int, nargs="*", default=range(10))
    parser.add_argument("--output", type=Path, default=RESULTS / "distal_reward.json")
    parser.add_argument("--simulator", choices=NAMES, default="nengo")
    options = parser.parse_args()
    late = [(seed, None) for seed in options.seeds]
    control = [(seed, RANDOM_HERTZ) for seed in options.seeds[:4]]
    runs = run([*late, *control], options.seconds, options.simulator)
    tables = {
        "delayed rewards": table(runs[: len(late)]),
        "rewards at random times": table(runs[len(late) :]),
    }
    text = json.dumps(
        {
            "command": f"python benchmarks/distal_reward.py --simulator "
            f"{options.simulator}",
            "seconds": options.seconds,
            "cases": tables,
        }
    )
    write_atomically(options.output, lambda out: out.write_text(text + "\n"))


if __name__ == "__main__":
    main()
