"""ngc-learn's `REINFORCESynapse.evolve` for benchmarks/ngclearn_speed.py.

Run ``python ngclearn_worker.py N_PRE N_ACTIONS`` in an environment with ngclearn; this
package is not needed. It reads lines ``FORM STEPS`` from stdin and answers with the
time of the steps in seconds. The first answer contains the versions.
"""

import os
import sys
import time

answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the messages of ngc-learn

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import ngclearn  # noqa: E402
from ngclearn import Context, MethodProcess  # noqa: E402
from ngclearn.components import REINFORCESynapse  # noqa: E402
from ngcsimlib.global_state import stateManager  # noqa: E402


def answer(*words):
    """Send a line."""
    print(*words, file=answers, flush=True)


def make_forms(n_pre, n_actions):
    """Return functions that run n steps, by name; each waits for the last step."""
    with Context("speed"):
        synapse = REINFORCESynapse("synapse", shape=(n_pre, n_actions), eta=1e-9)
        process = MethodProcess("evolve") >> synapse.evolve
    synapse.inputs.set(jnp.full((1, n_pre), 0.5))
    synapse.rewards.set(jnp.full((1,), 0.3))
    synapse.learning_mask.set(jnp.ones(()))
    dt = jnp.asarray(1.0)  # on the device before the clock starts
    compiled = process.run.compiled  # compiled by jax.jit
    held = {"state": stateManager.state}

    def evolve(n_steps):
        state = held["state"]
        for _ in range(n_steps):
            state, _ = compiled(state, [dt])
        held["state"] = jax.block_until_ready(state)

    def process_run(n_steps):
        for _ in range(n_steps):
            process.run(dt=dt)
        jax.block_until_ready(stateManager.state)

    @jax.jit
    def loop(state, n_steps):
        return jax.lax.fori_loop(0, n_steps, lambda _, s: compiled(s, [dt])[0], state)

    def compiled_loop(n_steps):
        held["state"] = jax.block_until_ready(loop(held["state"], n_steps))

    return {"evolve": evolve, "process.run": process_run, "loop": compiled_loop}


def main():
    """Answer until stdin is closed."""
    forms = make_forms(int(sys.argv[1]), int(sys.argv[2]))
    for form in forms.values():
        form(20)  # compiles
    answer(f"ngclearn={ngclearn.__version__}", f"jax={jax.__version__}")
    for line in sys.stdin:
        name, n_steps = line.split()
        start = time.perf_counter()
        forms[name](int(n_steps))
        answer(time.perf_counter() - start)


if __name__ == "__main__":
    main()
