"""Two grid worlds with discrete observations and a known best return."""

import gymnasium
import numpy as np

MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))


class GridWorld(gymnasium.Env):
    """A grid in which the agent moves to a goal.

    `map`: "S" initial states (one is drawn at random), "." free, "#" wall, "O" hole
    (terminates), "G" goal. `slip`: probability of each of the two moves perpendicular
    to the chosen move. Observation: the number of the cell.
    """

    def __init__(self, map, slip, step_reward, goal_reward):
        self.cells = np.array([list(row) for row in map])
        self.slip, self.step_reward, self.goal_reward = slip, step_reward, goal_reward
        self.observation_space = gymnasium.spaces.Discrete(self.cells.size)
        self.action_space = gymnasium.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        """Start in one of the initial states."""
        super().reset(seed=seed)
        starts = np.flatnonzero(self.cells == "S")
        self.cell = int(self.np_random.choice(starts))
        return self.cell, {}

    def move(self, cell, direction):
        """Return the next cell, the reward, and whether the episode ends."""
        row, column = np.add(divmod(cell, self.cells.shape[1]), MOVES[direction % 4])
        rows, columns = self.cells.shape
        inside = 0 <= row < rows and 0 <= column < columns
        if inside and self.cells[row, column] != "#":
            cell = int(row * columns + column)
        kind = self.cells.flat[cell]
        reward = self.step_reward + (self.goal_reward if kind == "G" else 0.0)
        return cell, reward, kind in "GO"

    def step(self, action):
        """Move, or slip with probability 2 `slip`."""
        slip = self.np_random.random()
        turn = -1 if slip < self.slip else 1 if slip < 2 * self.slip else 0
        self.cell, reward, ends = self.move(self.cell, int(action) + turn)
        return self.cell, reward, ends, False, {}

    def best_return(self, n_steps):
        """Return the largest expected return of an episode of at most n_steps."""
        n = self.cells.size
        values = np.zeros(n)
        for _ in range(n_steps):
            moved = np.empty((4, n))
            for direction in range(4):
                for cell in range(n):
                    after, reward, ends = self.move(cell, direction)
                    moved[direction, cell] = reward + (0 if ends else values[after])
            sides = np.roll(moved, 1, axis=0) + np.roll(moved, -1, axis=0)
            values = ((1 - 2 * self.slip) * moved + self.slip * sides).max(axis=0)
        return float(values[self.cells.flatten() == "S"].mean())


N_STEPS = 200
SLIPPERY = ("S....", ".O.O.", "...O.", "O....", ".O..G")
LARGE = (
    "SSSSSSS#SSSSSSSS",
    "SSSSSSS#SSSSSSSS",
    "SSSSSSSSSSSSSSSS",
    "SSSSSSS#SSSSSSSS",
    "SSSSSSS#SSSSSSSS",
    "###S#######SS###",
    "SSSSSSS#SSSSSSSS",
    "SSSSSSS#SSSSSSSS",
    "SSSSSSSSSSSSSSSG",
    "SSSSSSS#SSSSSSSS",
    "SSSSSSS#SSSSSSSS",
    "SSSSSSS#SSSSSSSS",
)


def slippery_grid():
    """Return a grid of 25 cells with holes, in which a third of the moves slips."""
    env = GridWorld(SLIPPERY, slip=1 / 6, step_reward=0.0, goal_reward=1.0)
    return gymnasium.wrappers.TimeLimit(env, N_STEPS)


def large_grid():
    """Return a grid of 192 cells in four rooms; each step has a reward of -0.1."""
    env = GridWorld(LARGE, slip=0.0, step_reward=-0.1, goal_reward=10.0)
    return gymnasium.wrappers.TimeLimit(env, N_STEPS)


if __name__ == "__main__":
    for make in (slippery_grid, large_grid):
        print(make.__name__, make().unwrapped.best_return(N_STEPS))
