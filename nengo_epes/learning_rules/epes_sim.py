"""One step of EPES."""

from __future__ import annotations

from nengo.builder.operator import Operator

from nengo_epes.learning_rules.looking import array_of, watch
from nengo_epes.learning_rules.signals import explain_overflow, make_finite_check
from nengo_epes.learning_rules.traces import STEP_STATE


class EPESSim(Operator):
    """One step of EPES: first the trace, then the change of the weights.

    Parameters
    ----------
    reads : dict of str to Signal
        ``activities`` (n_pre,), ``port`` (size_in,), ``eligibility`` at the rows
        (rows,), which only a bounded step needs, ``contribution``, the eligibility that
        the form takes, and ``time`` (1,).
    form : nengo_epes.learning_rules.forms.Form
        Keeps weights and trace.
    rule_type : EPES
        The parameters.
    tag : str, optional
        The name of the rule in error messages.

    Notes
    -----
    1. sets ``[]``
    2. incs ``[]``
    3. reads ``[activities, port, eligibility, contribution, time]``, and the weights
       where the form does
    4. updates the state of the form, and of the bounded step

    Examples
    --------
    One stands in every model with an `EPES`, and says what it reads and changes:

    >>> import nengo
    >>> from nengo_epes import EPES
    >>> with nengo.Network() as net:
    ...     pre, post = nengo.Ensemble(20, 1), nengo.Node(size_in=1)
    ...     conn = nengo.Connection(pre, post, learning_rule_type=EPES())
    ...     signals = nengo.Connection(nengo.Node([0, 1]), conn.learning_rule)
    >>> model = nengo.builder.Model()
    >>> model.build(net)
    >>> (operator,) = (op for op in model.operators if isinstance(op, EPESSim))
    >>> [signal.shape for signal in operator.reads[:2]]
    [(20,), (2,)]
    """

    def __init__(self, reads, form, rule_type, tag=None):
        super().__init__(tag=tag)
        self.rule_type = rule_type
        self.form = form
        self.state_names = tuple(form.state)
        self.sets = []
        self.incs = []
        names = ("activities", "port", "eligibility", "contribution", "time")
        self.reads = [reads[name] for name in names]
        if form.weights is not None:
            self.reads.append(form.weights)
        self.updates = list(form.state.values())

    @property
    def _descstr(self):
        return f"{self.reads[0]}, {self.reads[1]} -> {self.updates[0]}"

    def make_step(self, signals, dt, rng):
        """Make the function of one step; it holds no state of its own."""
        # the optimizer replaces signals, so that they are looked up here and now
        activities, port, eligibility, contribution, time = (
            array_of(signals, sig) for sig in self.reads[:5]
        )
        state = dict(zip(self.state_names, self.updates, strict=True))
        arrays = {name: array_of(signals, sig) for name, sig in state.items()}
        if len(self.reads) > 5:
            arrays["weights"] = array_of(signals, self.reads[5])
        rule = self.rule_type
        rate = rule.learning_rate / len(activities)
        hold = rule.hold.start if "hold" in rule.controls else None
        reset = rule.reset.start if "reset" in rule.controls else None
        memory = arrays.pop(STEP_STATE, None)
        steps = self.form.make_steps(arrays, rule, dt, rng, self.tag)
        kept, keep_up = self._watch(signals, state, arrays, steps, contribution)
        check_finite = make_finite_check(
            self.tag, time, port=port, activities=activities
        )

        def step_epes():
            check_finite()
            advances = hold is None or port[hold] <= 0.5
            if reset is not None and port[reset] > 0.5:
                advances = False
                steps.clear()
            elif advances:
                steps.advance(time.item(), contribution, activities)
            pulse = dt * port.item(0)
            if memory is None:
                steps.change(rate * pulse)
            else:
                now = eligibility, activities, steps.decay if advances else 1.0
                steps.change(rule.step(memory, rate, pulse, steps.trace(), *now))
            if kept:
                keep_up()

        return explain_overflow(step_epes, self.tag, time)

    def _watch(self, signals, state, arrays, steps, contribution):
        """Have looks at weights, trace and change find them up to date.

        Returns the list of what is kept by somebody, and what brings it up to date.
        """
        refresh, forms = self.form.looks(arrays, steps, contribution)
        refreshers = {} if refresh is None else {state["weights"]: refresh}
        formed = {self.form.formed[name]: form for name, form in forms.items()}
        if watch(signals, self, refreshers, formed):
            return signals.held, signals.keep_up
        # another backend: looks cannot be noticed, and may come after every step
        probed = [(signals[s], form) for s, form in formed.items() if s in signals]

        def write():
            if refresh is not None:
                refresh()
            for array, form in probed:
                array[...] = form()

        return (True,), write
