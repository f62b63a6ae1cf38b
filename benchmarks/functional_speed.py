"""Speed of models in JAX: python benchmarks/functional_speed.py.

Microseconds of a simulator step in `nengo.Simulator` and of a step that
`nengo_epes.functional.compile` made of the same model, without Python in the loop, and
environment steps a second of many agents at once. On a CPU in double precision, with
one thread, in turns; on a GPU with larger models, in single precision. Compiling is not
timed. Run it on a machine without other load. Install the extra ``jax``.
"""

import argparse
import itertools
import json
import os
import platform
import time
from pathlib import Path

# before JAX starts its threads
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import compiled_speed
import jax
import many_agents
import nengo
import numpy as np

from nengo_epes import functional
from nengo_epes.files import write_atomically

RESULTS = Path(__file__).parent / "results"
BLOCKS = 9
SECONDS = 0.3  # of a block


def decoders(n, dimensions):
    """Learn decoders by EPES from a constant input, without computing any first."""
    with nengo.Network(seed=1) as net:
        pre, post = (
            nengo.Ensemble(n, 1, n_eval_points=10),
            nengo.Node(size_in=dimensions),
        )
        nengo.Connection(nengo.Node(0.5), pre)
        conn = nengo.Connection(
            pre,
            post,
            solver=nengo.solvers.NoSolver(np.zeros((n, dimensions))),
            function=lambda x: [0] * dimensions,
            learning_rule_type=compiled_speed.epes(dimensions),
        )
        error = nengo.Node([0.1] * dimensions)
        nengo.Connection(error, conn.learning_rule, synapse=None)
    return net


def full_trace(n):
    """Learn the weights between neurons by full traces with a pseudo-derivative."""
    with nengo.Network(seed=1) as net:
        pre, post = (nengo.Ensemble(n, 1, n_eval_points=10) for _ in range(2))
        nengo.Connection(nengo.Node(0.5), pre)
        conn = nengo.Connection(
            pre.neurons,
            post.neurons,
            transform=np.zeros((n, n), nengo.rc.float_dtype),
            learning_rule_type=compiled_speed.full_trace(),
        )
        nengo.Connection(nengo.Node([0.5, 0.3]), conn.learning_rule, synapse=None)
    return net


def ensembles(n_ensembles, n):
    """Ensembles in a row, each of which drives the next one."""
    rng = np.random.RandomState(0)
    with nengo.Network(seed=1) as net:
        row = [nengo.Ensemble(n, 2, n_eval_points=10) for _ in range(n_ensembles)]
        nengo.Connection(nengo.Node([0.5, 0.5]), row[0])
        for pre, post in itertools.pairwise(row):
            solver = nengo.solvers.NoSolver(1e-4 * rng.randn(n, 2))
            nengo.Connection(pre, post, solver=solver)
    return net


def models(on_gpu):
    """Return functions that make networks, by name."""
    traces = (1000, 4000, 8000) if on_gpu else (300, 1000)
    sizes = ((1000, 2), (100_000, 10)) if on_gpu else ((100, 1), (1000, 2))
    rows = ((10, 1000), (100, 1000)) if on_gpu else ((10, 100),)
    found = {f"EPES {n} x {d}": lambda n=n, d=d: decoders(n, d) for n, d in sizes}
    for n in traces:
        name = f"full trace with pseudo-derivative {n} x {n}"
        found[name] = lambda n=n: full_trace(n)
    for k, n in rows:
        found[f"{k} ensembles of {n}"] = lambda k=k, n=n: ensembles(k, n)
    return found


class Loop:
    """Steps of a model in JAX, compiled for one number of steps."""

    def __init__(self, sim, n_steps):
        step, self.state = functional.compile(sim)
        self.n_steps = n_steps

        def loop(state):
            # what is probed is dropped
            return jax.lax.scan(lambda s, _: (step(s)[0], None), state, length=n_steps)

        start = time.perf_counter()
        self._loop = jax.jit(loop, donate_argnums=0).lower(self.state).compile()
        self.compiling = time.perf_counter() - start

    def seconds(self):
        """Return the time of a step."""
        start = time.perf_counter()
        self.state, _ = jax.block_until_ready(self._loop(self.state))
        return (time.perf_counter() - start) / self.n_steps


