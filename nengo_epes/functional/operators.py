"""Translations of Nengo's operators, and of this package's synapses."""

from __future__ import annotations

import nengo
import numpy as np
from nengo.builder import operator as ops
from nengo.builder.learning_rules import SimPES
from nengo.builder.neurons import SimNeurons
from nengo.builder.processes import SimProcess

from nengo_epes.functional.model import (
    TRANSLATIONS,
    NotTranslatedError,
    jax,
    jnp,
    translates,
)
from nengo_epes.synapses import LTI, Delay, TappedDelay


@translates(ops.TimeUpdate)
def time_update(op, step):
    """Advance the clock."""
    step[op.step] += 1
    step[op.time] = step[op.step] * step.dt


@translates(ops.Reset)
def reset(op, step):
    """Set a signal to a number."""
    step[op.dst] = op.value


@translates(ops.Copy)
def copy(op, step):
    """Copy or add a signal, or a part of it, to another."""
    value, old = step[op.src], step[op.dst]
    if op.src_slice is not None:
        value = value[_index(op.src_slice)]
    if op.dst_slice is None:
        step[op.dst] = old + value if op.inc else value
        return
    index = _index(op.dst_slice)
    step[op.dst] = old.at[index].add(value) if op.inc else old.at[index].set(value)


def _index(part):
    return np.asarray(part) if isinstance(part, list) else part


@translates(ops.ElementwiseInc)
def elementwise(op, step):
    """Add a product of entries."""
    step[op.Y] += step[op.A] * step[op.X]


@translates(ops.DotInc)
def dot(op, step):
    """Add the product of a matrix and a vector."""
    step[op.Y] += (step[op.A] @ step[op.X]).reshape(op.Y.shape)


@translates(ops.BsrDotInc)
def blocks(op, step):
    """Add products of matrices and vectors, which Nengo's optimizer makes."""
    _, height, width = op.A.shape
    rows = np.repeat(np.arange(len(op.indptr) - 1), np.diff(op.indptr))
    x = step[op.X].reshape(-1, width)[np.asarray(op.indices)]
    products = jnp.einsum("krc,kc->kr", step[op.A], x)
    if not np.array_equal(rows, np.arange(len(rows))):
        products = (
            jnp.zeros((len(op.indptr) - 1, height), x.dtype).at[rows].add(products)
        )
    step[op.Y] += products.reshape(op.Y.shape)


@translates(ops.SimPyFunc)
def function(op, step):
    """Call the function of a Node, if it is written in jax.numpy."""
    if not getattr(op.fn, "is_traceable", False):
        raise NotTranslatedError
    inputs = [] if op.t is None else [step[op.t].reshape(())]
    inputs += [] if op.x is None else [step[op.x]]
    try:
        result = op.fn(*inputs)
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError):
        raise NotTranslatedError(
            "its function needs numbers; use jax.numpy, and jnp.where instead of if"
        ) from None
    if op.output is not None:
        step[op.output] = result


@jax.custom_jvp
def spike(voltage):
    """Return 1 where a voltage is above the threshold 1.

    Its derivative is the pseudo-derivative 0.3 max(0, 1 - |v - 1|) of Bellec et al.
    (2020), the default of `~nengo_epes.EPES`.
    """
    return (voltage > 1).astype(voltage.dtype)


@spike.defjvp
def _spike_derivative(primals, tangents):
    (voltage,), (change,) = primals, tangents
    return spike(voltage), change * 0.3 * jnp.maximum(0.0, 1 - jnp.abs(voltage - 1))


def lif(kind, J, state, dt):
    """Do a step of LIF neurons; to gradients, times of spikes are constants."""
    refractory = state["refractory_time"] - dt
    active = jnp.clip(dt - refractory, 0.0, dt)
    voltage = state["voltage"]
    voltage -= (J - voltage) * jnp.expm1(-active / kind.tau_rc)
    spiked = voltage > 1
    overshoot = (voltage - 1) / jnp.where(spiked, J - 1, 1.0)
    late = dt + kind.tau_rc * jnp.log1p(-jnp.where(spiked, overshoot, 0.0))
    refractory = jnp.where(spiked, kind.tau_ref + late, refractory)
    new = {
        "voltage": jnp.where(spiked, 0.0, jnp.maximum(voltage, kind.min_voltage)),
        "refractory_time": jax.lax.stop_gradient(refractory),
    }
    return spike(voltage) * (kind.amplitude / dt), new


