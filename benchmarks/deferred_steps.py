"""After how many steps to write: python benchmarks/deferred_steps.py.

Microseconds a simulator step with LIF neurons and a full trace, for several values of
``EPES(deferred_steps=...)``, which are compared in turns in one process with one BLAS
thread; 1 writes in every step. The default of the package, and the size from which it
defers, were read off here.
"""

import json
import os

# before numpy is imported
os.environ["OMP_NUM_THREADS"] = "1"

import nengo
import numpy as np
from speed import RESULTS, microseconds, simulator

from nengo_epes import EPES
from nengo_epes.files import write_atomically

SIZES = [50, 100, 200, 300, 1000, 2000]
STEPS = [1, 32, 64, 96, 128, 192]
ROUNDS = 9
SECONDS = 0.04  # of a turn


def measure(size, rng):
    """Return the median time of a step, by the number of deferred steps."""
    sims, n_steps, times = {}, {}, {k: [] for k in STEPS}
    for k in STEPS:
        rule = EPES(1e-9, size_eligibility=2, post_derivative="auto", deferred_steps=k)
        sims[k] = simulator("neurons", (size, size), nengo.LIF, rule)
        sims[k].run_steps(50, progress_bar=False)
        once = microseconds(sims[k], 50)
        n_steps[k] = max(2 * max(STEPS) if k > 1 else 5, int(SECONDS * 1e6 / once))
    for _ in range(ROUNDS):
        for k in rng.permutation(STEPS):
            times[k].append(microseconds(sims[k], n_steps[k]))
    for sim in sims.values():
        sim.close()
    return {k: round(float(np.median(values)), 1) for k, values in times.items()}


def main():
    """Measure all sizes, print them as they come, and write the table."""
    rng = np.random.RandomState(3)
    table = {}
    for size in SIZES:
        table[f"{size} x {size}"] = measure(size, rng)
        print(size, table[f"{size} x {size}"], flush=True)
    result = {
        "command": "python benchmarks/deferred_steps.py",
        "versions": {"nengo": nengo.__version__, "numpy": np.__version__},
        "median microseconds a step, by deferred steps": table,
    }
    text = json.dumps(result, indent=1) + "\n"
    path = RESULTS / "deferred_steps.json"
    write_atomically(path, lambda path: path.write_text(text))


if __name__ == "__main__":
    main()
