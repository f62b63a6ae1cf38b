"""Where the time of an agent's training goes: python benchmarks/profile_agent.py.

Builds the agent of CartPole-v1 and times every operator in every step;
prints the operators with their share of the sum. Looking at the clock costs some
0.1 us a time.
"""

import os
import time

# before numpy is imported
os.environ["OMP_NUM_THREADS"] = "1"

import nengo
import numpy as np

from nengo_epes.rl.presets import build

N_STEPS = 4000


def main():
    """Run for some time, and print the operators that take at least a hundredth."""
    network = build("CartPole-v1", seed=1000)[0]
    with nengo.Simulator(network, progress_bar=False) as sim:
        sim.run_steps(500, progress_bar=False)
        steps, spent = sim._steps, np.zeros(len(sim._steps))
        for _ in range(N_STEPS):
            for i, step in enumerate(steps):
                start = time.perf_counter()
                step()
                spent[i] += time.perf_counter() - start
        total = spent.sum()
        print(f"{total / N_STEPS * 1e6:.0f} us a simulator step")
        for i in np.argsort(-spent):
            if spent[i] < 0.01 * total:
                break
            operator = sim.step_order[i]
            what = str(getattr(operator, "process", operator.tag))[:70]
            print(f"{spent[i] / total:6.1%}  {type(operator).__name__:16} {what}")


if __name__ == "__main__":
    main()
