"""Learning algorithms in plain numpy, written from their formulas."""

import numpy as np

from nengo_epes.rl.environment import episode_seed


class Plain:
    """The textbook's step size."""

    def __init__(self, alpha):
        self.alpha = alpha

    def __call__(self, delta, trace, score, activity):
        """Return the change of the weights."""
        return self.alpha * delta * trace


class Intended:
    """`Intentional` with one step per transition, from its formula: sums over the whole
    past.

    ``decay`` is the decay of the trace, discount times lambda.
    """

    def __init__(self, eta, decay, normalize=False, floor=None, shrink=None):
        self.eta, self.decay, self.normalize = eta, decay, normalize
        self.floor, self.shrink = floor, shrink
        self.scores, self.activities, self.squares, self.limited = [], [], [], []

    def __call__(self, delta, trace, score, activity):
        """Return the change of the weights; the last two are squared norms."""

        def mean(values, keep):
            weights = keep ** np.arange(len(values))[::-1]
            return weights @ values / weights.sum()

        self.scores.append(score)
        self.activities.append(activity)
        self.squares.append(delta**2)
        limit = 20 * np.sqrt(mean(self.squares, 0.9998))
        delta = np.clip(delta, -limit, limit)
        self.limited.append(abs(delta))
        if self.normalize:
            delta = delta / mean(self.limited, 0.9998)
        if self.floor is None:
            sigma = mean(np.multiply(self.scores, self.activities), self.decay)
        else:
            sigma = max(mean(self.scores, self.decay), self.floor)
            sigma *= mean(self.activities, self.decay)
        eta = self.eta
        if self.shrink is not None:
            eta = eta / np.sqrt(1 + len(self.squares) / self.shrink)
        return eta * delta * trace / np.sqrt(sigma * (trace**2).sum())


class Welford:
    """Running mean and variance, by Welford's recursion."""

    def __init__(self):
        self.n, self.mean, self.m2 = 0, 0.0, 0.0

    def add(self, x):
        """Include a sample."""
        self.n += 1
        step = x - self.mean
        self.mean = self.mean + step / self.n
        self.m2 = self.m2 + step * (x - self.mean)

    def std(self):
        """Return the standard deviation, 1 before the second sample."""
        variance = self.m2 / (self.n - 1) if self.n > 1 else 1.0
        return np.sqrt(variance + 1e-16)


class NormalizedSphere:
    """Running normalisation, clip, projection to the sphere, and rectified neurons."""

    def __init__(self, encoders, bias):
        self.encoders, self.bias, self.seen = encoders, bias, Welford()

    def __call__(self, observation):
        x = np.array(observation, dtype=float)
        self.seen.add(x)
        y = (x - self.seen.mean) / self.seen.std() if self.seen.n > 1 else 0 * x
        u = np.append(np.clip(y, -3, 3), 1.0)
        return np.maximum(self.encoders @ (u / np.linalg.norm(u)) + self.bias, 0.0)


class ScaledReward:
    """Rewards over the running standard deviation of their discounted sum, as in
    Gymnasium's NormalizeReward: the sum restarts from the last reward of an episode."""

    def __init__(self, discount):
        self.discount, self.discounted, self.returns = discount, 0.0, Welford()

    def __call__(self, reward, over):
        kept = 0.0 if over else self.discount
        self.discounted = kept * self.discounted + reward
        self.returns.add(self.discounted)
        return reward / self.returns.std()


class SoftmaxDecision:
    """Selection of one of several actions by a uniform random number."""

    def __call__(self, preferences, noise, starts):
        """Return the action for the environment, the score and the entropy."""
        chances = np.exp(preferences - preferences.max())
        chances /= chances.sum()
        action = int((noise[0] >= np.cumsum(chances)).sum())
        score = np.eye(len(chances))[action] - chances
        chances = chances[chances > 0]
        return action, score, -(chances * np.log(chances)).sum()


class GaussianDecision:
    """Gaussian policy with a bounded mean and noise that is partly slow."""

    def __init__(self, half_range, std, reach=1.5, slow=0.3, kept=0.9):
        self.half_range, self.std, self.reach = half_range, std, reach
        self.share, self.kept = slow, kept

    def __call__(self, decoded, noise, starts):
        """Return the action for the environment, the score and an entropy of 0."""
        fresh, fast = np.split(np.array(noise), 2)
        if starts:
            self.memory = fresh
        else:
            self.memory = self.kept * self.memory + np.sqrt(1 - self.kept**2) * fresh
        epsilon = np.sqrt(self.share) * self.memory + np.sqrt(1 - self.share) * fast
        mean = np.clip(decoded, -self.reach, self.reach)
        action = np.clip(mean + self.std * epsilon, -1, 1) * self.half_range
        excess = decoded - mean
        return action.astype(np.float32), (epsilon - excess) / self.std, 0.0


def actor_critic(
    env,
    seed,
    noise,
    n_transitions,
    features,
    decide,
    steps,
    lambdas,
    scale=None,
    discount=0.99,
    bonus=0.0,
    truncation_terminates=False,
):
    """Learn by an actor-critic with traces; Sutton and Barto (2018), section 13.6.

    Returns the weights of critic and actor after each transition, and for each episode
    its kind of end. ``steps`` and ``lambdas`` are pairs: critic, actor.
    """
    rates = [discount * lambda_ for lambda_ in lambdas]
    course = {"critic": [], "actor": [], "ends": [], "scores": []}

    def start():
        episode = len(course["ends"])
        return features(env.reset(seed=episode_seed(seed, episode))[0])

    x, starts = start(), True
    size = noise.shape[1] // 2 if isinstance(decide, GaussianDecision) else None
    size = env.action_space.n if size is None else size
    v, w = np.zeros(len(x)), np.zeros((size, len(x)))
    zv, zw = 0 * v, 0 * w
    for k in range(n_transitions):
        action, score, entropy = decide(w @ x, noise[k], starts)
        zv, zw = rates[0] * zv + x, rates[1] * zw + np.outer(score, x)
        observation, reward, terminated, truncated, _ = env.step(action)
        after = features(observation)
        reward = float(reward)
        if scale is not None:
            reward = scale(reward, terminated or truncated)
        target = reward + bonus * entropy
        if not (terminated or (truncated and truncation_terminates)):
            target += discount * (v @ after)
        delta = target - v @ x
        v = v + steps[0](delta, zv, 1.0, x @ x)
        w = w + steps[1](delta, zw, score @ score, x @ x)
        course["critic"].append(v[None])
        course["actor"].append(w)
        course["scores"].append(score)
        x, starts = after, terminated or truncated
        if starts:
            course["ends"].append("terminated" if terminated else "truncated")
            x, zv, zw = start(), 0 * zv, 0 * zw
    env.close()
    return course
