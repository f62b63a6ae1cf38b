"""One setting for all tasks, in plain numpy: python benchmarks/one_setting_numpy.py.

A linear actor-critic on fixed features, the reference for an agent in Nengo. It has the
features and the step sizes of this package, but no simulator: the activities are the
rates of `sphere_features` for a constant input. Every sample is used once.

* Observations are normalised by the mean and variance of all observations so far, and
  clipped to +-3. Discrete observations are one feature for each state.
* Rewards are divided by the running standard deviation of the discounted return.
* The critic learns by TD(lambda), the actor by the score of its policy; both with
  `Intentional` steps, the actor's with a floor and shrinking.
* Discrete actions: a softmax with a small bonus for its entropy. Continuous ones: a
  Gaussian whose mean is limited to +-1.5 half ranges. The excess is subtracted from the
  score, so that the mean does not drift where clipping hides it. A part of the noise is
  slow, so that exploration covers larger distances.

Seeds 0 to 9; the settings were chosen on other seeds. "Exploring" is the mean return of
the last 20 episodes of training. "Greedy" is the mean return of 100 episodes afterwards
with the best or the mean action, without learning.
"""

import json
import math
from pathlib import Path

import gymnasium
import nengo
import numpy as np
from many import run_many

from nengo_epes.arithmetic import softmax
from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.files import write_atomically
from nengo_epes.networks import sphere_features, to_sphere

SEEDS = range(10)
TASKS = {
    "CartPole-v1": 50_000,
    "Acrobot-v1": 50_000,
    "MountainCar-v0": 100_000,
    "Pendulum-v1": 50_000,
    "MountainCarContinuous-v0": 50_000,
    "LunarLander-v3": 200_000,
    "FrozenLake-v1": 100_000,
}
N_NEURONS, DISCOUNT, ENTROPY_BONUS = 1000, 0.99, 0.003
STD, SLOW, KEPT, REACH = 0.8, 0.3, 0.9, 1.5
RESULTS = Path(__file__).parent / "results"


class Features:
    """Activities of `sphere_features`, or one feature for each state."""

    def __init__(self, space, seed):
        self.space = space
        self.is_discrete = isinstance(space, gymnasium.spaces.Discrete)
        if self.is_discrete:
            self.size = int(space.n)
            return
        self.size = N_NEURONS
        dimensions = int(np.prod(space.shape))
        self.mean, self.m2, self.n = np.zeros(dimensions), np.zeros(dimensions), 0
        with nengo.Network(seed=seed) as net:
            state = sphere_features(self.size, dimensions, seed=seed)
        with nengo.Simulator(net, progress_bar=False) as sim:
            built = sim.data[state]
            self.encoders, self.bias = built.scaled_encoders.copy(), built.bias.copy()

    def __call__(self, observation, update=True):
        """Return the activities for an observation in units of 100 Hz."""
        if self.is_discrete:
            return np.eye(self.size)[observation - int(self.space.start)]
        x = np.ravel(observation).astype(float)
        if update:
            self.n += 1
            difference = x - self.mean
            self.mean = self.mean + difference / self.n
            self.m2 = self.m2 + difference * (x - self.mean)
        if self.n < 2:
            x = np.zeros_like(x)
        else:
            std = np.sqrt(self.m2 / (self.n - 1) + 1e-8)
            x = np.clip((x - self.mean) / std, -3, 3)
        current = self.encoders @ to_sphere(x) + self.bias
        return np.maximum(current, 0) / 100


class Softmax:
    """A softmax policy over discrete actions."""

    def __init__(self, space, rng):
        self.space, self.rng, self.size = space, rng, int(space.n)

    def new_episode(self):
        """Do nothing: there is no slow noise."""

    def greedy(self, decoded):
        """Return the most probable action."""
        return int(np.argmax(decoded)) + int(self.space.start)

    def draw(self, decoded):
        """Return an action, its score, and the entropy of the policy."""
        chances = softmax.probabilities(decoded)
        action = softmax.choose(chances, self.rng.rand())
        positive = chances[chances > 0]
        entropy = -float(positive @ np.log(positive))
        sent = action + int(self.space.start)
        return sent, softmax.score(chances, action), entropy


class Gaussian:
    """A Gaussian policy in units of half the range of each action."""

    def __init__(self, space, rng):
        self.space, self.rng, self.size = space, rng, int(np.prod(space.shape))
        self.std = STD / math.sqrt(self.size)
        self.new_episode()

    def new_episode(self):
        """Draw new slow noise."""
        self.slow = self.rng.randn(self.size)

    def greedy(self, decoded):
        """Return the mean action."""
        low, high = (
            np.ravel(x).astype(float) for x in (self.space.low, self.space.high)
        )
        action = (high + low) / 2 + (high - low) / 2 * np.clip(decoded, -1, 1)
        return action.reshape(self.space.shape).astype(self.space.dtype)

    def draw(self, decoded):
        """Return an action, its score, and a constant entropy."""
        fresh = math.sqrt(1 - KEPT**2) * self.rng.randn(self.size)
        self.slow = KEPT * self.slow + fresh
        noise = math.sqrt(SLOW) * self.slow
        noise += math.sqrt(1 - SLOW) * self.rng.randn(self.size)
        mean = np.clip(decoded, -REACH, REACH)
        score = (noise - (decoded - mean)) / self.std
        return self.greedy(mean + self.std * noise), score, 0.0


