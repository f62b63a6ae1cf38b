"""Translations: how a kind of operator becomes rows of the table.

A translation is a function of the table and an operator. It returns a list of rows, or
None to decline. `Table` gives the operands, and declines by itself what it cannot give.
An operator that has no translation, or declines, runs as Nengo's Python function.
"""

from __future__ import annotations

import math

import nengo
import numpy as np
from nengo.builder import operator as ops
from nengo.builder.learning_rules import SimPES
from nengo.builder.neurons import SimNeurons
from nengo.builder.processes import SimProcess

from nengo_epes.arithmetic import updates
from nengo_epes.arithmetic.step_sizes import Intentional
from nengo_epes.arithmetic.surrogates import PiecewiseLinear
from nengo_epes.compiled import kernels as kn
from nengo_epes.learning_rules.divergence import largest_input
from nengo_epes.learning_rules.epes import EPESSim
from nengo_epes.learning_rules.postsynaptic import (
    AdaptedActivitiesSim,
    PostDerivativeSim,
)
from nengo_epes.learning_rules.stdp import RewardSTDPSim
from nengo_epes.learning_rules.traces import is_exponential
from nengo_epes.networks.actor_critic import ActorCriticProcess
from nengo_epes.networks.normalization import ObservationNormalization, RewardScaling
from nengo_epes.synapses import LTI, Delay, TappedDelay

TRANSLATIONS = {}


def translates(*kinds):
    """Register a translation of kinds of operators, or of processes.

    Parameters
    ----------
    *kinds : type
        Subclasses of `nengo.builder.Operator`; a subclass of one of them has no
        translation, because it may do anything. Or subclasses of `nengo.Process`, whose
        translation also receives the positions of input and output, and their size.

    Examples
    --------
    >>> from nengo.builder import Operator
    >>> class CountUp(Operator):
    ...     "Adds 1 to a signal in every step."
    >>> @translates(CountUp)
    ... def count_up(table, op):
    ...     signal = op.updates[0]
    ...     one = table.constants(np.ones(signal.size))
    ...     start, n = table.start(signal), signal.size
    ...     return [(kn.COMBINE, start, table.one, start, table.one, one, n)]
    """

    def register(translation):
        TRANSLATIONS.update(dict.fromkeys(kinds, translation))
        return translation

    return register


class DeclinedError(Exception):
    """An operator runs in Python."""


