"""Acrobot-v1 over seeds: python benchmarks/acrobot.py.

The agent is the preset, with and without traces. It learns for
100,000 steps of the environment; the weights that it has then are evaluated without
noise, from 100 beginnings that are the same for all. Steps, entropy bonus and number of
place cells were chosen on seeds from 1000 on.
"""

from greedy_study import main

if __name__ == "__main__":
    main("Acrobot-v1", "acrobot", bounds=(-100.0, -85.0))
