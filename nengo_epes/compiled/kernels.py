"""Kernels: the compiled functions that do the rows of a table.

A model is two arrays and a table. ``x`` holds the numbers: signals, then constants and
working memory. ``k`` holds the integers: signals, then lists of indices. A row ``r`` of
the table is a kind, then its operands: positions in ``x`` and ``k``, and sizes. So any
kernel works on signals, constants and working memory alike.

A kernel returns False to decline. Until then it must have changed nothing but what the
operator's own function overwrites, because that function runs instead.

All kernels are in this file: numba compiles `run` again if its file has changed, and
watches no other file. They are loops, because whole-array expressions compile slowly.
"""

from __future__ import annotations

import math

from nengo_epes.arithmetic.step_sizes import SILENCE
from nengo_epes.networks.normalization import TINY
from nengo_epes.optional import load

numba = load("numba", "compiled")

# as numpy does, divide by 0 without an exception
_kernel = numba.njit(error_model="numpy")
# sums in any order, so that they are vectorized, as BLAS does it
_sum = numba.njit(error_model="numpy", fastmath={"reassoc", "contract"})

WIDTH = 21  # entries of a row

# kinds of rows
TIME, FILL, COPY, GATHER, GATHER_ADD, COMBINE, MULTIPLY, CHECK = range(8)
DOT, OUTER, DELAY, LIF, LIF_RATE, RECTIFY, SPIKE = range(8, 15)
EPES, PSI, ADAPT, STDP = range(15, 19)
NORMALIZE, REWARD, ACTOR_CRITIC = range(19, 22)


@_kernel
def part(x, start, size):
    """Return consecutive numbers as an array."""
    # a slice is never out of bounds; this is, if NUMBA_BOUNDSCHECK=1
    _ = x[start + size - 1]
    return x[start : start + size]


@_kernel
def fill(y, value):
    """Set all numbers to one."""
    for i in range(y.size):
        y[i] = value


@_kernel
def copy(y, x):
    """Do y = x."""
    for i in range(y.size):
        y[i] = x[i]


@_kernel
def scale(y, p, x):
    """Do y = p x, for a number p."""
    for i in range(y.size):
        y[i] = p * x[i]


@_kernel
def combine(y, p, x, q, z):
    """Do y = p x + q z, for numbers p and q."""
    for i in range(y.size):
        y[i] = p * x[i] + q * z[i]


@_kernel
def multiply(y, a, x):
    """Do y = a x; one number is multiplied with each of the others."""
    if x.size == 1:
        a, x = x, a
    if a.size == 1:
        scale(y, a[0], x)
    else:
        for i in range(y.size):
            y[i] = a[i] * x[i]


@_kernel
def bounded(x, limit):
    """Return whether no number is NaN or beyond +-limit."""
    wrong = 0
    for i in range(x.size):
        wrong += 0 if abs(x[i]) <= limit else 1
    return wrong == 0


@_kernel
def forget(x, smallest):
    """Set small numbers to 0: arithmetic with subnormal numbers is slow."""
    for i in range(x.size):
        if abs(x[i]) < smallest:
            x[i] = 0


@_sum
def dot(a, x):
    """Return the dot product."""
    total = a.dtype.type(0)
    for i in range(a.size):
        total += a[i] * x[i]
    return total


@_kernel
def product(y, x, start, step, z):
    """Do y = A z, for a matrix with rows of a distance."""
    for i in range(y.size):
        y[i] = dot(part(x, start + i * step, z.size), z)


@_kernel
def outer(x, r):
    """Do y = p a b'; operands: y, a, its step, b, its step by rows, p, rows, size."""
    for j in range(r[7]):
        factor = x[r[6]] * x[r[2] + j * r[3]]
        scale(part(x, r[1] + j * r[8], r[8]), factor, part(x, r[4] + j * r[5], r[8]))