class Table:
    """The rows of a model, and positions of signals and constants in two arrays.

    Positions and sizes are checked here, once. Kernels rely on them.

    Parameters
    ----------
    signals : nengo.builder.signal.SignalDict
        The arrays of the model.
    dtype : dtype
        Type of the numbers; signals of another type than this or int64 decline.
    dt : float
        Simulator step in seconds.
    operators : iterable of nengo.builder.Operator
        The operators of the model.

    Examples
    --------
    See `translates`.
    """

    def __init__(self, signals, dtype, dt, operators):
        self.dtype, self.dt = np.dtype(dtype), dt
        self.rows = []
        # changes of weights that cannot overflow: their inputs are limited
        rules = EPESSim, RewardSTDPSim
        self.changes = {op.updates[0] for op in operators if type(op) in rules}
        self._sizes = {self.dtype: 0, np.dtype(np.int64): 0}
        self._starts, self._parts = {}, {dtype: [] for dtype in self._sizes}
        for signal in signals:
            if signal.base is signal and not signal.sparse:
                if signal.dtype in self._sizes:
                    self._starts[signal] = self._append(signals[signal])
        self.largest = self.constants(np.finfo(self.dtype).max)
        self.one, self.minus_one = self.constants(1.0), self.constants(-1.0)

    def _append(self, array):
        start = self._sizes[array.dtype]
        self._parts[array.dtype].append(array.reshape(-1))
        self._sizes[array.dtype] += array.size
        return start

    def constants(self, *values):
        """Store numbers, or arrays of numbers; return where the first is."""
        flat = np.concatenate([np.ravel(value) for value in values])
        return self._append(flat.astype(self.dtype))

    def indices(self, values):
        """Store integers; return where the first is."""
        return self._append(np.ravel(values).astype(np.int64))

    def work(self, size):
        """Reserve working memory; return where it starts."""
        return self._append(np.zeros(size, self.dtype))

    def inside(self, signal, dtype=None):
        """Return where a signal starts; decline if it is not in the arrays.

        The rest is inside, too: numpy has checked the strides of each view.
        """
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        base = signal.base
        if base not in self._starts or signal.dtype != dtype or signal.size == 0:
            raise DeclinedError
        return self._starts[base] + signal.elemoffset

    def start(self, signal, dtype=None):
        """Return where a signal starts; decline if it is not contiguous."""
        if not is_contiguous(signal):
            raise DeclinedError
        return self.inside(signal, dtype)

    def strided(self, signal):
        """Return start of a vector or matrix and distance of its entries or rows."""
        distance, *strides = signal.elemstrides
        if strides not in ([], [1]):
            raise DeclinedError
        return self.inside(signal), 0 if signal.size == 1 else distance

    def places(self, signal):
        """Return the positions of all entries of a signal, in its shape."""
        places = np.full(signal.shape, self.inside(signal))
        for axis, stride in enumerate(signal.elemstrides):
            places += stride * np.indices(signal.shape)[axis]
        return places

    def read(self, signal, rows):
        """Return where a signal starts, after a row that makes it contiguous."""
        if is_contiguous(signal):
            return self.start(signal)
        return self.gather(self.places(signal), rows)

    def gather(self, places, rows):
        """Add a row that copies numbers to working memory; return where it starts."""
        size = places.size
        work = self.work(size)
        targets = self.indices(np.arange(work, work + size))
        rows.append((kn.GATHER, targets, self.indices(places), size))
        return work

    def check(self, start, size, limit=None):
        """Return a row that declines if a number is not finite or beyond a limit."""
        return kn.CHECK, start, size, self.largest if limit is None else limit

    def increment(self, signal, start, finite=False):
        """Return rows that add numbers to a signal; say if they are surely finite."""
        n, one, check = signal.size, self.one, self.check(start, signal.size)
        if is_contiguous(signal):
            y = self.start(signal)
            row = kn.COMBINE, y, one, y, one, start, n
            return [row] if finite else [check, row]
        sources = self.indices(np.arange(start, start + n))
        targets = self.indices(self.places(signal))
        return [check, (kn.GATHER_ADD, targets, sources, n)]

    def combination(self, y, coefficients, vectors, n):
        """Return rows that set y to a sum of two or more numbers times vectors."""
        (p, x), (q, z), *more = zip(coefficients, vectors, strict=True)
        rows = [(kn.COMBINE, y, self.constants(p), x, self.constants(q), z, n)]
        for p, x in more:
            rows.append((kn.COMBINE, y, self.one, y, self.constants(p), x, n))
        return rows

    def translate(self, op):
        """Add the rows of an operator, and return whether it has any."""
        translation = TRANSLATIONS.get(type(op))
        try:
            rows = None if translation is None else translation(self, op)
        except DeclinedError:
            rows = None
        self.rows.extend(rows or [])
        return rows is not None

    def allocate(self, signals):
        """Move signals, constants and rows to three arrays, and return these.

        The arrays of the model become views.
        """
        arrays = {
            dtype: np.concatenate([np.zeros(0, dtype), *parts])
            for dtype, parts in self._parts.items()
        }
        for signal in signals:
            if signal.base in self._starts:
                start = self._starts[signal.base] + signal.elemoffset
                where = start * signal.itemsize, signal.strides
                buffer = arrays[signal.dtype]
                array = np.ndarray(signal.shape, signal.dtype, buffer, *where)
                array.setflags(write=not signal.readonly)
                dict.__setitem__(signals, signal, array)
        table = np.zeros((len(self.rows), kn.WIDTH), np.int64)
        for at, row in enumerate(self.rows):
            table[at, : len(row)] = row
        return *arrays.values(), table


def is_contiguous(signal):
    """Return whether the entries of a signal lie side by side, in order."""
    return not signal.sparse and signal.initial_value.flags.c_contiguous


@translates(ops.TimeUpdate)
def time_update(table, op):
    """Advance the clock."""
    step = table.start(op.step, np.int64)
    return [(kn.TIME, step, table.start(op.time), table.constants(table.dt))]


@translates(ops.Reset)
def reset(table, op):
    """Set a signal to a number."""
    if np.ndim(op.value):
        return None
    return [(kn.FILL, table.start(op.dst), table.constants(op.value), op.dst.size)]


