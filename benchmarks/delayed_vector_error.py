"""Learning from a two-dimensional error delayed by 0.3 s.

An ensemble represents sinusoids of 4 to 6 rad/s; a connection from it learns to rotate
them. The error of its output, target minus actual, reaches the learning rule with a
delay of 0.3 s. Run ``python benchmarks/delayed_vector_error.py`` from the root of the
repository.
"""

import json
from pathlib import Path

import nengo
import numpy as np

from nengo_epes import EPES, z

SEEDS = range(10)
DELAY = 300  # simulator steps
SECONDS = 20.0
TEST_SECONDS = 2.0
LEARNING_RATE = 1e-4
DT = 0.001
RESULT = Path(__file__).parent / "results" / "delayed_vector_error.json"


def rules(delay=DELAY, learning_rate=LEARNING_RATE):
    """Return the learning rule of every line, by name."""
    # a synapse leaves out one step of z**-n, a connection does not
    late = z ** -(delay + 1)
    vector = {"size_td_error": 2, "size_eligibility": 0}
    return {
        "no learning": nengo.PES(0.0),
        "PES": nengo.PES(learning_rate),
        "PES, delayed activities": nengo.PES(learning_rate, pre_synapse=late),
        "EPES, delayed trace": EPES(learning_rate, trace_synapse=late, **vector),
        # the mean delay of an Alpha filter of time constant tau is 2 tau
        "EPES, Alpha trace": EPES(
            learning_rate, trace_synapse=nengo.Alpha(0.5 * delay * DT), **vector
        ),
        "EPES, Lowpass trace": EPES(learning_rate, trace_synapse=delay * DT, **vector),
    }


class Stimulus:
    """Two sinusoids of random frequencies of 4 to 6 rad/s."""

    def __init__(self, seed):
        rng = np.random.RandomState(seed)
        self.frequencies = rng.uniform(4.0, 6.0, 2)
        self.phases = rng.uniform(0.0, 2 * np.pi, 2)

    def __call__(self, t):
        """Return both values at time t."""
        return 0.7 * np.sin(self.frequencies * t + self.phases)


def build(seed, lines):
    """Build one network in which the rules learn next to each other."""
    angle = np.random.RandomState(seed).uniform(0.0, 2 * np.pi)
    rotation = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    with nengo.Network(seed=seed) as network:
        stimulus = nengo.Node(Stimulus(seed))
        target = nengo.Node(size_in=2)
        nengo.Connection(stimulus, target, transform=rotation, synapse=None)
        probes = {"target": nengo.Probe(target)}
        for name, rule in lines.items():
            ensemble = nengo.Ensemble(
                200, dimensions=2, neuron_type=nengo.LIFRate(), seed=seed
            )
            output = nengo.Node(size_in=2)
            nengo.Connection(stimulus, ensemble, synapse=None)
            learned = nengo.Connection(
                ensemble,
                output,
                function=lambda x: [0.0, 0.0],
                synapse=None,
                learning_rule_type=rule,
            )
            # the third factor of EPES is target minus actual, the error of PES is
            # actual minus target
            sign = 1 if isinstance(rule, EPES) else -1
            port = learned.learning_rule
            late = z**-DELAY
            nengo.Connection(target, port, transform=sign, synapse=late)
            nengo.Connection(output, port, transform=-sign, synapse=late)
            probes[name] = nengo.Probe(output)
    return network, probes


def run(seed, lines=None, seconds=SECONDS):
    """Return the root mean square error of the last two seconds by line."""
    network, probes = build(seed, rules() if lines is None else lines)
    with nengo.Simulator(network, dt=DT, progress_bar=False) as sim:
        sim.run(seconds)
        last = {
            name: sim.data[probe][-round(TEST_SECONDS / DT) :]
            for name, probe in probes.items()
        }
    target = last.pop("target")
    return {
        name: float(np.sqrt(np.mean((output - target) ** 2)))
        for name, output in last.items()
    }


def main():
    """Run all seeds, print the table and write it."""
    names = list(rules())
    print("seed  " + "  ".join(names))
    errors = {name: [] for name in names}
    for seed in SEEDS:
        result = run(seed)
        for name in names:
            errors[name].append(round(result[name], 5))
        cells = (f"{result[name]:{len(name)}.4f}" for name in names)
        print(f"{seed:4}  " + "  ".join(cells), flush=True)
    mean = {name: float(np.mean(values)) for name, values in errors.items()}
    cells = (f"{mean[name]:{len(name)}.4f}" for name in names)
    print("mean  " + "  ".join(cells))
    best = np.array(errors["PES, delayed activities"])
    table = {
        "command": "python benchmarks/delayed_vector_error.py",
        "versions": {"nengo": nengo.__version__, "numpy": np.__version__},
        "delay (s)": DELAY * DT,
        "seconds": SECONDS,
        "learning rate": LEARNING_RATE,
        "seeds": list(SEEDS),
        "RMSE of the last 2 s": errors,
        "mean": {name: round(value, 5) for name, value in mean.items()},
        "largest ratio to PES with delayed activities": {
            name: round(float((np.array(values) / best).max()), 4)
            for name, values in errors.items()
        },
    }
    RESULT.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