def compare(make, blocks):
    """Time a model in both; return its row of the table."""
    sim = nengo.Simulator(make(), progress_bar=False)

    def reference(n_steps):
        start = time.perf_counter()
        sim.run_steps(n_steps)
        return (time.perf_counter() - start) / n_steps

    n_reference = max(2, int(SECONDS / max(reference(2), reference(20))))
    first = Loop(sim, 20)
    first.seconds()
    loop = Loop(sim, max(20, int(SECONDS / first.seconds())))
    loop.seconds()
    times = 1e6 * np.array(
        [(reference(n_reference), loop.seconds()) for _ in range(blocks)]
    )
    sim.close()
    ratios = times[:, 0] / times[:, 1]
    return {
        "nengo": round(float(np.median(times[:, 0])), 1),
        "jax": round(float(np.median(times[:, 1])), 1),
        "times as fast": round(float(np.median(ratios)), 1),
        "quartiles": np.percentile(ratios, [25, 75]).round(1).tolist(),
        "seconds to compile": round(loop.compiling, 1),
    }


def agents(n_agents, blocks):
    """Return the environment steps a second of agents on CartPole-v1."""
    # more networks than these only take longer to build
    sims, probe, process = many_agents.build("CartPole-v1", range(min(n_agents, 8)))
    step, states = functional.batch(sims)
    repeats = -(-n_agents // len(sims))
    states = jax.tree.map(
        lambda x: np.concatenate([x] * repeats)[:n_agents],
        states,
    )
    seeds = [key for key in states if isinstance(key, tuple) and key[1] == "seed"]
    states = states.replace(dict.fromkeys(seeds, np.arange(n_agents, dtype=np.int32)))
    loop = many_agents.make_loop(step, probe, process, 1000)
    rates = []
    for block in range(blocks + 1):
        start = time.perf_counter()
        states, _ = jax.block_until_ready(loop(states))
        if block:  # the first compiles
            rates.append(1000 * n_agents / (time.perf_counter() - start))
    low, middle, high = np.percentile(rates, [25, 50, 75]).round(-2).tolist()
    row = {"environment steps a second": middle, "quartiles": [low, high]}
    if n_agents == 1:
        n_steps = 1000
        sims[0].run_steps(20)
        start = time.perf_counter()
        sims[0].run_steps(many_agents.SLOT * n_steps)
        seconds = time.perf_counter() - start
        row["nengo, with Gymnasium"] = round(n_steps / seconds, -1)
    for sim in sims:
        sim.close()
    return row


def main():
    """Time all models, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    blocks = parser.parse_args().blocks
    device, table = jax.devices()[0], {}
    on_gpu = device.platform == "gpu"
    bits = 32 if on_gpu else 64
    nengo.rc["precision"]["bits"] = str(bits)
    jax.config.update("jax_enable_x64", not on_gpu)
    jax.config.update("jax_default_matmul_precision", "highest")
    for name, make in models(on_gpu).items():
        table[name] = compare(make, blocks)
        print(name, table[name], flush=True)
    nengo.rc["precision"]["bits"] = "32"
    with jax.enable_x64(False):
        for n in (1, 64, 1024) if on_gpu else (1, 32):
            name = f"CartPole-v1 in single precision, agents at once: {n}"
            table[name] = agents(n, blocks)
            print(name, table[name], flush=True)
    result = {
        "command": "OMP_NUM_THREADS=1 python benchmarks/functional_speed.py",
        "device": f"{device.platform} {device.device_kind}, {platform.machine()}",
        "versions": {
            "jax": jax.__version__,
            "nengo": nengo.__version__,
            "numpy": np.__version__,
        },
        "bits": bits,
        "blocks": blocks,
        "microseconds a step": table,
    }
    text = json.dumps(result, indent=1) + "\n"
    path = RESULTS / f"functional_speed_{device.platform}.json"
    write_atomically(path, lambda out: out.write_text(text))


if __name__ == "__main__":
    main()