@_kernel
def lif(x, r):
    """Replace currents by spikes; operands: J, voltage, refractory time, n, constants.

    The constants are dt, tau_rc, tau_ref, lowest voltage, height of a spike and
    expm1(-dt / tau_rc). Voltages above the threshold, which only a user writes, and NaN
    decline.
    """
    n, c = r[4], x[r[5] :]
    out, v, ref = part(x, r[1], n), part(x, r[2], n), part(x, r[3], n)
    dt, tau_rc, lowest, full = c[0], c[1], c[3], c[5]
    wrong = 0
    for i in range(n):
        wrong += 0 if v[i] <= 1 else 1
    if wrong:
        return False
    for i in range(n):  # without branches, so that it is vectorized
        ref[i] -= dt
        v[i] = max(v[i] - (out[i] - v[i]) * (full if ref[i] <= 0 else 0 * full), lowest)
    for i in range(n):
        current = out[i]
        out[i] = 0
        if 0 < ref[i] < dt:  # active for a part of the step
            grown = math.expm1((ref[i] - dt) / tau_rc)
            v[i] = max(v[i] - (current - v[i]) * grown, lowest)
        if v[i] > 1:
            spike_time = dt + tau_rc * math.log1p(-(v[i] - 1) / (current - 1))
            out[i], v[i], ref[i] = c[4], 0, c[2] + spike_time
    return True


@_kernel
def lif_rate(out, c):
    """Replace currents by rates; constants: tau_rc, tau_ref, amplitude."""
    for i in range(out.size):
        j = out[i] - 1
        out[i] = c[2] / (c[1] + c[0] * math.log1p(1 / j)) if j > 0 else 0


@_kernel
def rectify(out, amplitude):
    """Replace currents by rates."""
    for i in range(out.size):
        out[i] = amplitude * max(out[i], 0)


@_kernel
def spike(out, v, c):
    """Replace currents by spikes of rectified neurons; constants: dt, height."""
    for i in range(out.size):
        v[i] += max(out[i], 0) * c[0]
        spikes = math.floor(v[i])
        out[i] = c[1] * spikes
        v[i] -= spikes


@_kernel
def delay(x, k, r):
    """Do a tapped delay; operands: u, buffer, y, n, length, position, taps, ages.

    The ages are relative to the present position; they and their weights have as many
    entries as there are taps.
    """
    n, length, now, y = r[4], r[5], k[r[6]], part(x, r[3], r[4])
    copy(part(x, r[2] + now * n, n), part(x, r[1], n))
    k[r[6]] = (now + 1) % length
    for tap in range(r[7]):
        delayed = part(x, r[2] + (now - k[r[8] + tap]) % length * n, n)
        if tap == 0:
            scale(y, x[r[9]], delayed)
        else:
            combine(y, 1.0, y, x[r[9] + tap], delayed)


GIVEN, ACCUMULATING, REPLACING = range(3)


@_kernel
def advance(trace, decay, gain, a, kind):
    """Advance a row of an exponential trace."""
    if kind == REPLACING:
        for i in range(trace.size):
            trace[i] = max(trace[i] * decay, gain * a[i])
    else:
        for i in range(trace.size):
            trace[i] = trace[i] * decay + gain * a[i]


@_kernel
def limit(change, x, weights, c):
    """Let weights decay and limit them; constants: shrinkage, bounds or NaN."""
    if weights >= 0:
        w = part(x, weights, change.size)
        if c[0] != 0:
            for i in range(w.size):
                change[i] -= c[0] * w[i]
        if c[1] == c[1]:
            for i in range(w.size):
                change[i] = min(max(change[i] + w[i], c[1]), c[2]) - w[i]


@_kernel
def intentional(s, c, decay, score, activity, squared, delta):
    """Return the factor of the trace by a step of `Intentional`.

    Arguments: its state, its constants, the decay of the trace, the squared lengths of
    eligibility, activities and trace, the TD error. The constants are eta, clip,
    delta_decay, floor and shrink (NaN for None), and whether it normalizes.
    """
    if decay < 1:
        s[0] = decay * s[0] + (1 - decay) * score * activity
        s[1] = decay * s[1] + (1 - decay)
        if c[3] == c[3]:
            s[5] = decay * s[5] + (1 - decay) * score
            s[6] = decay * s[6] + (1 - decay) * activity
    if delta == 0:
        return 0 * delta
    s[4] = c[2] * s[4] + (1 - c[2])
    s[2] = c[2] * s[2] + (1 - c[2]) * delta * delta
    if c[1] == c[1]:
        largest = c[1] * math.sqrt(s[2] / s[4])
        delta = math.copysign(min(abs(delta), largest), delta)
    s[3] = c[2] * s[3] + (1 - c[2]) * abs(delta)
    mean = s[3] / s[4] if c[5] else 1.0
    delta = delta / mean if mean > 0 else 0 * delta
    sigma = 0 * delta
    if s[1] != 0:
        sigma = s[0] / s[1]
        if c[3] == c[3]:
            sigma = max(s[5] / s[1], c[3]) * (s[6] / s[1])
    norm = math.sqrt(sigma) * math.sqrt(squared)
    eta = c[0]
    if c[4] == c[4]:
        s[7] += 1
        eta /= math.sqrt(1 + s[7] / c[4])
    return eta * delta / norm if norm > SILENCE else 0 * delta


