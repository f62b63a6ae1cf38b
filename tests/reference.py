"""A numpy simulation of one connection that learns by EPES, step by step.

It writes the specification out as a recursion over time and shares no arithmetic with
the package: filters are difference equations, bounded steps average over lists of all
past values, and the pseudo-derivatives are implemented independently.
"""

import math
from types import SimpleNamespace

import nengo
import numpy as np


def coefficients(synapse, dt):
    """Return b and a of y_t = sum_k b_k x_(t-k) - sum_(k>0) a_k y_(t-k)."""
    if synapse is None:
        return [1.0], [1.0]
    if isinstance(synapse, int | float):
        synapse = nengo.Lowpass(synapse)
    if isinstance(synapse, nengo.Lowpass):
        rho = math.exp(-dt / synapse.tau)
        return [1 - rho], [1.0, -rho]
    if isinstance(synapse, nengo.Alpha):
        # zero-order hold of (t / tau^2) exp(-t / tau), advanced by one step
        x = dt / synapse.tau
        rho = math.exp(-x)
        b = [1 - rho - x * rho, rho * (rho - 1 + x)]
        return b, [1.0, -2 * rho, rho**2]
    b = np.zeros(max(lag for lag, _ in synapse.taps))
    for lag, weight in synapse.taps:
        b[lag - 1] += weight
    return list(b), [1.0]


class Filter:
    """A difference equation that stores its past inputs and outputs."""

    def __init__(self, synapse, dt, shape):
        self.b, self.a = coefficients(synapse, dt)
        self.shape = shape
        self.clear()

    def clear(self):
        """Set all past inputs and outputs to 0."""
        self.inputs = [np.zeros(self.shape) for _ in self.b]
        self.outputs = [np.zeros(self.shape) for _ in self.a]

    def step(self, value):
        """Take in one value and return the output."""
        self.inputs = [value, *self.inputs[:-1]]
        output = np.zeros(self.shape)
        for weight, past in zip(self.b, self.inputs, strict=True):
            output = output + weight * past
        for weight, past in zip(self.a[1:], self.outputs, strict=False):
            output = output - weight * past
        self.outputs = [output, *self.outputs[:-1]]
        return output


class LinearTrace:
    """An accumulating trace: the synapse of every product of c_i and a_j."""

    def __init__(self, synapse, dt, shape):
        self.filter = Filter(synapse, dt, shape)
        self.value = np.zeros(shape)

    def advance(self, c, a):
        """Take in the eligibility and activities of one step."""
        self.value = self.filter.step(np.outer(c, a))

    def clear(self):
        """Empty the trace."""
        self.filter.clear()
        self.value = np.zeros_like(self.value)

    def update(self, rate, pulse):
        """Return the update of the weights; `rate` is a number or has one entry per
        post dimension."""
        return rate * pulse * self.value


class ReplacingTrace(LinearTrace):
    """A trace that a larger contribution replaces (Singh & Sutton 1996)."""

    def __init__(self, tau, dt, shape):
        super().__init__(None, dt, shape)
        self.rho = math.exp(-dt / tau)

    def advance(self, c, a):
        """Take in the eligibility and activities of one step."""
        self.value = np.maximum(self.rho * self.value, np.outer(c, a))


class DutchTrace(LinearTrace):
    """The trace of true online TD(lambda) (van Seijen et al. 2016, algorithm 1)."""

    def __init__(self, tau, dt, shape, alpha):
        super().__init__(None, dt, shape)
        self.rho, self.alpha = math.exp(-dt / tau), alpha
        self.clear()

    def clear(self):
        """Empty the trace, and discard the visit and the last update."""
        self.value = np.zeros_like(self.value)
        self.x = np.zeros_like(self.value)
        self.last_update = np.zeros_like(self.value)
        self.surprise = np.zeros(len(self.value))

    def advance(self, c, a):
        """Visit a state."""
        self.x = np.outer(c, a)
        for i, x in enumerate(self.x):
            # V - V_old: the change of this state's value by the last update
            self.surprise[i] = self.last_update[i] @ x
            old = self.value[i]
            self.value[i] = self.rho * old + (1 - self.alpha * self.rho * old @ x) * x
        self.last_update = np.zeros_like(self.value)

    def update(self, rate, pulse):
        """Return alpha (delta + V - V_old) e - alpha (V - V_old) x."""
        if pulse == 0.0:
            return np.zeros_like(self.value)
        total = rate * pulse * self.value
        for i, surprise in enumerate(self.surprise):
            total[i] += self.alpha * surprise * (self.value[i] - self.x[i])
        self.last_update = total
        return total


