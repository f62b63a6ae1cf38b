"""Translations: how a kind of operator becomes rows of the table.

A translation is a function of the table and an operator. It returns a list of rows, or
None to decline. `Table` gives the operands, and declines by itself what it cannot give.
An operator that has no translation, or declines, runs as Nengo's Python function.
"""

from __future__ import annotations

import math

import nengo
import numpy as np
from nengo.builder.learning_rules import SimPES
from nengo.builder.neurons import SimNeurons
from nengo.builder.operator import (
    BsrDotInc,
    Copy,
    DotInc,
    ElementwiseInc,
    Reset,
    TimeUpdate,
)
from nengo.builder.processes import SimProcess

from nengo_epes.arithmetic import surrogates, updates
from nengo_epes.compiled import kernels as kn
from nengo_epes.learning_rules.divergence import largest_input
from nengo_epes.learning_rules.epes import EPESSim
from nengo_epes.learning_rules.postsynaptic import (
    AdaptedActivitiesSim,
    PostDerivativeSim,
)
from nengo_epes.learning_rules.reinforce import GaussianREINFORCESim
from nengo_epes.learning_rules.traces import is_exponential
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
    ...     return [(kn.ADD, table.start(signal), one, signal.size)]
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
    """

    def __init__(self, signals, dtype, dt):
        self.dtype, self.dt = np.dtype(dtype), dt
        self.rows = []
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
        """Return where a signal starts; decline if it is not in the arrays."""
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        base = signal.base
        if base not in self._starts or signal.dtype != dtype or signal.size == 0:
            raise DeclinedError
        zero = self._starts[base]
        start = zero + signal.elemoffset
        spans = [
            stride * (n - 1)
            for stride, n in zip(signal.elemstrides, signal.shape, strict=True)
        ]
        lowest = start + sum(span for span in spans if span < 0)
        highest = start + sum(span for span in spans if span > 0)
        if not zero <= lowest <= highest < zero + base.size:
            raise DeclinedError
        return start

    def start(self, signal, dtype=None):
        """Return where a signal starts; decline if it is not contiguous."""
        if not is_contiguous(signal):
            raise DeclinedError
        return self.inside(signal, dtype)

    def vector(self, signal):
        """Return start and distance of the entries of a vector, 0 for one entry."""
        if signal.ndim != 1:
            raise DeclinedError
        return self.inside(signal), signal.elemstrides[0] if signal.size > 1 else 0

    def matrix(self, signal):
        """Return start and distance of the rows of a matrix; decline other strides."""
        distance, stride = signal.elemstrides
        if distance < 0 or (stride != 1 and signal.shape[1] > 1):
            raise DeclinedError
        return self.inside(signal), distance

    def places(self, signal):
        """Return the positions of all entries of a signal, in its shape."""
        places = np.full(signal.shape, self.inside(signal))
        for axis, stride in enumerate(signal.elemstrides):
            steps = stride * np.arange(signal.shape[axis])
            places += steps.reshape(-1, *[1] * (signal.ndim - axis - 1))
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

    def increment(self, signal, start):
        """Return rows that add finite numbers to a signal."""
        check = self.check(start, signal.size)
        if is_contiguous(signal):
            return [check, (kn.ADD, self.start(signal), start, signal.size)]
        places = self.places(signal)
        targets = self.indices(places)
        sources = self.indices(np.arange(start, start + places.size))
        return [check, (kn.GATHER_ADD, targets, sources, places.size)]

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
                array = np.ndarray(
                    signal.shape,
                    signal.dtype,
                    arrays[signal.dtype],
                    start * signal.itemsize,
                    signal.strides,
                )
                array.setflags(write=not signal.readonly)
                dict.__setitem__(signals, signal, array)
        table = np.zeros((len(self.rows), kn.WIDTH), np.int64)
        for at, row in enumerate(self.rows):
            table[at, : len(row)] = row
        return *arrays.values(), table


def is_contiguous(signal):
    """Return whether the entries of a signal lie side by side, in order."""
    return not signal.sparse and signal.initial_value.flags.c_contiguous


@translates(TimeUpdate)
def time_update(table, op):
    """Advance the clock."""
    step = table.start(op.step, np.int64)
    return [(kn.TIME, step, table.start(op.time), table.constants(table.dt))]


@translates(Reset)
def reset(table, op):
    """Set a signal to a number."""
    if np.ndim(op.value):
        return None
    return [(kn.FILL, table.start(op.dst), table.constants(op.value), op.dst.size)]


@translates(Copy)
def copy(table, op):
    """Copy or add a signal, or a part of it, to another."""
    src, dst, rows = op.src, op.dst, []
    if src.sparse or dst.sparse or src.may_share_memory(dst):
        return None
    if op.src_slice is None and op.dst_slice is None and src.shape == dst.shape:
        start = table.read(src, rows)
        if op.inc:
            return rows + table.increment(dst, start)
        if is_contiguous(dst):
            return [*rows, (kn.COPY, table.start(dst), start, dst.size)]
    parts = (dst, op.dst_slice), (src, op.src_slice)
    targets, sources = (
        table.places(signal)[... if part is None else part] for signal, part in parts
    )
    try:
        sources = np.broadcast_to(sources, targets.shape)
    except ValueError:
        return None
    n = targets.size
    if not op.inc:
        return [(kn.GATHER, table.indices(targets), table.indices(sources), n)]
    work = table.gather(sources, rows)
    places = table.indices(np.arange(work, work + n))
    add = kn.GATHER_ADD, table.indices(targets), places, n
    return [*rows, table.check(work, n), add]


@translates(ElementwiseInc)
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


@translates(DotInc)
def dot(table, op):
    """Add the product of a matrix and a vector."""
    if op.A.ndim != 2 or op.X.ndim != 1 or op.Y.ndim != 1:
        return None
    start, distance = table.matrix(op.A)
    rows, work = [], table.work(op.Y.size)
    x = table.read(op.X, rows)
    rows.append((kn.DOT, work, start, distance, x, *op.A.shape))
    return rows + table.increment(op.Y, work)


@translates(BsrDotInc)
def blocks(table, op):
    """Add the product of a matrix of blocks and a vector."""
    count, height, width = op.A.shape
    n_rows = len(op.indptr) - 1
    fits = max(op.indptr) <= min(count, len(op.indices))
    if not fits or (max(op.indices) + 1) * width > op.X.size:
        return None
    if op.Y.size != n_rows * height:
        return None
    starts = table.start(op.A), table.start(op.X)
    lists = table.indices(op.indptr), table.indices(op.indices)
    work = table.work(op.Y.size)
    row = kn.BLOCKS, work, *starts, height, width, n_rows, *lists
    return [row, *table.increment(op.Y, work)]


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
    if translation is None or op.input is None or op.input.shape != op.output.shape:
        return None
    rows, n = [], op.input.size
    start = table.read(op.input, rows)
    rows.append(table.check(start, n))
    if op.mode != "inc":
        y = table.start(op.output)
        return rows + translation(table, op.process, op.state, start, y, n)
    y = table.work(n)
    rows += translation(table, op.process, op.state, start, y, n)
    return rows + table.increment(op.output, y)


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
    row = kn.LINEAR, u, X, y, n, q, table.constants(A, B, C, D), table.work(q * n)
    return [table.check(X, q * n), row]


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


def limits(rule_type, dt):
    """Return the constants of `kernels.limit`."""
    shrinkage = getattr(rule_type, "weight_decay", 0.0) * dt
    return shrinkage, *(rule_type.weight_bounds or (math.nan, math.nan))


@translates(EPESSim)
def epes(table, op):
    """Do a step of `~nengo_epes.EPES`, if it has no bounded step."""
    rule, (m, n), rows = op.rule_type, op.delta.shape, []
    synapse, state = rule.trace_synapse, op.trace_state
    if rule.step is not None:
        return None
    port, a = table.start(op.port), table.read(op.activities, rows)
    limit = table.constants(largest_input(table.dtype))
    rows += [table.check(port, op.port.size, limit), table.check(a, n, limit)]
    if op.adapted is not None:
        a, step = table.start(op.adapted), n
    else:
        step = 0
    eligibility, third = table.vector(op.eligibility), table.vector(op.third_factor)
    trace, distance = table.matrix(op.trace)
    n_rows = 1 if op.equal_rows else m
    if n_rows > 1 and distance != n:
        return None
    delta = table.start(op.delta)
    weights = -1 if op.weights is None else table.start(op.weights)
    n_steps = table.start(op.n_steps, np.int64)
    controls = [
        port + getattr(rule, name).start if name in rule.controls else -1
        for name in ("hold", "reset")
    ]
    rate = rule.learning_rate / n
    factors = (rate, table.dt) if rule.size_td_error == 1 else (rate * table.dt, 1.0)
    decay, kind = 0.0, kn.GIVEN
    if synapse is None or is_exponential(synapse):
        decay = 0.0 if synapse is None else updates.trace_decay(synapse.tau, table.dt)
        replaces = rule.trace_type == "replacing"
        kind = kn.REPLACING if replaces else kn.ACCUMULATING
    elif rule.controls or type(synapse) not in TRANSLATIONS:
        return None
    else:  # delta is working memory until it is computed
        size = n_rows * n
        rows.append((kn.OUTER, delta, *eligibility, a, step, table.one, n_rows, n))
        translation = TRANSLATIONS[type(synapse)]
        rows += translation(table, synapse, state, delta, trace, size)
    smallest, period = updates.subnormal_guard(decay, table.dtype)
    constants = table.constants(decay, smallest, *factors, *limits(rule, table.dt))
    places = a, step, *eligibility, *third, trace, delta, weights, n, n_rows, m
    row = *places, *controls, n_steps, period, kind, constants
    if rule.trace_type != "dutch":
        return [*rows, (kn.EPES, *row)]
    names = "contribution", "last_change", "surprise"
    return [*rows, (kn.DUTCH, *row, *(table.start(state[name]) for name in names))]


@translates(GaussianREINFORCESim)
def reinforce(table, op):
    """Do a step of `~nengo_epes.GaussianREINFORCE` that has no decision."""
    rule, (m, n), rows = op.rule_type, op.delta.shape, []
    state = dict(zip(op.NAMES, op.updates, strict=True))
    a, port = table.read(op.activities, rows), table.start(op.port)
    limit = table.constants(largest_input(table.dtype))
    rows += [table.check(port, op.port.size, limit), table.check(a, n, limit)]
    names = "eligibility", "gradient", "delta"
    matrices = [table.start(state[name]) for name in names]
    weights = -1 if op.weights is None else table.start(op.weights)
    counts = table.start(state["step_count"]), table.start(state["n_steps"], np.int64)
    flags = rule.regime == "episodic", rule.average
    c = rule.learning_rate / n, rule.objective_scale, *limits(rule, table.dt)
    places = *matrices, weights, m, n, port, port + rule.decision.start, *counts
    return [*rows, (kn.REINFORCE, *places, *flags, table.constants(*c))]


VOLTAGE_SHAPES = {
    surrogates.PiecewiseLinear: 0,
    surrogates.Exponential: 1,
    surrogates.FastSigmoidDerivative: 2,
    surrogates.Arctan: 3,
}
CURRENT_SHAPES = {"LIFRate": 0, "RectifiedLinear": 1, "Sigmoid": 2, "Tanh": 3}


@translates(PostDerivativeSim)
def post_derivative(table, op):
    """Set the pseudo-derivative of post neurons."""
    rows, psi, (out,) = [], op.surrogate, op.sets
    places = [table.read(signal, rows) for signal in op.reads]
    rows += [table.check(place, out.size) for place in places]
    y = table.start(out)
    if len(places) == 1 and type(psi) is surrogates.RateDerivative:
        c = table.constants(psi.amplitude, psi.tau_ref or 0.0, psi.tau_rc or 0.0)
        shape = CURRENT_SHAPES[psi.response]
        return [*rows, (kn.CURRENT_PSI, *places, y, out.size, shape, c)]
    if type(psi) not in VOLTAGE_SHAPES:
        return None
    c = table.constants(psi.gamma, psi.beta, table.dt)
    shape = VOLTAGE_SHAPES[type(psi)]
    return [*rows, (kn.VOLTAGE_PSI, *places, y, out.size, shape, c)]


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