@_kernel
def advance_row(x, r, j, forgets, what):
    """Advance row j of the trace of `epes`; what: 0 holds it, -1 clears it."""
    c = x[r[18] :]
    trace = part(x, r[7] + j * r[10], r[10])
    if forgets:
        forget(trace, c[1])
    if what == -1:
        fill(trace, 0.0)
    elif what == 1:
        gain = x[r[3] + j * r[4]]
        if r[17] == ACCUMULATING:
            gain *= 1 - c[0]
        advance(trace, c[0], gain, part(x, r[1] + j * r[2], r[10]), r[17])


@_kernel
def bounded_factor(x, r, advances):
    """Return the factor of the trace of `epes` with a bounded step."""
    c, a, trace = x[r[18] :], part(x, r[1], r[10]), part(x, r[7], r[10] * r[11])
    score = 0 * c[0]
    for j in range(r[11]):
        score += x[r[3] + j * r[4]] ** 2
    decay, pulse = c[0] if advances else 1 + 0 * c[0], c[3] * x[r[5]]
    state, squared = part(x, r[19], 8), dot(trace, trace)
    return intentional(state, x[r[20] :], decay, score, dot(a, a), squared, pulse)


@_kernel
def epes(x, k, r):
    """Do a step of EPES with a trace that decays exponentially, or a given trace.

    Operands: 1 activities, 2 their step by rows, 3 eligibility, 4 its step, 5 third
    factor, 6 its step, 7 trace, 8 delta, 9 weights or -1, 10 size of a row, 11 rows of
    the trace, 12 of delta, 13 hold or -1, 14 reset or -1, 15 number of steps, 16 period
    in which to forget, 17 kind of trace, 18 constants: decay, smallest, the two factors
    of the third factor, and those of `limit`; 19 state of a bounded step or -1, 20 its
    constants.
    """
    n, rows, kind, c = r[10], r[11], r[17], x[r[18] :]
    what = 0 if kind == GIVEN or (r[13] >= 0 and x[r[13]] > 0.5) else 1
    if r[14] >= 0 and x[r[14]] > 0.5:
        what = -1
    if kind == REPLACING and what == 1:
        for j in range(rows):
            if x[r[3] + j * r[4]] < 0:
                return False
        a = part(x, r[1], n)
        for i in range(n):
            if a[i] < 0:
                return False
    k[r[15]] += 1
    forgets = c[0] != 0 and k[r[15]] % r[16] == 0
    factor = 0 * c[0]
    if r[19] >= 0:  # the factor follows from the whole trace
        for j in range(rows):
            advance_row(x, r, j, forgets, what)
        factor = bounded_factor(x, r, what == 1)
    for j in range(r[12]):
        if r[19] < 0:
            if j < rows:
                advance_row(x, r, j, forgets, what)
            factor = c[2] * (c[3] * x[r[5] + j * r[6]])
        trace = part(x, r[7] + min(j, rows - 1) * n, n)
        delta = part(x, r[8] + j * n, n)
        scale(delta, factor, trace)
        limit(delta, x, r[9] + j * n if r[9] >= 0 else -1, x[r[18] + 4 :])
    return True


@_kernel
def set_psi(x, r):
    """Set psi; operands: voltage, refractory time, spikes, psi, n, constants.

    The constants are gamma, beta and dt.
    """
    c = x[r[6] :]
    for i in range(r[5]):
        psi = c[0] * max(1 - c[1] * abs(x[r[1] + i] - 1), 0.0)
        active = x[r[2] + i] < c[2]
        x[r[4] + i] = c[0] if x[r[3] + i] != 0 else (psi if active else 0)


@_kernel
def adapt(x, k, r):
    """Subtract the derivative of the adaptation from activities, and advance it.

    Operands: difference, adaptation, psi, activities, rows, size of a row, number of
    steps, period in which to forget, constants: smallest, decay, increase by a spike.
    """
    n, c = r[6], x[r[9] :]
    a = part(x, r[4], n)
    for j in range(r[5]):
        difference, adaptation = part(x, r[1] + j * n, n), part(x, r[2] + j * n, n)
        if k[r[7]] % r[8] == 0:
            forget(adaptation, c[0])
        for i in range(n):
            difference[i] = a[i] - adaptation[i]
        combine(adaptation, c[1], adaptation, c[2] * x[r[3] + j], difference)