class ObGDStep:
    """The step size of Elsayed et al. (2024), algorithm 3, with features a / max_rate.

    With z the trace of such features, alpha z / max_rate = rate e.
    """

    def __init__(self, kappa=2.0, max_rate=400.0):
        self.kappa, self.max_rate = kappa, max_rate

    def see(self, rho, c, a):
        """Receive one step; this step size has no state."""

    def scalar(self, rate, pulse, trace):
        """Return the factor of the trace."""
        alpha_z_norm = rate * self.max_rate * np.abs(trace).sum()
        bound = self.kappa * max(abs(pulse), 1.0) * alpha_z_norm
        return rate * pulse / bound if bound > 1 else rate * pulse


class IntentionalStep:
    """The step size of Sharifnassab et al. (2026), without diagonal scaling.

    Every mean is an average over the list of all past values, newest first.
    """

    def __init__(self, eta=0.5, normalize=False, clip=20.0, delta_decay=0.9998):
        self.eta, self.normalize, self.clip = eta, normalize, clip
        self.keep = delta_decay
        self.sizes, self.pulses, self.limited = [], [], []

    def see(self, rho, c, a):
        """Receive one step in which the trace advances."""
        self.rho = rho
        self.sizes.insert(0, (c @ c) * (a @ a))

    def scalar(self, rate, pulse, trace):
        """Return the factor of the trace; the learning rate has no effect."""
        if pulse == 0.0:
            return 0.0
        ages = self.keep ** np.arange(len(self.pulses) + 1)
        self.pulses.insert(0, pulse)
        if self.clip is not None:
            limit = self.clip * math.sqrt(
                np.average(np.square(self.pulses), weights=ages)
            )
            pulse = min(max(pulse, -limit), limit)
        self.limited.insert(0, abs(pulse))
        if self.normalize:
            pulse /= np.average(self.limited, weights=ages)
        if not self.sizes:
            return 0.0
        memory = self.rho ** np.arange(len(self.sizes))
        sigma = np.average(self.sizes, weights=memory)
        norm = math.sqrt(sigma) * math.sqrt((trace**2).sum())
        # in square hertz; far below the value of any active neuron
        return self.eta * pulse / norm if norm > 1e-12 else 0.0


