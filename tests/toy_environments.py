"""Small environments for tests, with known dynamics and returns."""

import gymnasium
import numpy as np

N_STATES = 19


class RandomWalk(gymnasium.Env):
    """The 19-state random walk; the observation is one-hot, all 0 at an exit.

    The action has no effect. An episode is truncated after ``limit`` steps, if given.
    """

    def __init__(self, limit=None):
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (N_STATES,))
        self.action_space = gymnasium.spaces.Discrete(2)
        self.limit = limit

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.steps = N_STATES // 2, 0
        return self._observe(), {}

    def step(self, action):
        self.state += int(self.np_random.choice([-1, 1]))
        self.steps += 1
        terminated = not 0 <= self.state < N_STATES
        reward = float(np.sign(self.state)) if terminated else 0.0
        truncated = not terminated and self.steps == self.limit
        return self._observe(), reward, terminated, truncated, {}

    def _observe(self):
        seen = np.zeros(N_STATES, dtype=np.float32)
        if 0 <= self.state < N_STATES:
            seen[self.state] = 1.0
        return seen


class Counter(gymnasium.Env):
    """Environment that counts its steps and logs its resets and actions.

    The observation is (steps, seed of the last seeded reset). The reward of a step is
    10 times its number. After ``length`` steps it terminates, truncates, or both.
    """

    def __init__(self, length=3, end="terminated", actions=None):
        self.observation_space = gymnasium.spaces.Box(-10.0, 10.0, (2,))
        self.action_space = actions or gymnasium.spaces.Discrete(3, start=5)
        self.length, self.end = length, end
        self.log = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        self.log.append(("reset", seed))
        return np.array([0.0, 0.0], dtype=np.float32), {}

    def step(self, action):
        self.steps += 1
        self.log.append(("step", action))
        over = self.steps == self.length
        ends = {name: over and name in self.end for name in ("terminated", "truncated")}
        seen = np.array([self.steps, self.np_random.uniform()], dtype=np.float32)
        return seen, 10.0 * self.steps, *ends.values(), {}


class Ledger:
    """Constructor of environments that counts how many were opened and closed.

    Pass ``ledger.open`` as the constructor of an environment.
    """

    def __init__(self, make=Counter):
        self.make, self.opened, self.closed = make, 0, 0

    def open(self, **arguments):
        gym_env = self.make(**arguments)
        self.opened += 1
        was_open = True

        def close():
            nonlocal was_open
            assert was_open, "closed twice"
            was_open = False
            self.closed += 1

        gym_env.close = close
        return gym_env


class Faulty(gymnasium.Env):
    """Environment that returns wrong values in step 2 of episode 2.

    Parameters
    ----------
    replaced : dict
        Positions in the five values of `step`, and the wrong values there.
    answer, start
        Returned by `step` or `reset` instead of the usual tuple, if they are given.
    space
        Space of the observations; the usual observations are zeros.
    """

    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, replaced=(), answer=..., start=..., space=None):
        self.observation_space = space or gymnasium.spaces.Box(-1.0, 1.0, (2,))
        self.replaced, self.answer, self.start = dict(replaced), answer, start
        self.episode = -1

    def _zero(self):
        return np.zeros(self.observation_space.shape, self.observation_space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.steps = self.episode + 1, 0
        if self.episode == 1 and self.start is not ...:
            return self.start() if callable(self.start) else self.start
        return self._zero(), {}

    def step(self, action):
        self.steps += 1
        answer = [self._zero(), 1.0, self.steps == 3, False, {}]
        if self.episode == 1 and self.steps == 2:
            for place, value in self.replaced.items():
                answer[place] = value
            if self.answer is not ...:
                return self.answer() if callable(self.answer) else self.answer
        return tuple(answer)


class Corridor(gymnasium.Env):
    """Corridor of five states; the right end terminates with a reward of 1.

    An episode starts at the left end, so the shortest path has four steps. It is
    truncated after 20 steps.
    """

    observation_space = gymnasium.spaces.Discrete(5)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.steps = 0, 0
        return self.state, {}

    def step(self, action):
        self.state = max(self.state + (1 if action == 1 else -1), 0)
        self.steps += 1
        at_goal = self.state == 4
        return self.state, float(at_goal), at_goal, self.steps == 20 and not at_goal, {}


class Anything(gymnasium.Env):
    """Environment with the given spaces, whose observations are random samples.

    It checks that actions are elements of their space. The reward is 1 if the
    action equals the first action of the episode. An episode terminates after
    ``length`` steps, or never.
    """

    def __init__(self, observes=None, acts=None, length=7):
        self.observation_space = observes or gymnasium.spaces.Box(-1.0, 1.0, (2,))
        self.action_space = acts or gymnasium.spaces.Discrete(2)
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.steps, self.first = 0, None
        return self.observation_space.sample(), {}

    def step(self, action):
        assert action in self.action_space, action
        self.first = action if self.first is None else self.first
        self.steps += 1
        reward = float(np.array_equal(action, self.first))
        over = self.steps == self.length
        return self.observation_space.sample(), reward, over, False, {}
