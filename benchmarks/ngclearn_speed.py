"""GaussianREINFORCE against ngc-learn, both on one thread.

``python benchmarks/ngclearn_speed.py --ngclearn-python PATH``, where PATH is the Python
of an environment with ``ngclearn==3.2.1``. The table has steps per second for n neurons
and A actions, with one decision and one update per step and batch size 1:

* ngc-learn, single precision: ``evolve`` is `REINFORCESynapse.evolve` as ngc-learn
  compiles it (jax.jit), called once per step with all data on the device;
  ``process.run`` is the call that its users make; ``loop`` compiles all steps of a turn
  into one loop, which excludes environments outside of JAX;
* this package, double precision: ``operators`` are the operators that connection,
  policy and rule add to a network, which do the same as evolve (decode, draw, score,
  update); ``step`` is a whole simulator step, with RectifiedLinear neurons and the
  default filters; ``compiled`` is the same step in the compiled simulator, where policy
  and rule are Python; ``loop``, in single precision, is the same step compiled by
  `nengo_epes.functional` into one loop.

The two processes alternate, in a new order every round. Compiling and building are not
timed. Medians and quartiles are over rounds.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import nengo
import numpy as np
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import TimeUpdate

from nengo_epes import GaussianREINFORCE, compiled, functional
from nengo_epes.files import write_atomically
from nengo_epes.networks import GaussianPolicy

RESULT = Path(__file__).parent / "results" / "ngclearn_speed.json"
WORKER = Path(__file__).parent / "ngclearn_worker.py"
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
REQUIRED = {(100, 1): 3.0, (1000, 2): 3.0, (1000, 100): 1.0}
SECONDS = 0.03  # of a turn
DT = 0.001


class NgcLearn:
    """ngc-learn in its own process, which receives the number of steps to run."""

    def __init__(self, python, size):
        self.process = subprocess.Popen(
            [python, WORKER, *(str(n) for n in size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.versions = self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{WORKER.name} ended; run it by hand to see why")
        return line.strip()

    def seconds(self, form, n_steps):
        """Return the time of n steps in seconds."""
        self.process.stdin.write(f"{form} {n_steps}\n")
        self.process.stdin.flush()
        return float(self._answer())

    def close(self):
        """Terminate the process."""
        self.process.stdin.close()
        self.process.wait()


class Ours:
    """A simulation in which the policy decides and the rule learns in every step."""

    def __init__(self, size, synapse, simulator=nengo.Simulator):
        n_pre, n_actions = size
        rule = GaussianREINFORCE(1e-9, n_actions=n_actions, pre_synapse=synapse)
        with nengo.Network(seed=0) as net:
            policy = GaussianPolicy(n_actions, period=DT)
            neurons = nengo.RectifiedLinear()
            state = nengo.Ensemble(n_pre, 1, neuron_type=neurons)
            nengo.Connection(nengo.Node(0.5), state, synapse=None)
            rows = policy.input.size_in
            self.learned = nengo.Connection(
                state,
                policy.input,
                function=lambda x: np.zeros(rows),
                solver=nengo.solvers.NoSolver(np.zeros((n_pre, rows))),
                synapse=synapse,
                learning_rule_type=rule,
            )
            port = self.learned.learning_rule
            sources = {"reward": nengo.Node(0.3), "gate": nengo.Node(1.0)}
            sources["decision"] = policy.decision
            for name, source in sources.items():
                nengo.Connection(source, port[getattr(rule, name)], synapse=None)
        self.sim = simulator(net, dt=DT, progress_bar=False)
        self.sim.run_steps(50, progress_bar=False)
        if simulator is nengo.Simulator:
            self.operators = self._operators()

    def _operators(self):
        """Return the functions of all operators except time and neurons."""
        # and except operators that only the neurons read
        others = {op for op in self.sim.dg if isinstance(op, SimNeurons | TimeUpdate)}
        for op in reversed(self.sim._step_order):
            readers = self.sim.dg[op]
            if readers and readers <= others:
                others.add(op)
        pairs = zip(self.sim._step_order, self.sim._steps, strict=True)
        return [step for op, step in pairs if op not in others]

    def weights(self):
        """Return the learned weights."""
        return self.sim.signals[self.sim.model.sig[self.learned]["weights"]].copy()

    def seconds(self, form, n_steps):
        """Return the time of n steps in seconds."""
        before = self.weights()
        with np.errstate(invalid="raise", divide="ignore"):  # as in a simulation
            start = time.perf_counter()
            if form in ("step", "compiled"):
                self.sim.run_steps(n_steps, progress_bar=False)
            else:
                for _ in range(n_steps):
                    for step in self.operators:
                        step()
            taken = time.perf_counter() - start
        if np.array_equal(before, self.weights()):
            raise RuntimeError("nothing was learned, so that nothing was measured")
        return taken

    def close(self):
        """Close the simulation."""
        self.sim.close()


class OursInJax:
    """The same simulation as one loop in JAX, in single precision."""

    N_STEPS = 1000  # of a loop

    def __init__(self, size):
        nengo.rc["precision"]["bits"] = "32"
        self.ours = Ours(size, 0.005)
        nengo.rc["precision"]["bits"] = "64"
        sim = self.ours.sim
        step, self.state = functional.compile(sim)
        self.weights = sim.model.sig[self.ours.learned]["weights"]

        def loop(state):
            return jax.lax.scan(
                lambda s, _: (step(s)[0], None), state, None, self.N_STEPS
            )[0]

        self.loop = jax.jit(loop)

    def seconds(self, form, n_steps):
        """Return the time of n steps in seconds, from whole loops."""
        before, repeats = self.state[self.weights], -(-n_steps // self.N_STEPS)
        start = time.perf_counter()
        for _ in range(repeats):
            self.state = jax.block_until_ready(self.loop(self.state))
        taken = time.perf_counter() - start
        if np.array_equal(before, self.state[self.weights]):
            raise RuntimeError("nothing was learned, so that nothing was measured")
        return taken * n_steps / (repeats * self.N_STEPS)

    def close(self):
        """Close the simulation."""
        self.ours.close()


def compare(python, size, rounds):
    """Return microseconds per step of every form for one size, and the versions."""
    theirs = NgcLearn(python, size)
    alone, whole = Ours(size, None), Ours(size, 0.005)
    fast, in_jax = Ours(size, 0.005, compiled.Simulator), OursInJax(size)
    forms = {
        ("ngc-learn", "evolve"): theirs,
        ("ngc-learn", "process.run"): theirs,
        ("ngc-learn", "loop"): theirs,
        ("ours", "operators"): alone,
        ("ours", "step"): whole,
        ("ours", "compiled"): fast,
        ("ours", "loop"): in_jax,
    }
    n_steps = {}
    for key, side in forms.items():
        side.seconds(key[1], 50)
        n_steps[key] = max(10, int(SECONDS / side.seconds(key[1], 50) * 50))
    times = {key: [] for key in forms}
    rng = np.random.RandomState(0)
    for _ in range(rounds):
        for i in rng.permutation(len(forms)):
            key = list(forms)[i]
            taken = forms[key].seconds(key[1], n_steps[key])
            times[key].append(taken / n_steps[key] * 1e6)
    for side in (theirs, alone, whole, fast, in_jax):
        side.close()
    return times, theirs.versions


def measure(python, rounds):
    """Measure and print every size; return the content of the results file."""
    sizes = []
    for size, required in REQUIRED.items():
        times, versions = compare(python, size, rounds)
        median = {key: float(np.median(values)) for key, values in times.items()}
        evolve = median["ngc-learn", "evolve"]
        row = {"neurons": size[0], "actions": size[1], "required": required, "us": {}}
        print(f"{size[0]} x {size[1]}: at least {required:g} times evolve is required")
        for (side, form), values in times.items():
            low, high = np.percentile(values, [25, 75])
            middle = median[side, form]
            row["us"][f"{side}, {form}"] = [round(v, 1) for v in (low, middle, high)]
            print(
                f"  {side:9} {form:11} {middle:7.1f} us ({low:.1f} to {high:.1f}), "
                f"{1e6 / middle:7.0f} steps/s, {evolve / middle:5.2f} times evolve"
            )
        row["times evolve"] = {
            form: round(evolve / median["ours", form], 2)
            for form in ("operators", "step", "compiled", "loop")
        }
        row["times ngc-learn's loop"] = round(
            median["ngc-learn", "loop"] / median["ours", "loop"], 2
        )
        sizes.append(row)
    return {
        "command": "python benchmarks/ngclearn_speed.py --ngclearn-python PATH",
        "versions": f"nengo={nengo.__version__} numpy={np.__version__} {versions}",
        "environment": ONE_THREAD,
        "rounds": rounds,
        "microseconds a step": "first quartile, median, third quartile",
        "sizes": sizes,
    }


def main():
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ngclearn-python", required=True, help="an interpreter")
    parser.add_argument("--rounds", type=int, default=41)
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        # numpy has started its threads already: restart the process
        os.execve(
            sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD}
        )
    print("both with", *(f"{name}={value}" for name, value in ONE_THREAD.items()))
    results = measure(options.ngclearn_python, options.rounds)
    text = json.dumps(results, indent=1) + "\n"
    write_atomically(RESULT, lambda path: path.write_text(text))


if __name__ == "__main__":
    main()
