"""When a policy decides, and with what noise: shared by all policies."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.builder import Builder
from nengo.builder.processes import build_process
from nengo.exceptions import BuildError, SimulationError, ValidationError
from nengo.params import NdarrayParam, NumberParam, Parameter


class DecisionProcess(nengo.Process):
    """Draws one action a decision, holds it, and tells of it once.

    The input is what was decoded for the policy, then whether to be greedy (above 0.5:
    the most probable action, not a random one), and then, where there is no period, the
    trigger. The output is the decision (whose first entry is 1 in the step of the
    decision and 0 in all others, while the rest is held), then the score as a pulse:
    the score over ``dt`` in the step of the decision, 0 in all others, so that its
    integral over time is the score.

    The noise of decision k depends on the seed and k alone, and k is a signal of the
    model: so it can be replayed, and goes on where a pickled simulation stopped.

    Parameters
    ----------
    policy : object
        Has ``n_rows``, ``n_noise`` and ``size_decision``, ``draw(generator)``, which
        returns the noise of one decision, ``decide(decoded, noise)``, which returns a
        decision without its first entry (the score comes first), and
        ``greedy_noise(decoded)``, the noise with which that is the greedy one.
    period : float or None
        Seconds between decisions, the first at the end of the first period; None for
        a decision whenever the trigger rises above 0.5.
    noise : (n_decisions, n_noise) array or None
        The noise to use instead of what would be drawn.
    seed : int or None
        Of the noise; None for one that follows from that of the whole network.
    """

    policy = Parameter("policy")
    period = NumberParam("period", low=0, low_open=True, optional=True)
    noise = NdarrayParam("noise", shape=("*", "*"), optional=True)

    def __init__(self, policy, period, noise=None, seed=None):
        size_in = policy.n_rows + 1 + (period is None)
        super().__init__(
            default_size_in=size_in,
            default_size_out=policy.size_decision + policy.n_rows,
            seed=seed,
        )
        self.policy = policy
        self.period = period
        self.noise = noise
        if noise is not None and not np.isfinite(self.noise).all():
            raise ValidationError(
                "noise must be finite numbers", attr="noise", obj=self
            )
        if noise is not None and self.noise.shape[1] != policy.n_noise:
            raise ValidationError(
                f"noise of shape {self.noise.shape} was given, but a decision takes "
                f"{policy.n_noise}: give an array (decisions, {policy.n_noise})",
                attr="noise",
                obj=self,
            )

    def make_state(self, shape_in, shape_out, dt, dtype=None):
        """Make the counters, the held decision, and the last trigger."""
        if self.period is not None:
            self._steps_in_period(dt)  # refused while the model is built
        return {
            "steps": np.zeros(1, dtype=np.int64),
            "decisions": np.zeros(1, dtype=np.int64),
            "held": np.zeros(self.policy.size_decision - 1, dtype=dtype),
            "trigger": np.zeros(1, dtype=dtype),
        }

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one step."""
        steps, decisions, held, trigger = (
            state[name] for name in ("steps", "decisions", "held", "trigger")
        )
        policy, n_rows = self.policy, self.policy.n_rows
        # drawn here, before the first step, from a generator that is the process's own
        key = int(rng.randint(2**31))
        every = None if self.period is None else self._steps_in_period(dt)

        def is_due(x):
            steps[0] += 1
            if every is not None:
                return steps[0] % every == 0
            rises = x[-1] > 0.5 >= trigger[0]
            trigger[0] = x[-1]
            return rises

        def step_decision(t, x):
            due = is_due(x)
            if due:
                decoded, greedy = x[:n_rows], x[n_rows] > 0.5
                noise = (
                    policy.greedy_noise(decoded)
                    if greedy
                    else self.noise_of(int(decisions[0]), key)
                )
                held[...] = policy.decide(decoded, noise)
                decisions[0] += 1
            pulse = held[:n_rows] / dt if due else np.zeros(n_rows)
            return np.concatenate([[float(due)], held, pulse])

        return step_decision

    def _steps_in_period(self, dt):
        every = round(self.period / dt)
        if not np.isclose(every * dt, self.period, rtol=1e-6) or every < 1:
            raise BuildError(
                f"the decision period of {self.period:g} s is no multiple of the "
                f"simulator's step dt={dt:g} s; use a period of "
                f"{max(every, 1) * dt:g} s, or another dt"
            )
        return every

    def noise_of(self, decision, key):
        """Return the noise of a decision, counted from 0.

        Parameters
        ----------
        decision : int
            Which.
        key : int
            What the seed gave.

        Raises
        ------
        SimulationError
            If the noise that was handed in is used up.
        """
        if self.noise is None:
            # counters that differ in a high word are as good as other seeds
            bits = np.random.Philox(key=key, counter=[0, 0, decision, 0])
            return self.policy.draw(np.random.Generator(bits))
        if decision >= len(self.noise):
            raise SimulationError(
                f"decision {decision} has no noise: only {len(self.noise)} rows were "
                "handed in; give more, or noise=None to have it drawn"
            )
        return self.noise[decision]


@Builder.register(DecisionProcess)
def build_decision_process(model, process, sig_in=None, sig_out=None, mode="set"):
    """Build decisions with a seed of their own, whatever else the model draws.

    The simulator hands out its random numbers in an order that may differ between two
    builds of one model, so that unseeded noise could be neither replayed nor resumed.
    The work is `nengo.builder.processes.build_process`'s.
    """
    if process.seed is None and model.toplevel is not None:
        before = sum(
            isinstance(getattr(op, "process", None), DecisionProcess)
            for op in model.operators
        )
        rng = np.random.RandomState([model.seeds[model.toplevel], before])
        process = DecisionProcess(
            process.policy, process.period, process.noise, seed=int(rng.randint(2**31))
        )
    return build_process(model, process, sig_in, sig_out, mode)


def check_timing(network, period, trigger):
    """Refuse a policy that does not say when it decides.

    Parameters
    ----------
    network : nengo.Network
        The policy, for the message.
    period : float or None
        Seconds between decisions.
    trigger : bool
        Whether decisions are triggered.

    Raises
    ------
    ValidationError
        If neither is given, or both.
    """
    if (period is None) == (not trigger):
        raise ValidationError(
            f"got period={period} and trigger={trigger}; give period=SECONDS to decide "
            "so often, or trigger=True to decide on a signal",
            attr="period",
            obj=network,
        )