@translates(ops.Copy)
def copy(table, op):
    """Copy or add a signal, or a part of it, to another."""
    src, dst, n, rows = op.src, op.dst, op.dst.size, []
    if src.may_share_memory(dst):
        return None
    if op.src_slice is None and op.dst_slice is None and src.shape == dst.shape:
        start = table.read(src, rows)
        if op.inc:
            return rows + table.increment(dst, start, finite=src in table.changes)
        if is_contiguous(dst):
            return [*rows, (kn.COPY, table.start(dst), start, n)]
    parts = (dst, op.dst_slice), (src, op.src_slice)
    targets, sources = (
        table.places(signal)[... if part is None else part] for signal, part in parts
    )
    if sources.size > 1 and sources.shape != targets.shape:
        return None
    n, targets = targets.size, table.indices(targets)
    work = table.gather(np.broadcast_to(sources.ravel(), n), rows)
    places = table.indices(np.arange(work, work + n))
    if not op.inc:
        return [*rows, (kn.GATHER, targets, places, n)]
    return [*rows, table.check(work, n), (kn.GATHER_ADD, targets, places, n)]


@translates(ops.ElementwiseInc)
def elementwise(table, op):
    """Add a product of entries."""
    rows, factors = [], []
    for signal in (op.A, op.X):
        if signal.size > 1 and signal.shape != op.Y.shape:
            return None
        factors += [table.read(signal, rows), signal.size]
    work = table.work(op.Y.size)
    rows.append((kn.MULTIPLY, work, op.Y.size, *factors))
    return rows + table.increment(op.Y, work)


@translates(ops.DotInc)
def dot(table, op):
    """Add the product of a matrix and a vector."""
    if op.A.ndim != 2 or op.X.ndim != 1 or op.Y.ndim != 1:
        return None
    start, distance = table.strided(op.A)
    rows, work = [], table.work(op.Y.size)
    x = table.read(op.X, rows)
    rows.append((kn.DOT, work, start, distance, x, *op.A.shape))
    return rows + table.increment(op.Y, work)


@translates(ops.BsrDotInc)
def blocks(table, op):
    """Add products of matrices and vectors, which Nengo's optimizer makes."""
    _, height, width = op.A.shape
    fits = (max(op.indices) + 1) * width <= op.X.size
    fits &= op.Y.size == len(op.indices) * height
    if not (fits and np.array_equal(op.indptr, np.arange(len(op.indptr)))):
        return None
    A, x, y = table.start(op.A), table.start(op.X), table.work(op.Y.size)
    rows = []
    for i, j in enumerate(op.indices):
        places = y + i * height, A + i * height * width, width, x + j * width
        rows.append((kn.DOT, *places, height, width))
    return rows + table.increment(op.Y, y)


@translates(SimNeurons)
def neurons(table, op):
    """Do a step of neurons."""
    kind, n, dt = op.neurons, op.J.size, table.dt
    current, out = table.start(op.J), table.start(op.output)
    state = {name: table.start(signal) for name, signal in op.state.items()}
    if type(kind) in (nengo.LIF, nengo.AdaptiveLIF):
        full = np.expm1(-np.array([dt], table.dtype) / kind.tau_rc)
        c = dt, kind.tau_rc, kind.tau_ref, kind.min_voltage, kind.amplitude / dt, full
        places = state["voltage"], state["refractory_time"]
        row = kn.LIF, out, *places, n, table.constants(*c)
    elif type(kind) in (nengo.LIFRate, nengo.AdaptiveLIFRate):
        c = kind.tau_rc, kind.tau_ref, kind.amplitude
        row = kn.LIF_RATE, out, n, table.constants(*c)
    elif type(kind) is nengo.RectifiedLinear:
        row = kn.RECTIFY, out, n, table.constants(kind.amplitude)
    elif type(kind) is nengo.SpikingRectifiedLinear:
        c = dt, kind.amplitude / dt
        row = kn.SPIKE, out, state["voltage"], n, table.constants(*c)
    else:
        return None
    check = table.check(current, n)
    if "adaptation" not in state:
        return [check, (kn.COPY, out, current, n), row]
    adaptation, work = state["adaptation"], table.work(n)
    one, minus = table.one, table.minus_one
    inc, rate = table.constants(kind.inc_n), table.constants(dt / kind.tau_n)
    return [
        check,
        (kn.COMBINE, out, one, current, minus, adaptation, n),
        row,
        (kn.COMBINE, work, inc, out, minus, adaptation, n),
        (kn.COMBINE, adaptation, one, adaptation, rate, work, n),
    ]


@translates(SimProcess)
def process(table, op):
    """Do a step of a process that has a translation."""
    translation = TRANSLATIONS.get(type(op.process))
    if translation is None or op.input is None:
        return None
    rows, n, process = [], op.input.size, op.process
    fits = n == op.output.size
    if not isinstance(process, nengo.synapses.Synapse):
        sizes = process.default_size_in, process.default_size_out
        fits = (n, op.output.size) == sizes
    if not fits:
        return None
    start = table.read(op.input, rows)
    rows.append(table.check(start, n))
    increments = op.mode == "inc"
    y = table.work(n) if increments else table.start(op.output)
    found = translation(table, process, op.state, start, y, n)
    if found is None:
        return None
    return rows + found + (table.increment(op.output, y) if increments else [])