@_kernel
def count_spikes(out, per_spike, spikes, trace, decay):
    """Count the spikes of a step, and let the trace of earlier spikes decay."""
    for i in range(out.size):
        spikes[i] = math.floor(out[i] * per_spike + 0.5)
        trace[i] *= decay


@_kernel
def stdp(x, k, r):
    """Do a step of RewardSTDP.

    Operands: 1 pre outputs, 2 post outputs, 3 pre trace, 4 post trace, 5 trace, 6
    delta, 7 weights or -1, 8 size of a row, 9 rows, 10 reward, 11 hold or -1, 12 reset
    or -1, 13 number of steps, 14 period in which to forget, 15 working memory, 16
    constants: spikes for an output of pre and of post neurons, decay of the three
    traces, smallest, potentiation, depression, rate, and those of `limit`.
    """
    n, rows, c = r[8], r[9], x[r[16] :]
    pre, post = part(x, r[15], n), part(x, r[15] + n, rows)
    pre_trace, post_trace = part(x, r[3], n), part(x, r[4], rows)
    k[r[13]] += 1
    count_spikes(part(x, r[1], n), c[0], pre, pre_trace, c[2])
    count_spikes(part(x, r[2], rows), c[1], post, post_trace, c[3])
    if k[r[13]] % r[14] == 0:
        forget(pre_trace, c[5])
        forget(post_trace, c[5])
        forget(part(x, r[5], n * rows), c[5])
    held = r[11] >= 0 and x[r[11]] > 0.5
    clears = r[12] >= 0 and x[r[12]] > 0.5
    for j in range(rows):
        trace, delta = part(x, r[5] + j * n, n), part(x, r[6] + j * n, n)
        if not held:
            scale(trace, c[4], trace)
            if post[j] != 0:
                combine(trace, 1.0, trace, c[6] * post[j], pre_trace)
            if post_trace[j] != 0:
                combine(trace, 1.0, trace, -c[7] * post_trace[j], pre)
        if clears:
            fill(trace, 0.0)
        scale(delta, c[8] * x[r[10]], trace)
        limit(delta, x, r[7] + j * n if r[7] >= 0 else -1, x[r[16] + 9 :])
    combine(pre_trace, 1.0, pre_trace, 1.0, pre)
    combine(post_trace, 1.0, post_trace, 1.0, post)


@_kernel
def normalize(x, r):
    """Normalize an observation and project it to the sphere.

    Operands: observation and mark, point, output, size, statistics or -1 for fixed
    ones, clip.
    """
    n, clip = r[4], x[r[6]]
    u, point = part(x, r[1], n + 1), part(x, r[2], n + 1)
    mean, squares = part(x, r[5], n), part(x, r[5] + n, n)
    if u[n] > 0.5:
        count = x[r[5] + 2 * n] + 1
        length = 1 + 0 * count
        for i in range(n):
            x[r[5] + 2 * n + i] = count
            difference = u[i] - mean[i]
            mean[i] += difference / count
            squares[i] += difference * (u[i] - mean[i])
            y = 0 * count
            if count >= 2:
                y = (u[i] - mean[i]) / math.sqrt(squares[i] / (count - 1) + TINY)
            point[i] = min(max(y, -clip), clip)
            length += point[i] ** 2
        length = math.sqrt(length)
        for i in range(n):
            point[i] /= length
        point[n] = 1 / length
    copy(part(x, r[3], n + 1), point)


@_kernel
def scale_reward(x, r):
    """Scale a reward; operands: inputs, statistics, output, discount.

    The inputs are the mark, the reward, truncated, terminated and reset.
    """
    u, s = part(x, r[1], 5), part(x, r[2], 4)
    if u[0] > 0.5 >= u[4]:
        over = u[2] > 0.5 or u[3] > 0.5
        s[0] = u[1] + (0 * s[0] if over else x[r[4]] * s[0])
        s[3] += 1
        difference = s[0] - s[1]
        s[1] += difference / s[3]
        s[2] += difference * (s[0] - s[1])
    variance = s[2] / (s[3] - 1) if s[3] > 1 else 1 + 0 * s[2]
    x[r[3]] = u[1] / math.sqrt(variance + TINY)


