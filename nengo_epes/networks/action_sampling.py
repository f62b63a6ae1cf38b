"""Drawing of actions by policies: the moment, the noise and the distribution."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.builder import Builder
from nengo.builder.processes import build_process
from nengo.exceptions import BuildError, SimulationError, ValidationError
from nengo.params import NdarrayParam, NumberParam, Parameter, StringParam
from nengo.utils.numpy import is_number

from nengo_epes.arithmetic import gaussian, softmax


class DecisionProcess(nengo.Process):
    """Draws one action a decision and holds it until the next decision.

    The input has the decoded values, then the greedy flag (above 0.5: take the most
    probable action, not a random action). Without a period, the trigger follows. The
    output has the decision, then the score as a pulse. The first entry of the decision
    is 1 in the simulator step of the decision and 0 in all others; its other entries
    are held. The pulse is the score over ``dt`` in the step of the decision and 0 in
    all others, so its integral over time is the score.

    The noise of decision k depends on the seed and k alone, and k is a signal of the
    model. So the noise can be replayed, and a pickled simulation resumes with the same
    noise.

    Parameters
    ----------
    policy : object
        Has ``n_rows``, ``n_noise``, ``noise_bounds`` (from the first to below the
        second) and ``size_decision``; ``draw(generator)``, which returns the noise of
        one decision; ``decide(decoded, noise)``, which returns a decision without its
        first entry, the score coming first; ``greedy_noise(decoded)``, the noise with
        which that is the greedy one; and ``initial_decision()``, the decision before
        the first one.
    period : float or None
        Seconds between decisions, the first at the end of the first period; None for
        a decision whenever the trigger rises above 0.5.
    noise : (n_decisions, n_noise) array or None
        Noise of all decisions; None to draw it.
    seed : int or None
        Seed of the noise; None to derive it from the network's seed.
    name : str
        Name of the policy in error messages.
    """

    policy = Parameter("policy")
    period = NumberParam("period", low=0, low_open=True, optional=True)
    noise = NdarrayParam("noise", shape=("*", "*"), optional=True)
    name = StringParam("name")

    def __init__(self, policy, period, noise=None, seed=None, name="policy"):
        size_in = policy.n_rows + 1 + (period is None)
        super().__init__(
            default_size_in=size_in,
            default_size_out=policy.size_decision + policy.n_rows,
            seed=seed,
        )
        self.policy = policy
        self.period = period
        self.noise = noise
        self.name = name
        if noise is not None:
            self._check_noise()

    def _check_noise(self):
        noise, n_noise = self.noise, self.policy.n_noise
        low, high = self.policy.noise_bounds
        fits = np.isfinite(noise) & (low <= noise) & (noise < high)
        if noise.shape[1] != n_noise:
            problem = (
                f"noise: must be (decisions, {n_noise}) in shape (got {noise.shape}); "
                "give such an array"
            )
        elif not fits.all():
            row, column = np.argwhere(~fits)[0]
            wanted = "" if np.isinf(high) else f" from {low:g} to below {high:g}"
            problem = (
                f"noise: must be finite numbers{wanted} (got {noise[row, column]:g} at "
                f"[{row}, {column}]); change it, or use noise=None to draw it"
            )
        else:
            return
        raise ValidationError(f"{self.name}: {problem}", attr="noise", obj=self)

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Make the counters, the last output, and the last trigger."""
        if self.period is not None:
            self._steps_in_period(dt)  # raises while the model is built
        output = np.zeros(self.default_size_out, dtype=dtype)
        output[1 : self.policy.size_decision] = self.policy.initial_decision()
        return {
            "steps": np.zeros(1, dtype=np.int64),
            "decisions": np.zeros(1, dtype=np.int64),
            "output": output,
            "trigger": np.zeros(1, dtype=dtype),
        }

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one step."""
        steps, decisions, output, trigger = (
            state[name] for name in ("steps", "decisions", "output", "trigger")
        )
        policy, n_rows = self.policy, self.policy.n_rows
        # drawn before the first step, from the process's own generator
        key = int(rng.randint(2**31))
        noise_of = counted_noise(policy.draw, key, self.noise, self.name)
        every = None if self.period is None else self._steps_in_period(dt)
        decision, pulse = np.split(output, [policy.size_decision])
        decided, held, score = decision[:1], decision[1:], decision[1 : 1 + n_rows]
        duration = np.array(dt, output.dtype)  # divides an array faster than a float

        def is_due(x):
            if every is not None:
                step = steps.item() + 1
                steps[0] = step
                return step % every == 0
            rises = x[-1] > 0.5 >= trigger[0]
            trigger[0] = x[-1]
            return rises

        def step_decision(t, x):
            if is_due(x):
                which, decoded = decisions.item(), x[:n_rows]
                is_greedy = x[n_rows] > 0.5
                noise = policy.greedy_noise(decoded) if is_greedy else noise_of(which)
                held[...] = policy.decide(decoded, noise)
                if is_greedy:  # it was not drawn: nothing can be learned from it
                    score[...] = 0.0
                np.divide(score, duration, pulse)
                decided[0] = 1.0
                decisions[0] = which + 1
            elif decided[0]:
                decided[0] = 0.0
                pulse[...] = 0.0
            return output

        return step_decision

    def _steps_in_period(self, dt):
        every = round(self.period / dt)
        if not np.isclose(every * dt, self.period, rtol=1e-6) or every < 1:
            raise BuildError(
                f"{self.name}: the decision period of {self.period:g} s is no multiple "
                f"of the simulator's step dt={dt:g} s; use a period of "
                f"{max(every, 1) * dt:g} s, or another dt"
            )
        return every


def counted_noise(draw, key, given=None, name="policy"):
    """Make a function that returns the noise of a decision, counted from 0.

    Parameters
    ----------
    draw : callable
        ``draw(generator)`` returns the noise of one decision.
    key : int
        Key of the generator: the noise of decision k depends on key and k alone.
    given : (n_decisions, n_noise) array, optional
        Noise to return instead.
    name : str
        Name of the policy in error messages.

    Returns
    -------
    callable
        ``noise_of(k)``; raises SimulationError if too little noise was given.
    """
    if given is not None:

        def noise_given(decision):
            if decision >= len(given):
                raise SimulationError(
                    f"{name}: decision {decision} has no noise (got {len(given)} "
                    "rows); give more rows, or noise=None to draw it"
                )
            return given[decision]

        return noise_given
    bits = np.random.Philox(key=key)
    generator = np.random.Generator(bits)
    start = bits.state  # setting it is faster than making another generator
    counter = start["state"]["counter"]

    def noise_of(decision):
        # counters that differ in a high word are as good as other seeds
        counter[2] = decision
        bits.state = start
        return draw(generator)

    return noise_of


def network_seed(model, process):
    """Return the seed of a process, derived from the network's seed if it has none.

    The simulator draws random seeds in an order that may differ between two builds of
    one model. Unseeded noise could therefore be neither replayed nor resumed.

    Parameters
    ----------
    model : nengo.builder.Model
        The model that is being built.
    process : nengo.Process
        The process; others of its type that were built before get other seeds.

    Returns
    -------
    int or None
        None if the process has no seed and the model no network.
    """
    if process.seed is not None or model.toplevel is None:
        return process.seed
    before = sum(
        isinstance(getattr(op, "process", None), type(process))
        for op in model.operators
    )
    rng = np.random.RandomState([model.seeds[model.toplevel], before])
    return int(rng.randint(2**31))


@Builder.register(DecisionProcess)
def build_decision_process(model, process, sig_in=None, sig_out=None, mode="set"):
    """Build decisions with a seed that follows from the network's.

    The work is `nengo.builder.processes.build_process`'s.
    """
    process = DecisionProcess(
        process.policy,
        process.period,
        process.noise,
        network_seed(model, process),
        process.name,
    )
    return build_process(model, process, sig_in, sig_out, mode)


class GaussianSampling:
    """Drawing from a Gaussian policy, as `DecisionProcess` uses it."""

    mean_action_is = "mean"

    def __init__(self, spec):
        self.spec = spec
        self.n_rows = spec.n_rows
        self.n_noise = spec.n_actions
        self.noise_bounds = (-np.inf, np.inf)
        self.layout = gaussian.decision_layout(spec.n_rows, spec.n_actions)
        self.size_decision = self.layout["log_density"].stop

    def draw(self, generator):
        """Return the noise of one decision."""
        return generator.standard_normal(self.n_noise)

    def greedy_noise(self, decoded):
        """Return the noise that gives the greedy decision."""
        return np.zeros(self.n_noise)

    def mean_action(self, decoded):
        """Return the mean action, for figures."""
        mean, _ = gaussian.distribution(self.spec, decoded)
        return gaussian.clip_action(mean, self.spec.action_low, self.spec.action_high)

    def entropy(self, decision):
        """Return the entropy of the policy of a decision, in nats."""
        width = decision[self.layout["standard_deviation"]] * np.sqrt(2 * np.pi * np.e)
        return float(np.log(width).sum()) if width.all() else 0.0

    def decide(self, decoded, noise):
        """Return a decision without its first entry, the score first."""
        return np.concatenate(gaussian.decide(self.spec, decoded, noise))

    def initial_decision(self):
        """Return what is put out before the first decision."""
        held = np.zeros(self.size_decision)
        # no environment is sent an action that it does not have
        action = held[self.layout["action"]]
        action[...] = gaussian.clip_action(
            action, self.spec.action_low, self.spec.action_high
        )
        return held[1:]


class SoftmaxSampling:
    """Drawing from a softmax policy, as `DecisionProcess` uses it."""

    mean_action_is = "probability"

    def __init__(self, n_actions):
        gaussian.check_n_actions(n_actions)
        self.n_rows = n_actions
        self.n_noise = 1
        self.noise_bounds = (0.0, 1.0)
        self.size_decision = 1 + 3 * n_actions
        names = ("score", "action", "probabilities")
        self.layout = {
            name: slice(1 + i * n_actions, 1 + (i + 1) * n_actions)
            for i, name in enumerate(names)
        }

    def draw(self, generator):
        """Return the noise of one decision."""
        return generator.random(1)

    def greedy_noise(self, decoded):
        """Return the noise that gives the greedy decision."""
        # the middle of the share of the most probable action
        chances = softmax.probabilities(decoded)
        best = int(np.argmax(chances))
        return np.array([chances[:best].sum() + chances[best] / 2])

    def mean_action(self, decoded):
        """Return the mean action, for figures."""
        return softmax.probabilities(decoded)

    def entropy(self, decision):
        """Return the entropy of the policy of a decision, in nats."""
        chances = decision[self.layout["probabilities"]]
        # p ln p goes to 0 with p
        chances = chances[chances > 0]
        return float(-chances @ np.log(chances))

    def decide(self, decoded, noise):
        """Return a decision without its first entry, the score first."""
        chances = softmax.probabilities(decoded)
        action = softmax.choose(chances, noise[0])
        one_hot = np.zeros_like(chances)
        one_hot[action] = 1.0
        return np.concatenate([softmax.score(chances, action), one_hot, chances])

    def initial_decision(self):
        """Return what is put out before the first decision."""
        return np.zeros(self.size_decision - 1)


def check_timing(network, name, period, trigger):
    """Refuse a policy that does not say when it decides.

    Parameters
    ----------
    network : nengo.Network
        The policy, for the message.
    name : str
        What errors call it.
    period : float or None
        Seconds between decisions.
    trigger : bool
        Whether decisions are triggered.

    Raises
    ------
    ValidationError
        If neither is given, or both, or the period is no time.
    """
    if (period is None) == (not trigger):
        raise ValidationError(
            f"{name} got period={period} and trigger={trigger}; give period=SECONDS to "
            "decide so often, or trigger=True to decide on a signal",
            attr="period",
            obj=network,
        )
    if period is not None and not (is_number(period) and 0.0 < period < np.inf):
        raise ValidationError(
            f"{name} got period={period!r}; give a finite number of seconds above 0, "
            "or trigger=True to decide on a signal",
            attr="period",
            obj=network,
        )