@translates(nengo.Lowpass, nengo.Alpha, nengo.synapses.LinearFilter, LTI)
def linear(table, synapse, state, u, y, n):
    """Filter n numbers, from u to y."""
    A, B, C, D = synapse._get_ss(table.dt)
    q = len(A)
    if not q:
        return [(kn.MULTIPLY, y, n, u, n, table.constants(D), 1)]
    X = table.start(state["X"])
    if q == 1 and not D.any():
        a, b = table.constants(A), table.constants(C.item() * B.item())
        return [(kn.COMBINE, X, a, X, b, u, n), (kn.COPY, y, X, n)]
    work, rows = table.work(q * n), [table.check(X, q * n)]
    old, new = ([start + i * n for i in range(q)] for start in (X, work))
    for i in range(q):
        rows += table.combination(new[i], [*A[i], B.item(i)], [*old, u], n)
    if D.any():
        rows += table.combination(y, [*C.flat, D.item()], [*old, u], n)
    else:
        rows += table.combination(y, C.flat, new, n)
    return [*rows, (kn.COPY, X, work, q * n)]


@translates(Delay, TappedDelay)
def delay(table, synapse, state, u, y, n):
    """Delay n numbers, from u to y."""
    buffer, length = table.start(state["buffer"]), state["buffer"].shape[0]
    position = table.start(state["position"], np.int64)
    ages = np.array(synapse.lags) - (0 if synapse.has_passthrough else 1)
    lists = table.indices(ages), table.constants(*synapse.weights)
    return [(kn.DELAY, u, buffer, y, n, length, position, len(ages), *lists)]


@translates(SimPES)
def pes(table, op):
    """Set the change of `nengo.PES`."""
    rows, (m, n) = [], op.delta.shape
    a, error = table.read(op.pre_filtered, rows), table.read(op.error, rows)
    rate = table.constants(-op.learning_rate * table.dt / n)
    row = kn.OUTER, table.start(op.delta), error, 1, a, 0, rate, m, n
    return [*rows, table.check(a, n), table.check(error, m), row]


@translates(EPESSim)
def epes(table, op):
    """Do a step of `~nengo_epes.EPES`, without a dutch trace or the step `ObGD`."""
    rule, (m, n), dt, rows = op.rule_type, op.delta.shape, table.dt, []
    synapse, limit = rule.trace_synapse, table.constants(largest_input(table.dtype))
    port, a = table.start(op.port), table.read(op.activities, rows)
    rows += [table.check(port, op.port.size, limit), table.check(a, n, limit)]
    each = (a, 0) if op.adapted is None else (table.start(op.adapted), n)
    inputs = *each, *table.strided(op.eligibility), *table.strided(op.third_factor)
    trace, delta = table.inside(op.trace), table.start(op.delta)
    n_rows = 1 if op.equal_rows else m
    memory, bounded = -1, []
    if rule.trace_type == "dutch" or type(rule.step) not in (type(None), Intentional):
        return None
    if rule.step is not None:
        step, memory = rule.step, table.start(op.memory)
        values = step.eta, step.clip, step.delta_decay, step.floor, step.shrink
        bounded = [math.nan if value is None else value for value in values]
        bounded.append(float(step.normalize))
    weights = -1 if op.weights is None else table.start(op.weights)
    controls = [
        port + getattr(rule, name).start if name in rule.controls else -1
        for name in ("hold", "reset")
    ]
    decay, kind = 0.0, kn.GIVEN
    if synapse is None or is_exponential(synapse):
        decay = 0.0 if synapse is None else updates.trace_decay(synapse.tau, dt)
        kind = kn.REPLACING if rule.trace_type == "replacing" else kn.ACCUMULATING
    elif rule.controls or type(synapse) not in TRANSLATIONS:
        return None
    else:  # delta is working memory until it is computed
        rows.append((kn.OUTER, delta, *inputs[2:4], *each, table.one, n_rows, n))
        places = delta, trace, n_rows * n
        rows += TRANSLATIONS[type(synapse)](table, synapse, op.trace_state, *places)
    rate, bounds = rule.learning_rate / n, rule.weight_bounds or (math.nan, math.nan)
    factors = (rate, dt) if rule.size_td_error == 1 else (rate * dt, 1.0)
    smallest, period = updates.subnormal_guard(decay, table.dtype)
    c = table.constants(decay, smallest, *factors, rule.weight_decay * dt, *bounds)
    steps = table.start(op.n_steps, np.int64), period, kind, c
    step = memory, table.constants(*bounded, 0.0)
    row = *inputs, trace, delta, weights, n, n_rows, m, *controls, *steps, *step
    return [*rows, (kn.EPES, *row)]


