"""Policies: they draw actions from decoded values, and store their scores."""

from __future__ import annotations

import nengo

from nengo_epes.arithmetic import gaussian
from nengo_epes.networks.action_sampling import (
    DecisionProcess,
    GaussianSampling,
    SoftmaxSampling,
    check_timing,
)


class _Policy(nengo.Network):
    """The nodes that all policies have."""

    def __init__(self, policy, period, trigger, noise, label, seed, add_to_container):
        super().__init__(label=label, seed=seed, add_to_container=add_to_container)
        kind = type(self).__name__
        name = kind if label is None else f"{kind} {label!r}"
        check_timing(self, name, period, trigger)
        with self:
            process = DecisionProcess(policy, period, noise, seed, name)
            drawing = nengo.Node(
                process, size_in=process.default_size_in, label="decisions"
            )
            self.input = nengo.Node(size_in=policy.n_rows, label="input")
            nengo.Connection(self.input, drawing[: policy.n_rows], synapse=None)
            self.greedy = nengo.Node(size_in=1, label="greedy")
            nengo.Connection(self.greedy, drawing[policy.n_rows], synapse=None)
            self.trigger = None
            if trigger:
                self.trigger = nengo.Node(size_in=1, label="trigger")
                nengo.Connection(self.trigger, drawing[policy.n_rows + 1], synapse=None)
            parts = {
                "action": policy.layout["action"],
                "score": slice(policy.size_decision, None),
                "decision": slice(0, policy.size_decision),
            }
            for name, where in parts.items():
                size = len(range(process.default_size_out)[where])
                node = nengo.Node(size_in=size, label=name)
                nengo.Connection(drawing[where], node, synapse=None)
                setattr(self, name, node)
        # nats, of an output of the node ``decision``; 0 before the first decision
        self.entropy = policy.entropy
        # for figures: mean actions (..., actions) of decoded values (..., n_values)
        self.mean_action = policy.mean_action
        self.mean_action_is = policy.mean_action_is


class GaussianPolicy(_Policy):
    r"""Draws continuous actions from a Gaussian, and stores their scores.

    .. math:: y \sim N(\mu, \sigma^2), \quad \mu = f(m), \quad \sigma = e^l

    with the decoded means m and log standard deviations l. Between decisions the action
    is held. The node ``score`` outputs the score over ``dt`` in one simulator step. The
    score, d ln N / d(m, l), is the characteristic eligibility for `~nengo_epes.EPES`.
    For `~nengo_epes.GaussianREINFORCE`, connect ``decision`` instead.

    Parameters
    ----------
    n_actions : int, optional
        Dimensions of the action.
    period : float, optional
        Seconds between decisions, a multiple of dt. The first decision is at the end of
        the first period. The action before it is the action within the bounds that is
        nearest to 0.
    trigger : bool, optional
        Whether to decide when the node ``trigger`` rises above 0.5, instead of
        periodically.
    mean_activation, fixed_std, log_std_bounds, action_low, action_high : optional
        See `nengo_epes.arithmetic.gaussian.GaussianPolicySpec`.
    clip_before_score : bool, optional
        False: the action is clipped only towards the environment. True: the clipped
        action is scored, which biases learning.
    variance_scaled : bool, optional
        Williams' step proportional to sigma^2 for the mean, so that it does not grow
        as the standard deviation shrinks.
    stop_at_bounds : bool, optional
        Whether the score of a log standard deviation beyond ``log_std_bounds`` is 0, as
        in ngc-learn. It then never learns again. False: its score is the same as within
        the bounds, and the reward can lead it back.
    noise : array_like, optional
        Standard normal noise of shape (decisions, n_actions) to use instead of the
        policy's own.
    label, seed, add_to_container : optional
        Parameters of `nengo.Network`. The seed is also the seed of the noise. None: it
        is derived from the seed of the whole network.

    Raises
    ------
    ValidationError
        If neither a period nor a trigger is given, or both; if the noise does not fit.
    ValueError
        If bounds are crossed or a standard deviation is not positive.
    BuildError
        When the model is built, if the period is no multiple of dt.

    Notes
    -----
    Nodes: ``input`` (2A, or A with a fixed standard deviation), ``greedy`` (1; above
    0.5 the action is the mean, and the score is 0), ``trigger`` (1) or None, ``action``
    (A), ``score`` (as the input) and ``decision``
    (`nengo_epes.arithmetic.gaussian.decision_layout`).

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.networks import GaussianPolicy
    >>> with nengo.Network() as net:
    ...     policy = GaussianPolicy(period=0.01, fixed_std=0.5, noise=[[1.0], [-1.0]])
    ...     mean = nengo.Connection(nengo.Node(2.0), policy.input, synapse=None)
    ...     probe = nengo.Probe(policy.action, sample_every=0.01)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.02)
    >>> sim.data[probe][:, 0].tolist()
    [2.5, 1.5]
    """

    def __init__(
        self,
        n_actions=1,
        period=None,
        trigger=False,
        *,
        mean_activation="identity",
        fixed_std=None,
        log_std_bounds=(-10.0, 2.0),
        action_low=None,
        action_high=None,
        clip_before_score=False,
        variance_scaled=True,
        stop_at_bounds=False,
        noise=None,
        label=None,
        seed=None,
        add_to_container=None,
    ):
        spec = gaussian.GaussianPolicySpec(
            n_actions,
            mean_activation,
            fixed_std,
            log_std_bounds,
            action_low,
            action_high,
            clip_before_score,
            variance_scaled,
            stop_at_bounds,
        )
        sampling = GaussianSampling(spec)
        super().__init__(
            sampling, period, trigger, noise, label, seed, add_to_container
        )


class SoftmaxPolicy(_Policy):
    r"""Draws one of several actions, and stores its score.

    .. math:: \pi_i = e^{h_i} / \sum_j e^{h_j}

    with the decoded preferences h. The score is centred, 1[i = k] - pi_i for the
    action k; feed it to `~nengo_epes.EPES`.

    Parameters
    ----------
    n_actions : int
        Number of actions.
    period, trigger, label, seed, add_to_container
        See `GaussianPolicy`.
    noise : array_like, optional
        Uniform numbers of [0, 1), shape (decisions, 1), to use instead of the policy's
        own.

    Raises
    ------
    ValidationError
        If neither a period nor a trigger is given, or both; if the noise does not fit.

    Notes
    -----
    Nodes: ``input`` (n_actions), ``greedy`` (1), ``trigger`` (1) or None, ``action``
    (n_actions), ``score`` (n_actions) and ``decision``. If ``greedy`` is above 0.5, the
    policy takes the most probable action, and the score is 0. ``action`` is 1 for the
    chosen action and 0 for all others. ``decision`` has a 1 in the step of a decision,
    then score, action and probabilities.

    Examples
    --------
    >>> import nengo
    >>> from nengo_epes.networks import SoftmaxPolicy
    >>> with nengo.Network() as net:
    ...     policy = SoftmaxPolicy(2, period=0.01, noise=[[0.2], [0.7]])
    ...     probe = nengo.Probe(policy.action, sample_every=0.01)
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     sim.run(0.02)
    >>> sim.data[probe].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(
        self,
        n_actions,
        period=None,
        trigger=False,
        *,
        noise=None,
        label=None,
        seed=None,
        add_to_container=None,
    ):
        sampling = SoftmaxSampling(n_actions)
        super().__init__(
            sampling, period, trigger, noise, label, seed, add_to_container
        )
