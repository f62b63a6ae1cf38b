"""Pendulum-v1 over seeds: python benchmarks/pendulum.py.

The agent is the preset, with and without traces. It learns
for 60,000 steps of the environment; the weights that it has then are evaluated without
noise, from 100 beginnings that are the same for all. For comparison there is what
benchmarks/pendulum_optimum.py has found. Settings were chosen on seeds from 1000 on.
"""

import json

import nengo
import numpy as np
from greedy_study import RESULTS, SEEDS, main
from tasks import train

from nengo_epes.plots import policy_map, value_map
from nengo_epes.rl.presets import PRESETS, build

ENVIRONMENT = "Pendulum-v1"


def draw_more(axes):
    """Draw the optimum, and what an agent of the first seed has learned."""
    optimum = json.loads((RESULTS / "pendulum_optimum.json").read_text())
    optimum = optimum["fixed beginnings"]["mean"]
    axes[0, 1].axhline(optimum, color="0.3", ls="--", label="dynamic programming")
    axes[0, 1].legend(loc="center", bbox_to_anchor=(0.5, 0.75), fontsize="small")
    # where the agents with traces can be told apart
    axes[0, 1].set(ylim=(-166, -140), title="without traces: all below -1000")
    weights = train(ENVIRONMENT, SEEDS[0], PRESETS[ENVIRONMENT].n_steps)["weights"]
    network, _, agent = build(ENVIRONMENT, SEEDS[0])
    with nengo.Simulator(network, progress_bar=False) as simulator:
        plane = (
            np.linspace(-np.pi, np.pi, 121),
            np.linspace(-8, 8, 121),
            ("angle from upright (rad)", "angular velocity (rad/s)"),
            lambda x, y: np.stack([np.cos(x), np.sin(x), y / 8], axis=1),
        )
        value, policy = axes[1]
        value_map(simulator, agent.critic, weights["critic"], *plane, ax=value)
        policy_map(simulator, agent.actor, weights["actor"], *plane, axes=[policy])
    value.set_title(f"critic, seed {SEEDS[0]}")
    policy.set_title("actor; 1 is the largest torque")


if __name__ == "__main__":
    main(ENVIRONMENT, "pendulum", bounds=(-163.0, -157.0, -150.0), draw_more=draw_more)