def lif_rate(kind, J, state, dt):
    """Return the rates of LIF neurons."""
    j = jnp.where(J > 1, J - 1, 1.0)
    rates = kind.amplitude / (kind.tau_ref + kind.tau_rc * jnp.log1p(1 / j))
    return jnp.where(J > 1, rates, 0.0), {}


def rectified(kind, J, state, dt):
    """Return the rates of rectified neurons."""
    # not the maximum, whose derivative at 0 is 1/2 in JAX
    return kind.amplitude * jnp.where(J > 0, J, 0.0), {}


def sigmoid(kind, J, state, dt):
    """Return the rates of sigmoid neurons."""
    return getattr(kind, "amplitude", 1.0) * jax.nn.sigmoid(J) / kind.tau_ref, {}


def tanh(kind, J, state, dt):
    """Return the rates of tanh neurons."""
    return getattr(kind, "amplitude", 1.0) * jnp.tanh(J) / kind.tau_ref, {}


def spiking_rectified(kind, J, state, dt):
    """Do a step of rectified neurons with spikes."""
    voltage = state["voltage"] + jnp.maximum(J, 0.0) * dt
    spikes = jnp.floor(voltage)
    return (kind.amplitude / dt) * spikes, {"voltage": voltage - spikes}


NEURONS = {
    nengo.LIF: lif,
    nengo.AdaptiveLIF: lif,
    nengo.LIFRate: lif_rate,
    nengo.AdaptiveLIFRate: lif_rate,
    nengo.RectifiedLinear: rectified,
    nengo.SpikingRectifiedLinear: spiking_rectified,
    nengo.Sigmoid: sigmoid,
    nengo.Tanh: tanh,
}


@translates(SimNeurons)
def neurons(op, step):
    """Do a step of neurons."""
    kind, J = op.neurons, step[op.J]
    if type(kind) not in NEURONS:
        names = ", ".join(known.__name__ for known in NEURONS)
        raise NotTranslatedError(f"{kind} has no translation; use one of {names}")
    state = {name: step[signal] for name, signal in op.state.items()}
    if "adaptation" in state:
        J -= state["adaptation"]
    output, new = NEURONS[type(kind)](kind, J, state, step.dt)
    if "adaptation" in state:
        n = state["adaptation"]
        new["adaptation"] = n + step.dt / kind.tau_n * (kind.inc_n * output - n)
    step[op.output] = output
    for name, value in new.items():
        step[op.state[name]] = value


@translates(SimProcess)
def process(op, step):
    """Do a step of a process that has a translation."""
    translation = TRANSLATIONS.get(type(op.process))
    if translation is None:
        raise NotTranslatedError
    output = translation(op, step, None if op.input is None else step[op.input])
    step[op.output] = step[op.output] + output if op.mode == "inc" else output


@translates(nengo.Lowpass, nengo.Alpha, nengo.synapses.LinearFilter, LTI)
def linear(op, step, u):
    """Filter a signal."""
    A, B, C, D = (np.asarray(M, u.dtype) for M in op.process._get_ss(step.dt))
    if not len(A):
        return D.item() * u
    signal, old = op.state["X"], step[op.state["X"]]
    if len(A) == 1 and not D.any():  # as in Nengo: the gain is in the state
        step[signal] = A.item() * old + (C.item() * B.item()) * u[None]
        return step[signal][0]
    step[signal] = jnp.tensordot(A, old, 1) + B.reshape(-1, *[1] * u.ndim) * u
    if D.any():
        return jnp.tensordot(C[0], old, 1) + D.item() * u
    return jnp.tensordot(C[0], step[signal], 1)


@translates(Delay, TappedDelay)
def delay(op, step, u):
    """Delay a signal."""
    synapse, position = op.process, step[op.state["position"]]
    buffer = step[op.state["buffer"]]
    buffer = buffer.at[position[0]].set(u.reshape(buffer.shape[1:]))
    ages = np.array(synapse.lags) - (0 if synapse.has_passthrough else 1)
    taps = buffer[(position[0] - ages) % len(buffer)]
    step[op.state["buffer"]] = buffer
    step[op.state["position"]] = (position + 1) % len(buffer)
    weights = np.array(synapse.weights, buffer.dtype)
    return jnp.tensordot(weights, taps, 1).reshape(u.shape)


@translates(SimPES)
def pes(op, step):
    """Set the change of `nengo.PES`."""
    rate = -op.learning_rate * step.dt / op.pre_filtered.size
    step[op.delta] = rate * step[op.error][:, None] * step[op.pre_filtered]
