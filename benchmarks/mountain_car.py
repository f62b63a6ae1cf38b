"""MountainCarContinuous-v0 over seeds: python benchmarks/mountain_car.py.

The agent is that of `nengo_epes.rl.mountain_car`, with and without a trace. It
learns for 50,000 steps of the environment; the weights that it has then are evaluated
without noise, from 100 beginnings that are the same for all. Steps, noise and number of
place cells were chosen on seeds from 1000 on.
"""

from greedy_study import main

from nengo_epes.rl import mountain_car

if __name__ == "__main__":
    main(mountain_car, bounds=(90.0, 93.0))
