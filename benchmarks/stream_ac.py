"""Stream AC(lambda) in numpy, for `peers`: a deep actor-critic without replay.

Written from the equations of Elsayed, Vasan & Mahmood (2024), "Streaming deep
reinforcement learning finally works", arXiv:2410.14606, with their settings:

* Two networks, policy and value, of 128 and 128 units. Pre-activations are normalized
  to mean 0 and variance 1 (without parameters), then pass a leaky ReLU. Nine in ten
  weights of every unit start at 0; at least one does not.
* Traces of both gradients; steps by ObGD, which bounds what a TD error changes.
* Running normalization of observations; rewards over the running standard deviation of
  the discounted return.
* A softmax policy, or a Gaussian with a learned mean and a learned standard deviation
  (softplus). The Gaussian acts in the units of the action, clipped to its bounds.

A truncated episode bootstraps from its last observation. There is no input for time.
"""

import itertools
import math

import gymnasium
import numpy as np

DISCOUNT, LAMBDA, ENTROPY, HIDDEN = 0.99, 0.8, 0.01, 128
KAPPA_POLICY, KAPPA_VALUE = 3.0, 2.0
SPARSITY, SLOPE = 0.9, 0.01


class Network:
    """Two hidden layers; all parameters are views of one vector."""

    def __init__(self, n_in, n_out, rng):
        sizes = (n_in, HIDDEN, HIDDEN, n_out)
        shapes = [(post, pre) for pre, post in itertools.pairwise(sizes)]
        n_parameters = sum(post * (pre + 1) for post, pre in shapes)
        self.parameters = np.zeros(n_parameters)
        self.gradient = np.zeros(n_parameters)
        self.trace = np.zeros(n_parameters)
        self.weights, self.biases = self._views(self.parameters, shapes)
        self.d_weights, self.d_biases = self._views(self.gradient, shapes)
        for weights in self.weights:
            n_pre = weights.shape[1]
            n_zeros = min(math.ceil(SPARSITY * n_pre), n_pre - 1)
            for row in weights:
                row[:] = rng.uniform(-1, 1, n_pre) / math.sqrt(n_pre)
                row[rng.permutation(n_pre)[:n_zeros]] = 0.0

    @staticmethod
    def _views(vector, shapes):
        weights, biases, start = [], [], 0
        for post, pre in shapes:
            weights.append(vector[start : start + post * pre].reshape(post, pre))
            start += post * pre
            biases.append(vector[start : start + post])
            start += post
        return weights, biases

    def __call__(self, x):
        """Return the outputs for an input, and store the activations for `backward`."""
        self.inputs, self.units = [x], []
        for weights, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            current = weights @ x + bias
            centred = current - current.sum() / HIDDEN
            std = math.sqrt(centred @ centred / HIDDEN + 1e-5)
            unit = centred / std
            x = np.where(unit > 0, unit, SLOPE * unit)
            self.units.append((unit, std))
            self.inputs.append(x)
        return self.weights[-1] @ x + self.biases[-1]

    def backward(self, d_out):
        """Write the gradient of ``d_out @ outputs``, for the last input."""
        for i in (2, 1, 0):
            np.outer(d_out, self.inputs[i], out=self.d_weights[i])
            self.d_biases[i][:] = d_out
            if i:
                unit, std = self.units[i - 1]
                d_unit = d_out @ self.weights[i]
                d_unit *= np.where(unit > 0, 1.0, SLOPE)
                d_out = d_unit - d_unit.sum() / HIDDEN
                d_out -= unit * (unit @ d_unit / HIDDEN)
                d_out /= std

    def learn(self, td_error, kappa):
        """Add the gradient to the trace, and make a step by ObGD."""
        self.trace *= DISCOUNT * LAMBDA
        self.trace += self.gradient
        bound = kappa * max(abs(td_error), 1.0) * np.abs(self.trace).sum()
        self.parameters += td_error / max(bound, 1.0) * self.trace


class RunningVariance:
    """Mean and variance of all samples so far."""

    def __init__(self, shape=()):
        self.n, self.mean, self.m2 = 0, np.zeros(shape), np.zeros(shape)

    def add(self, x):
        """Include one more sample."""
        self.n += 1
        difference = x - self.mean
        self.mean = self.mean + difference / self.n
        self.m2 = self.m2 + difference * (x - self.mean)

    def std(self):
        """Return the standard deviation; 1 before the second sample."""
        if self.n < 2:
            return np.ones_like(self.m2)
        return np.sqrt(self.m2 / (self.n - 1) + 1e-8)