def simulate(
    raw,
    td_error,
    weights,
    *,
    dt,
    feedback=None,
    eligibility=None,
    psi=None,
    hold=None,
    reset=None,
    other_deltas=None,
    after_step=None,
    learning_rate=1e-4,
    pre_synapse=0.005,
    trace_synapse=0.1,
    trace_type="accumulating",
    step=None,
    weight_bounds=None,
    weight_decay=0.0,
):
    """Simulate one connection.

    Parameters
    ----------
    raw : (n_steps, n_pre) array
        Presynaptic activities before ``pre_synapse``, in hertz.
    td_error : (n_steps, size_td_error) array
        Third factor on the port.
    weights : (n_post, n_pre) array
        Initial weights.
    dt : float
        Simulator step in seconds.
    feedback : (n_post, d) or (n_steps, n_post, d) array, optional
        B, or B of every step. It carries the third factor if this has more than one
        dimension, and the eligibility otherwise. Ones by default.
    eligibility : (n_steps, size_eligibility) array, optional
        Eligibility on the port; 1 by default.
    psi : (n_steps, n_post) array, optional
        Pseudo-derivative; 1 by default.
    hold, reset : (n_steps,) array, optional
        Controls on the port.
    other_deltas : (n_steps, n_post, n_pre) array, optional
        Weight changes of other rules on the connection.
    after_step : callable, optional
        ``after_step(t, trace)`` is called at the end of each step, for example to call
        ``trace.clear()``.
    learning_rate, pre_synapse, trace_synapse, trace_type, weight_bounds, weight_decay
        Settings of the rule.
    step : ObGDStep or IntentionalStep, optional
        Bounded step.

    Returns
    -------
    SimpleNamespace
        ``weights`` used by the product of each step, ``trace`` and ``delta`` after it,
        each (n_steps, n_post, n_pre), ``activities`` (n_steps, n_pre) and
        ``characteristic_eligibility`` (n_steps, n_post).
    """
    raw, td_error = np.asarray(raw, float), np.asarray(td_error, float)
    weights = np.array(weights, float)
    n_steps, (n_post, n_pre) = len(raw), weights.shape
    is_vector = td_error.shape[1] > 1
    g = np.ones((n_steps, 1)) if eligibility is None else np.asarray(eligibility, float)
    B = np.ones((n_post, 1)) if feedback is None else np.asarray(feedback, float)
    B = np.broadcast_to(B, (n_steps, *B.shape[-2:]))
    psi = np.ones((n_steps, n_post)) if psi is None else psi
    hold = np.zeros(n_steps) if hold is None else hold
    reset = np.zeros(n_steps) if reset is None else reset
    tau = trace_synapse if isinstance(trace_synapse, int | float) else None
    if isinstance(trace_synapse, nengo.Lowpass):
        tau = trace_synapse.tau
    rho = 0.0 if tau is None else math.exp(-dt / tau)
    alpha = learning_rate / n_pre

    presynaptic = Filter(pre_synapse, dt, (n_pre,))
    if trace_type == "replacing":
        trace = ReplacingTrace(tau, dt, weights.shape)
    elif trace_type == "dutch":
        trace = DutchTrace(tau, dt, weights.shape, alpha)
    else:
        trace = LinearTrace(trace_synapse, dt, weights.shape)

    result = SimpleNamespace(
        weights=[], trace=[], delta=[], activities=[], characteristic_eligibility=[]
    )
    for t in range(n_steps):
        a = presynaptic.step(raw[t])
        if is_vector:
            c = psi[t] * g[t]
            third_factor = (B[t] @ td_error[t])[:, None]
        else:
            c = psi[t] * (B[t] @ g[t])
            third_factor = td_error[t, 0]

        if reset[t] > 0.5:
            trace.clear()
        elif not hold[t] > 0.5:
            trace.advance(c, a)
            if step is not None:
                step.see(rho, c, a)

        if step is not None:
            update = trace.value * step.scalar(alpha, third_factor * dt, trace.value)
        elif is_vector:
            update = learning_rate * dt / n_pre * third_factor * trace.value
        else:
            update = trace.update(alpha, third_factor * dt)
        delta = update
        if weight_bounds is not None:
            low, high = weight_bounds
            decayed = (1 - weight_decay * dt) * weights
            delta = np.minimum(np.maximum(decayed + update, low), high) - weights
        elif weight_decay:
            delta = update - weight_decay * dt * weights

        result.weights.append(weights)
        result.trace.append(trace.value.copy())
        result.delta.append(delta)
        result.activities.append(a)
        result.characteristic_eligibility.append(c)
        weights = weights + delta
        if other_deltas is not None:
            weights = weights + other_deltas[t]
        if after_step is not None:
            after_step(t, trace)
    return SimpleNamespace(**{k: np.array(v) for k, v in vars(result).items()})


BUMPS = {
    "PiecewiseLinear": lambda d: np.maximum(0, 1 - d),
    "Exponential": lambda d: np.exp(-d),
    "FastSigmoidDerivative": lambda d: (1 + d) ** -2.0,
    "Arctan": lambda d: 1 / (np.pi * (1 + (np.pi * d) ** 2)),
}


def voltage_psi(voltage, refractory_time, output, dt, bump="PiecewiseLinear", **scale):
    """Return psi of LIF neurons from the probed voltages and spikes of every step."""
    gamma, beta = scale.get("gamma", 0.3), scale.get("beta", 1.0)
    spiked = output > 0
    # Nengo sets the voltage to 0 in the step of a spike; the threshold is 1
    distance = np.abs(np.where(spiked, 1.0, voltage) - 1.0)
    psi = gamma * BUMPS[bump](beta * distance)
    psi[~spiked & (refractory_time >= dt)] = 0.0
    return psi


def rate_psi(neuron_type, current):
    """Return the slope of the rates of Nengo's rate neurons over their input."""
    name = type(neuron_type).__name__
    if name == "RectifiedLinear":
        return neuron_type.amplitude * np.where(current > 0, 1.0, 0.0)
    # the slope of the logistic function, and 1 - tanh^2, without overflow
    if name == "Sigmoid":
        small = np.exp(-np.abs(current))
        return small / (1 + small) ** 2 / neuron_type.tau_ref
    if name == "Tanh":
        small = np.exp(-2 * np.abs(current))
        return 4 * small / (1 + small) ** 2 / neuron_type.tau_ref
    if name != "LIFRate":
        raise ValueError(name)
    # d/dJ of 1 / T, T = tau_ref + tau_rc log(J / (J - 1))
    j = np.where(current > 1, current - 1, 1.0)
    period = neuron_type.tau_ref + neuron_type.tau_rc * np.log1p(1 / j)
    slope = neuron_type.tau_rc * (1 / j - 1 / (1 + j)) / period**2
    return neuron_type.amplitude * np.where(current > 1, slope, 0.0)