@_kernel
def actor_critic(x, k, r):
    """Do a step of an actor-critic without a decision; one with a decision declines.

    Operands: inputs, held output, output, size of the action, value and bonus of the
    last decision, whether an episode starts, constants: discount, dt.
    """
    n, c = r[4], x[r[7] :]
    u, held, last = part(x, r[1] + n, 7), part(x, r[2], 2 * n + 7), part(x, r[5], 2)
    starts = 1 if u[3] > 0.5 else k[r[6]]
    learns = u[1] <= 0.5 and u[4] > 0.5 and starts == 0
    if u[5] > 0.5 and not learns:
        return False
    k[r[6]] = starts
    error = 0 * u[0]
    if learns:
        target = u[6] + last[1]
        if u[2] <= 0.5:
            target += c[0] * u[0]
        error = (target - last[0]) / c[1]
    held[n] = held[2 * n + 3] = error
    held[2 * n + 1] = held[2 * n + 4] = 1
    held[2 * n + 2] = held[2 * n + 5] = u[3]
    held[2 * n + 6] = u[0]
    copy(part(x, r[3], 2 * n + 7), held)
    return True


def run(x, k, table, first, last):
    """Do the rows from first to before last; return a row that declines, or -1."""
    for at in range(first, last):
        r = table[at]
        kind = r[0]
        done = True
        if kind == TIME:  # step, time, dt
            k[r[1]] += 1
            x[r[2]] = k[r[1]] * x[r[3]]
        elif kind == FILL:  # y, value, n
            fill(part(x, r[1], r[3]), x[r[2]])
        elif kind == COPY:  # y, x, n
            copy(part(x, r[1], r[3]), part(x, r[2], r[3]))
        elif kind == GATHER:  # positions of y, of x, n
            for i in range(r[3]):
                x[k[r[1] + i]] = x[k[r[2] + i]]
        elif kind == GATHER_ADD:  # positions of y, of x, n
            for i in range(r[3]):
                x[k[r[1] + i]] += x[k[r[2] + i]]
        elif kind == COMBINE:  # y, p, x, q, z, n
            y, a, z = part(x, r[1], r[6]), part(x, r[3], r[6]), part(x, r[5], r[6])
            combine(y, x[r[2]], a, x[r[4]], z)
        elif kind == MULTIPLY:  # y, n, a, its size, x, its size
            multiply(part(x, r[1], r[2]), part(x, r[3], r[4]), part(x, r[5], r[6]))
        elif kind == CHECK:  # x, n, limit
            done = bounded(part(x, r[1], r[2]), x[r[3]])
        elif kind == DOT:  # y, A, distance of its rows, z, rows, columns
            product(part(x, r[1], r[5]), x, r[2], r[3], part(x, r[4], r[6]))
        elif kind == OUTER:
            outer(x, r)
        elif kind == LIF:
            done = lif(x, r)
        elif kind == LIF_RATE:  # J, n, constants
            lif_rate(part(x, r[1], r[2]), x[r[3] :])
        elif kind == RECTIFY:  # J, n, amplitude
            rectify(part(x, r[1], r[2]), x[r[3]])
        elif kind == SPIKE:  # J, voltage, n, constants
            spike(part(x, r[1], r[3]), part(x, r[2], r[3]), x[r[4] :])
        elif kind == DELAY:
            delay(x, k, r)
        elif kind == EPES:
            done = epes(x, k, r)
        elif kind == PSI:
            set_psi(x, r)
        elif kind == ADAPT:
            adapt(x, k, r)
        elif kind == STDP:
            stdp(x, k, r)
        elif kind == NORMALIZE:
            normalize(x, r)
        elif kind == REWARD:
            scale_reward(x, r)
        elif kind == ACTOR_CRITIC:
            done = actor_critic(x, k, r)
        if not done:
            return at
    return -1


try:
    run = numba.njit(cache=True, error_model="numpy")(run)
except RuntimeError:  # no folder can be written to: compiled in every process
    run = numba.njit(error_model="numpy")(run)


compiled = set()  # types of x, in this process


def compile_run(x, k, table):
    """Compile `run` for the type of x, or load it from numba's cache on disk."""
    try:
        run(x, k, table, 0, 0)
    except OSError:  # the folder cannot be written to now; the function is compiled
        run(x, k, table, 0, 0)
    compiled.add(x.dtype)
