"""MountainCarContinuous-v0 over seeds: python benchmarks/mountain_car.py.

The agent is the preset, with and without a trace. It
learns for 50,000 steps of the environment; the weights that it has then are evaluated
without noise, from 100 beginnings that are the same for all. Steps, noise and number of
place cells were chosen on seeds from 1000 on.
"""

from greedy_study import main

if __name__ == "__main__":
    main("MountainCarContinuous-v0", "mountain_car", bounds=(90.0, 93.0))