class RewardScale:
    """The running standard deviation of the discounted return."""

    def __init__(self):
        self.discounted = self.mean = self.m2 = 0.0
        self.n = 0

    def __call__(self, reward, over):
        """Return the scaled reward."""
        self.n += 1
        self.discounted = self.discounted * DISCOUNT * (not over) + reward
        difference = self.discounted - self.mean
        self.mean += difference / self.n
        self.m2 += difference * (self.discounted - self.mean)
        variance = self.m2 / (self.n - 1) if self.n > 1 else 1.0
        return reward / math.sqrt(variance + 1e-8)


class Learner:
    """Decoders with a trace and an `Intentional` step."""

    def __init__(self, shape, lambda_, step):
        self.weights, self.trace = np.zeros(shape), np.zeros(shape)
        self.decay, self.step = DISCOUNT * lambda_, step
        self.state = step.initial_state()

    def visit(self, eligibility, activities):
        """Add a visit to the trace."""
        self.trace = self.decay * self.trace + np.outer(eligibility, activities)
        self.last = eligibility, activities

    def learn(self, td_error):
        """Change the weights by a TD error."""
        args = self.trace, *self.last, self.decay
        self.weights += self.step(self.state, 0.0, td_error, *args) * self.trace


def run(seed, task):
    """Let one agent learn, and evaluate it."""
    env, rng = gymnasium.make(task), np.random.RandomState(seed)
    features, scale = Features(env.observation_space, seed), RewardScale()
    is_discrete = isinstance(env.action_space, gymnasium.spaces.Discrete)
    policy = (Softmax if is_discrete else Gaussian)(env.action_space, rng)
    traces, eta, shrink = (0.95, 0.9), 0.04, 5000
    if features.is_discrete:  # features that do not overlap share no credit
        traces, eta, shrink = (0.0, 0.0), 0.02, None
    critic = Learner((1, features.size), traces[0], Intentional(0.4))
    step = Intentional(eta, normalize=True, floor=0.2, shrink=shrink)
    actor = Learner((policy.size, features.size), traces[1], step)
    one, returns, total = np.ones(1), [], 0.0
    now = features(env.reset(seed=seed)[0])
    for _ in range(TASKS[task]):
        value = critic.weights[0] @ now
        action, score, entropy = policy.draw(actor.weights @ now)
        critic.visit(one, now)
        actor.visit(score, now)
        observation, reward, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        total += float(reward)
        now = features(observation)
        target = scale(float(reward), over) + ENTROPY_BONUS * entropy
        if not terminated:
            target += DISCOUNT * critic.weights[0] @ now
        for learner in (critic, actor):
            learner.learn(target - value)
        if over:
            returns.append(total)
            total = 0.0
            for learner in (critic, actor):
                learner.trace[...] = 0.0
            policy.new_episode()
            now = features(env.reset()[0])
    greedy = [evaluate(env, features, policy, actor.weights) for _ in range(100)]
    return {
        "exploring": float(np.mean(returns[-20:])),
        "greedy": float(np.mean(greedy)),
        "episodes": len(returns),
    }


def evaluate(env, features, policy, weights, limit=10_000):
    """Return the return of one greedy episode, with a limit on its length."""
    observation, total = env.reset()[0], 0.0
    for _ in range(limit):
        decoded = weights @ features(observation, update=False)
        observation, reward, terminated, truncated, _ = env.step(policy.greedy(decoded))
        total += float(reward)
        if terminated or truncated:
            break
    return total


def main():
    """Run the missing cases, and write the table."""
    cases = {task: {"task": task} for task in TASKS}
    found = run_many(run, cases, SEEDS, Path("study-one-setting-numpy"))
    table = {}
    for task, runs in found.items():
        table[task] = {"environment steps": TASKS[task]}
        for name in ("exploring", "greedy"):
            values = np.array([one[name] for one in runs])
            table[task][name] = {
                "median": float(np.median(values)),
                "worst": float(values.min()),
                "seeds": [round(value, 2) for value in values.tolist()],
            }
        print(task, {k: v for k, v in table[task].items()}, flush=True)
    result = {
        "command": "python benchmarks/one_setting_numpy.py",
        "versions": {
            "nengo": nengo.__version__,
            "numpy": np.__version__,
            "gymnasium": gymnasium.__version__,
        },
        "seeds": list(SEEDS),
        "tasks": table,
    }
    text = json.dumps(result, indent=1) + "\n"
    write_atomically(
        RESULTS / "one_setting_numpy.json", lambda path: path.write_text(text)
    )


if __name__ == "__main__":
    main()