@translates(PostDerivativeSim)
def post_derivative(table, op):
    """Set a piecewise linear pseudo-derivative of spiking post neurons."""
    rows, psi, (out,) = [], op.surrogate, op.sets
    if type(psi) is not PiecewiseLinear:
        return None
    places = [table.read(signal, rows) for signal in op.reads]
    rows += [table.check(place, out.size) for place in places]
    c = table.constants(psi.gamma, psi.beta, table.dt)
    return [*rows, (kn.PSI, *places, table.start(out), out.size, c)]


@translates(AdaptedActivitiesSim)
def adapted_activities(table, op):
    """Subtract the derivative of the adaptation from activities."""
    rows, (activities, psi, n_steps) = [], op.reads
    (adapted,), (adaptation,), kind = op.sets, op.updates, op.neuron_type
    a, p = table.read(activities, rows), table.read(psi, rows)
    rows += [table.check(a, activities.size), table.check(p, psi.size)]
    smallest, period = updates.subnormal_guard(0.5, table.dtype)
    by_spike = kind.amplitude * kind.inc_n / kind.tau_n
    c = table.constants(smallest, 1 - table.dt / kind.tau_n, by_spike)
    places = table.start(adapted), table.start(adaptation), p, a
    step = table.start(n_steps, np.int64)
    return [*rows, (kn.ADAPT, *places, *adapted.shape, step, period, c)]


@translates(RewardSTDPSim)
def reward_stdp(table, op):
    """Do a step of `~nengo_epes.RewardSTDP` with additive changes."""
    rule, dt, rows = op.rule_type, table.dt, []
    pre, post, port, *weights = op.reads
    delta, trace, *traces, n_steps = op.updates
    if rule.weight_dependence == "multiplicative":
        return None
    outputs = [table.read(signal, rows) for signal in (pre, post)]
    start = table.start(port)
    limit = table.constants(largest_input(table.dtype))
    controls = [
        start + getattr(rule, name).start if name in rule.controls else -1
        for name in ("hold", "reset")
    ]
    decays = [
        0.0 if synapse is None else updates.trace_decay(synapse.tau, dt)
        for synapse in (rule.pre_synapse, rule.post_synapse, rule.trace_synapse)
    ]
    guards = [updates.subnormal_guard(decay, table.dtype) for decay in decays]
    smallest, period = min(size for size, _ in guards), min(p for _, p in guards)
    per_pair = (1.0 - decays[2]) / dt
    c = table.constants(
        *(dt / area for area in op.areas),
        *decays,
        smallest,
        per_pair * rule.potentiation,
        per_pair * rule.depression,
        rule.learning_rate * dt,
        0.0,
        *(rule.weight_bounds or (math.nan, math.nan)),
    )
    places = (*(table.start(signal) for signal in (*traces, trace, delta)),)
    weights = table.start(*weights) if weights else -1
    row = *outputs, *places, weights, pre.size, post.size, start, *controls
    steps = table.start(n_steps, np.int64), period, table.work(pre.size + post.size)
    return [*rows, table.check(start, port.size, limit), (kn.STDP, *row, *steps, c)]


@translates(ObservationNormalization)
def normalization(table, process, state, u, y, n):
    """Normalize observations by running statistics."""
    if process.statistics is not None or not process.normalized:
        return None
    point, statistics = table.start(state["point"]), table.start(state["statistics"])
    clip = table.constants(process.clip)
    return [(kn.NORMALIZE, u, point, y, n - 1, statistics, clip)]


@translates(RewardScaling)
def reward_scaling(table, process, state, u, y, n):
    """Scale rewards by running statistics."""
    statistics = table.start(state["statistics"])
    return [(kn.REWARD, u, statistics, y, table.constants(process.discount))]


@translates(ActorCriticProcess)
def actor_critic(table, process, state, u, y, n):
    """Send TD errors; decisions run in Python."""
    output, last = table.start(state["output"]), table.start(state["last"])
    starts = table.start(state["starts"], np.int64)
    c = table.constants(process.discount, table.dt)
    return [(kn.ACTOR_CRITIC, u, output, y, process.size, last, starts, c)]
