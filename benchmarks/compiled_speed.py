"""Speed of the compiled simulator: python benchmarks/compiled_speed.py.

Microseconds of a whole simulator step in `nengo.Simulator` and in
`nengo_epes.compiled.Simulator`, with the functions of Nodes called in every step. Both
simulators of a model alternate in one process, with one thread; medians are over
blocks. The last two models are compared with `nengo.PES` in `nengo.Simulator`. An agent
is timed for an environment step, including the environment. Run it on a machine without
other load.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nengo
import numpy as np

from nengo_epes import EPES, compiled
from nengo_epes.files import write_atomically
from nengo_epes.rl import Agent

RESULTS = Path(__file__).parent / "results"
BLOCKS = 9
SECONDS = 0.3  # of a block


def decoders(n, dimensions, rule, functions=True):
    """Learn decoders, with two function Nodes or with constant input."""
    with nengo.Network(seed=1) as net:
        if functions:
            stimulus = nengo.Node(lambda t: np.sin(7 * t))
            error = nengo.Node(lambda t: [np.sin(11 * t)] * dimensions)
        else:
            stimulus, error = nengo.Node(0.5), nengo.Node([0.1] * dimensions)
        pre, post = nengo.Ensemble(n, 1), nengo.Node(size_in=dimensions)
        nengo.Connection(stimulus, pre)
        conn = nengo.Connection(
            pre, post, function=lambda x: [0] * dimensions, learning_rule_type=rule
        )
        nengo.Connection(error, conn.learning_rule, synapse=None)
    return net


def epes(dimensions):
    """Return EPES that learns from the same error as PES."""
    return EPES(1e-5, size_td_error=dimensions, size_eligibility=0)


def oscillator():
    """Two ensembles of 100 neurons that drive each other."""
    with nengo.Network(seed=1) as net:
        a, b = nengo.Ensemble(100, 1), nengo.Ensemble(100, 1)
        nengo.Connection(a, b, synapse=0.1)
        nengo.Connection(b, a, transform=-1, synapse=0.1)
    return net


def products():
    """Ten ensembles of 100 neurons that multiply two numbers."""
    with nengo.Network(seed=1) as net:
        stimulus = nengo.Node(lambda t: [np.sin(t), np.cos(t)])
        for _ in range(10):
            ens, out = nengo.Ensemble(100, 2), nengo.Node(size_in=1)
            nengo.Connection(stimulus, ens)
            nengo.Connection(ens, out, function=lambda x: x[0] * x[1])
    return net


def neurons(n, rule):
    """Learn the weights between neurons."""
    with nengo.Network(seed=1) as net:
        stimulus = nengo.Node(lambda t: np.sin(7 * t))
        pre, post = nengo.Ensemble(n, 1), nengo.Ensemble(n, 1)
        nengo.Connection(stimulus, pre)
        conn = nengo.Connection(
            pre.neurons,
            post.neurons,
            transform=np.zeros((n, n)),
            learning_rule_type=rule,
        )
        nengo.Connection(stimulus, conn.learning_rule[:1], synapse=None)
        for i in range(1, conn.learning_rule.size_in):
            nengo.Connection(stimulus, conn.learning_rule[i], synapse=None)
    return net


def full_trace():
    """Return EPES with a full trace and a pseudo-derivative."""
    return EPES(1e-12, size_eligibility=1, post_derivative="auto", feedback="encoders")


def models():
    """Return networks by name; a pair is the reference's and the compiled one."""
    found = {}
    for n, dimensions in ((100, 1), (1000, 2)):
        for name, rule in (("PES", nengo.PES(1e-5)), ("EPES", epes(dimensions))):
            found[f"{name} {n} x {dimensions}, two function Nodes"] = decoders(
                n, dimensions, rule
            )
            if n == 100:
                key = f"{name} {n} x {dimensions}, no function"
                found[key] = decoders(n, dimensions, rule, functions=False)
    found["oscillator, 2 ensembles of 100"] = oscillator()
    found["ten ensembles of 100, products"] = products()
    for n in (300, 1000):
        pair = neurons(n, nengo.PES(1e-12)), neurons(n, full_trace())
        found[f"full trace with pseudo-derivative {n} x {n}, to PES"] = pair
    return found


def timed(run, n_steps):
    """Return microseconds a step."""
    start = time.perf_counter()
    run(n_steps)
    return (time.perf_counter() - start) / n_steps * 1e6


def compare(runs, blocks, n_first):
    """Alternate two functions of a number of steps; return their row of the table."""
    names = "nengo", "compiled"
    for run in runs:
        run(n_first)
    steps = [max(20, int(SECONDS * 1e6 / timed(run, n_first))) for run in runs]
    pairs = list(zip(runs, steps, strict=True))
    times = np.array([[timed(*pair) for pair in pairs] for _ in range(blocks)])
    row = dict(zip(names, np.median(times, axis=0).round(1).tolist(), strict=True))
    ratios = times[:, 0] / times[:, 1]
    row["times as fast"] = round(float(np.median(ratios)), 2)
    row["quartiles"] = np.percentile(ratios, [25, 75]).round(2).tolist()
    return row


START = """
import time
import nengo
from nengo_epes import compiled

def make():
    with nengo.Network() as net:
        nengo.Ensemble(100, 1)
    return nengo.Simulator(net, progress_bar=False).model

def first_step(model):
    begin = time.perf_counter(), time.process_time()
    with compiled.Simulator(None, model=model, progress_bar=False) as sim:
        sim.step()
    return time.perf_counter() - begin[0], time.process_time() - begin[1]

first, cpu = first_step(make())
second, _ = first_step(make())
print(first, cpu, second)
"""


def starts():
    """Return seconds from the making of a simulator to the end of its first step."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("compiles", "cached", "cached again"):
            result = subprocess.run(
                [sys.executable, "-c", START],
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
                capture_output=True,
                check=True,
                text=True,
            )
            keys = "first model", "its CPU time", "second model"
            values = (round(float(x), 4) for x in result.stdout.split())
            rows[name] = dict(zip(keys, values, strict=True))
            print(name, rows[name], flush=True)
    return rows


def main():
    """Time all models, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    blocks = parser.parse_args().blocks
    table = {}
    for name, nets in models().items():
        nets = nets if isinstance(nets, tuple) else (nets, nets)
        kinds = nengo.Simulator, compiled.Simulator
        sims = [
            kind(net, progress_bar=False) for kind, net in zip(kinds, nets, strict=True)
        ]
        runs = [sim.run_steps for sim in sims]
        table[name] = compare(runs, blocks, 200)
        print(name, table[name], flush=True)
        for sim in sims:
            sim.close()
    for kind in ("rate", "lif"):
        agents = [
            Agent("CartPole-v1", 0, kind, simulator=name)
            for name in ("nengo", "compiled")
        ]
        runs = [
            lambda n, agent=agent: agent.learn(n, progress_bar=False)
            for agent in agents
        ]
        name = f"Agent on CartPole-v1, {kind} neurons, an environment step"
        table[name] = compare(runs, blocks, 100)
        print(name, table[name], flush=True)
    text = json.dumps(
        {
            "command": "OMP_NUM_THREADS=1 python benchmarks/compiled_speed.py",
            "threads": os.environ.get("OMP_NUM_THREADS", "default"),
            "versions": {"nengo": nengo.__version__, "numpy": np.__version__},
            "blocks": blocks,
            "microseconds a step": table,
            "seconds to the end of the first step": starts(),
        },
        indent=1,
    )
    path = RESULTS / "compiled_speed.json"
    write_atomically(path, lambda out: out.write_text(text + "\n"))


if __name__ == "__main__":
    main()