class Softmax:
    """Distribution over several actions; the outputs are logits."""

    def __init__(self, space, rng):
        self.n_outputs, self.rng = int(space.n), rng

    def greedy(self, outputs):
        """Return the most probable action."""
        return int(np.argmax(outputs))

    def draw(self, outputs):
        """Return an action and the gradients of its log-probability and the entropy."""
        chances = np.exp(outputs - outputs.max())
        chances /= chances.sum()
        action = int(np.searchsorted(np.cumsum(chances), self.rng.rand()))
        action = min(action, self.n_outputs - 1)
        logs = np.log(np.maximum(chances, 1e-300))
        d_entropy = -chances * (logs - chances @ logs)
        d_log = -chances
        d_log[action] += 1.0
        return action, d_log, d_entropy


class Gaussian:
    """Normal actions; the outputs are means and, before softplus, deviations."""

    def __init__(self, space, rng):
        self.space, self.rng = space, rng
        self.n_actions = int(np.prod(space.shape))
        self.n_outputs = 2 * self.n_actions

    def greedy(self, outputs):
        """Return the mean action."""
        return self._send(outputs[: self.n_actions])

    def draw(self, outputs):
        """Return an action and the gradients of its log-density and the entropy."""
        mean, raw = outputs[: self.n_actions], outputs[self.n_actions :]
        std = np.logaddexp(0.0, raw)
        d_std = 0.5 * (1.0 + np.tanh(raw / 2))
        noise = self.rng.randn(self.n_actions)
        d_log = np.concatenate([noise / std, (noise**2 - 1.0) / std * d_std])
        d_entropy = np.concatenate([np.zeros(self.n_actions), d_std / std])
        return self._send(mean + std * noise), d_log, d_entropy

    def _send(self, action):
        action = np.clip(action, self.space.low.ravel(), self.space.high.ravel())
        return action.reshape(self.space.shape).astype(self.space.dtype)


def train(task, n_steps, seed):
    """Let an agent learn.

    Returns the returns of all episodes, their lengths, and a function that chooses the
    greedy action for an observation.
    """
    env, rng = gymnasium.make(task), np.random.RandomState(seed)
    n_in = int(np.prod(env.observation_space.shape))
    is_discrete = isinstance(env.action_space, gymnasium.spaces.Discrete)
    policy = (Softmax if is_discrete else Gaussian)(env.action_space, rng)
    actor, critic = Network(n_in, policy.n_outputs, rng), Network(n_in, 1, rng)
    seen, discounted, scale = RunningVariance(n_in), 0.0, RunningVariance()

    def normalize(observation, learn=True):
        x = np.ravel(observation).astype(float)
        if learn:
            seen.add(x)
        return (x - seen.mean) / seen.std()

    returns, lengths, total, length = [], [], 0.0, 0
    now = normalize(env.reset(seed=seed)[0])
    for _ in range(n_steps):
        action, d_log, d_entropy = policy.draw(actor(now))
        observation, reward, terminated, truncated, _ = env.step(action)
        over = terminated or truncated
        total, length = total + float(reward), length + 1
        then = normalize(observation)
        discounted = discounted * DISCOUNT + float(reward)
        scale.add(discounted)
        target = float(reward) / float(scale.std())
        if not terminated:
            target += DISCOUNT * critic(then)[0]
        # `backward` uses the last input of `critic`
        td_error = target - critic(now)[0]
        critic.backward(np.ones(1))
        actor.backward(d_log + ENTROPY * np.sign(td_error) * d_entropy)
        critic.learn(td_error, KAPPA_VALUE)
        actor.learn(td_error, KAPPA_POLICY)
        now = then
        if over:
            returns.append(total)
            lengths.append(length)
            total, length, discounted = 0.0, 0, 0.0
            actor.trace[:] = critic.trace[:] = 0.0
            now = normalize(env.reset()[0])

    def act(observation):
        return policy.greedy(actor(normalize(observation, learn=False)))

    return returns, lengths, act
