"""A thousand agents that learn at once: python benchmarks/many_agents.py.

Each agent has its own seed: neurons, noise and episodes. All of them and their
environments run as one function in JAX, on a GPU if there is one. The figure shows the
distribution of their learning curves. Install the extra ``jax``.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import nengo
import numpy as np

from nengo_epes import functional
from nengo_epes.files import write_atomically
from nengo_epes.rl import build_network

RESULTS = Path(__file__).parent / "results"
SLOT = 2  # simulator steps of an environment step, with rate neurons
LEVELS = [5, 25, 50, 75, 95]
WINDOW = 1000  # environment steps over which returns are averaged


def build(env, seeds, **settings):
    """Build agents; return their simulators, and the first one's probe and process.

    Parameters
    ----------
    env : str
        Id of an environment that is in `functional.ENVIRONMENTS`.
    seeds : sequence of int
        Their seeds.
    **settings
        Settings of `nengo_epes.rl.build_network`.
    """
    sims = []
    for seed in seeds:
        network = build_network(env, seed=seed, **settings)
        with network:
            nengo.Probe(network.env_node, label="seen")
        # the optimizer orders signals at random, and a batch needs one order
        sims.append(nengo.Simulator(network, optimize=False, progress_bar=False))
    network = sims[0].model.toplevel
    (probe,) = (probe for probe in network.probes if probe.label == "seen")
    return sims, probe, network.env_node.output


def make_loop(step, probe, process, n_slots):
    """Return a compiled function that lets all agents take environment steps.

    Parameters
    ----------
    step : callable
        From `functional.batch`.
    probe : nengo.Probe
        Probe of the environment.
    process : Environment
        The environment.
    n_slots : int
        Number of environment steps.

    Returns
    -------
    callable
        ``loop(states) -> (states, (over, returns))``, the latter of shape (n_slots,
        n_agents): whether an episode is over, and its return so far.
    """
    parts = process.terminated, process.truncated, process.episode_return

    def slot(states, _):
        for _ in range(SLOT):
            states, probed = jax.vmap(step)(states)
        terminated, truncated, total = (probed[probe][:, part][:, 0] for part in parts)
        return states, (terminated + truncated > 0, total)

    def loop(states):
        return jax.lax.scan(slot, states, length=n_slots)

    return jax.jit(loop, donate_argnums=0)


def learn(env, n_agents, n_steps, **settings):
    """Let agents learn; return their curves and times.

    Parameters
    ----------
    env : str
        Id of the environment.
    n_agents, n_steps : int
        Number of agents, and of environment steps of each, a multiple of `WINDOW`.
    **settings
        Settings of `nengo_epes.rl.build_network`.

    Returns
    -------
    curves : (n_steps / WINDOW, n_agents) array
        Mean return of the episodes that ended within a window. In a window without such
        an episode, the mean of the window before.
    times : dict of str to float
        Seconds of building and of running, environment steps of all agents per second.
    """
    start = time.perf_counter()
    sims, probe, process = build(env, range(n_agents), **settings)
    step, states = functional.batch(sims)
    loop = make_loop(step, probe, process, WINDOW)
    built = time.perf_counter()
    curves, latest = [], np.full(n_agents, np.nan)
    for window in range(n_steps // WINDOW):
        states, (over, returns) = loop(states)
        over, returns = np.asarray(over), np.asarray(returns)
        if window == 0:  # it compiles
            compiled = time.perf_counter()
        count = over.sum(axis=0)
        mean = (over * returns).sum(axis=0) / np.maximum(count, 1)
        latest = np.where(count > 0, mean, latest)
        curves.append(latest)
        middle = np.nanmedian(latest)
        print(f"{(window + 1) * WINDOW} steps: median {middle:.1f}", flush=True)
    seconds = time.perf_counter() - compiled
    rate = (n_steps - WINDOW) * n_agents / seconds
    times = {"building": built - start, "running": seconds, "steps a second": rate}
    return np.array(curves), {key: round(value, 1) for key, value in times.items()}


def draw(path, env, steps, curves):
    """Draw the distribution of learning curves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    low, lower, middle, upper, high = np.nanpercentile(curves, LEVELS, axis=1)
    axes.fill_between(steps, low, high, color="C0", alpha=0.2, lw=0, label="90 %")
    axes.fill_between(steps, lower, upper, color="C0", alpha=0.4, lw=0, label="50 %")
    axes.plot(steps, middle, color="C0", label="median")
    for i in range(5):
        label = "five agents" if i == 0 else None
        axes.plot(steps, curves[:, i], color="0.4", lw=0.5, label=label)
    axes.set(xlabel="environment steps", ylabel="return", title=env)
    axes.set_xlim(0, steps[-1])
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=150)


def main():
    """Let the agents learn, write the result, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=20_000, help="of each agent")
    options = parser.parse_args()
    nengo.rc["precision"]["bits"] = "32"
    curves, times = learn(options.env, options.agents, options.steps)
    steps = WINDOW * (1 + np.arange(len(curves)))
    percentiles = np.nanpercentile(curves, LEVELS, axis=1).round(1)
    result = {
        "command": "python benchmarks/many_agents.py",
        "environment": options.env,
        "agents": options.agents,
        "device": jax.devices()[0].device_kind,
        "seconds": times,
        "environment steps": steps.tolist(),
        "percentiles of the return": {
            str(level): row.tolist()
            for level, row in zip(LEVELS, percentiles, strict=True)
        },
        "share of agents with a return of at least 475": {
            str(steps[i]): float((curves[i] >= 475).mean())
            for i in range(4, len(steps), 5)
        },
    }
    text = json.dumps(result, indent=1) + "\n"
    name = f"many_agents_{options.env}"
    write_atomically(RESULTS / f"{name}.json", lambda path: path.write_text(text))
    write_atomically(
        RESULTS / f"{name}.png",
        lambda path: draw(path, options.env, steps, curves),
    )


if __name__ == "__main__":
    main()
