"""Cost of e-prop and of RewardSTDP: python benchmarks/neuron_rules_speed.py.

Microseconds per simulator step of a network with one connection between neurons, whose
rule differs. e-prop is compared with the same rule without pseudo-derivative and with
one third factor: a plain full trace. RewardSTDP is compared with `nengo.PES`; its
neurons spike at about 20 Hz. All simulators of a size alternate in one process, in a
new order every round; medians and quartiles are over rounds.
"""

import argparse
import json
import os
import time
from pathlib import Path

import nengo
import numpy as np

from nengo_epes import EPES, RewardSTDP
from nengo_epes.files import write_atomically

RESULTS = Path(__file__).parent / "results"
ROUNDS = 15
SECONDS = 0.1  # of a turn
HERTZ = 20


def eprop(n, **settings):
    """Return e-prop of n neurons as in eprop.py, or a part of it."""
    pre_synapse = nengo.Lowpass(0.005).combine(nengo.Lowpass(0.02))
    full = {
        "pre_synapse": pre_synapse,
        "trace_synapse": 0.03,
        "size_td_error": n,
        "size_eligibility": 0,
        "feedback": "rows",
        "post_derivative": "auto",
    }
    return EPES(1e-12, **{**full, **settings})


def plain_trace(n):
    """Return a rule with an eligibility for each neuron: a full trace."""
    settings = {"size_td_error": 1, "size_eligibility": n, "post_derivative": None}
    return eprop(n, pre_synapse=0.005, **settings)


def comparisons():
    """Return neuron type, size and rules by comparison; the first is the reference."""
    found = {
        f"e-prop, {name}, 200 x 200": (
            kind,
            200,
            {"plain full trace": plain_trace(200), "e-prop": eprop(200)},
        )
        for name, kind in (("LIF", nengo.LIF()), ("AdaptiveLIF", nengo.AdaptiveLIF()))
    }
    for n in (100, 1000):
        rules = {
            "PES": nengo.PES(1e-12),
            "RewardSTDP": RewardSTDP(1e-12),
            "RewardSTDP, bounds": RewardSTDP(1e-12, weight_bounds=(-1, 1)),
        }
        found[f"RewardSTDP, {n} x {n}"] = nengo.LIF(), n, rules
    return found


def simulator(neuron_type, n, rule):
    """Build a network in which neurons at 20 Hz learn one connection."""
    with nengo.Network(seed=1) as net:
        # constant input at the rate of 20 Hz for all neurons
        pre, post = (
            nengo.Ensemble(
                n,
                1,
                neuron_type=neuron_type,
                gain=np.ones(n),
                bias=np.full(n, bias_of(HERTZ)),
            )
            for _ in range(2)
        )
        weights = np.random.RandomState(2).randn(n, n) * 1e-9
        conn = nengo.Connection(
            pre.neurons, post.neurons, transform=weights, learning_rule_type=rule
        )
        port = conn.learning_rule
        value = nengo.Node(lambda t: np.full(port.size_in, np.sin(11 * t)))
        nengo.Connection(value, port, synapse=None)
    return nengo.Simulator(net, progress_bar=False)


def bias_of(hertz, tau_rc=0.02, tau_ref=0.002):
    """Return the current at which a LIF neuron spikes at a rate."""
    return 1 / (1 - np.exp((tau_ref - 1 / hertz) / tau_rc))


def microseconds(sim, n_steps):
    """Time a turn; return microseconds per step."""
    start = time.perf_counter()
    sim.run_steps(n_steps, progress_bar=False)
    return (time.perf_counter() - start) / n_steps * 1e6


def compare(neuron_type, n, rules, rounds):
    """Time all rules alternately; return medians, quartiles and ratios."""
    sims = {name: simulator(neuron_type, n, rule) for name, rule in rules.items()}
    times = {name: [] for name in rules}
    for sim in sims.values():
        sim.run_steps(100, progress_bar=False)
    steps = {
        name: max(10, int(SECONDS * 1e6 / microseconds(sim, 50)))
        for name, sim in sims.items()
    }
    rng = np.random.RandomState(3)
    for _ in range(rounds):
        for name in rng.permutation(list(sims)):
            times[name].append(microseconds(sims[name], steps[name]))
    for sim in sims.values():
        sim.close()
    table, reference = {}, np.median(times[next(iter(rules))])
    for name, values in times.items():
        low, middle, high = np.percentile(values, [25, 50, 75])
        table[name] = {
            "microseconds": round(float(middle), 1),
            "quartiles": [round(float(low), 1), round(float(high), 1)],
            "ratio": round(float(middle / reference), 2),
        }
    return table


def main():
    """Time all comparisons, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    tables = {}
    for name, (neuron_type, n, rules) in comparisons().items():
        tables[name] = compare(neuron_type, n, rules, rounds)
        print(name, {x: y["ratio"] for x, y in tables[name].items()}, flush=True)
    result = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/neuron_rules_speed.py",
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "versions": {"nengo": nengo.__version__, "numpy": np.__version__},
        "rounds": rounds,
        "comparisons": tables,
    }
    path = RESULTS / "neuron_rules_speed.json"
    text = json.dumps(result, indent=1) + "\n"
    write_atomically(path, lambda out: out.write_text(text))


if __name__ == "__main__":
    main()
