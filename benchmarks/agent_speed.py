"""Time of an environment step of the agent and of version 0.1's preset.

python benchmarks/agent_speed.py --old FOLDER, where FOLDER is a checkout of the last
commit of version 0.1: git worktree add FOLDER 0108ec4. CartPole-v1, 1000 rectified
linear neurons, processor time of 5000 environment steps. New processes alternate.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from nengo_epes.files import write_atomically

RESULTS = Path(__file__).parent / "results"
TIMING = """
import time
run(1000)
start = time.process_time()
run(5000)
print((time.process_time() - start) / 5000 * 1e6)
"""
NEW = """
from nengo_epes.rl import Agent
agent = Agent("CartPole-v1", seed=0)
def run(n_steps):
    agent.learn(n_steps, progress_bar=False)
"""
OLD = """
import nengo
from nengo_epes.trials.cartpole import build
network, world, agent = build(seed=0)
simulator = nengo.Simulator(network, progress_bar=False)
def run(n_steps):
    simulator.run_steps(n_steps * world.output.steps_per_action)
"""


def measure(code, folder):
    """Return microseconds per environment step."""
    env = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code + TIMING]
    # the current folder is first on the path
    found = subprocess.check_output(command, env=env, text=True, cwd=folder)
    return float(found)


def main():
    """Measure both versions alternately, and write the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--old", required=True, type=Path, metavar="FOLDER")
    old = parser.parse_args().old
    times = {"version 0.1": [], "agent": []}
    for _ in range(7):
        times["version 0.1"].append(measure(OLD, old))
        times["agent"].append(measure(NEW, Path(__file__).parents[1]))
    medians = {name: statistics.median(values) for name, values in times.items()}
    result = {
        "command": "python benchmarks/agent_speed.py --old FOLDER",
        "microseconds of processor time for an environment step": {
            name: [round(value, 1) for value in values]
            for name, values in times.items()
        },
        "medians": {name: round(value, 1) for name, value in medians.items()},
        "times faster": round(medians["version 0.1"] / medians["agent"], 2),
    }
    print(result["medians"], result["times faster"])
    text = json.dumps(result, indent=1) + "\n"
    path = RESULTS / "agent_speed.json"
    write_atomically(path, lambda temporary: temporary.write_text(text))


if __name__ == "__main__":
    main()
