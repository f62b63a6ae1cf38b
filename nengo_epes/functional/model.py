"""A built model as a pure function: `compile`, `run` and `batch`."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping

import nengo
import numpy as np
from nengo.builder.operator import SimPyFunc
from nengo.builder.probe import SimProbe
from nengo.builder.processes import SimProcess
from nengo.exceptions import SimulationError, SimulatorClosed

from nengo_epes.optional import load

jax = load("jax", "jax")
jnp = load("jax.numpy", "jax")

TRANSLATIONS: dict = {}
# `run` does blocks of steps: after each, Ctrl-C is heard
BLOCK = 1000  # steps
BYTES = 2**26  # of probes in a block


def translates(*kinds):
    """Register the translation of kinds of operators, or of processes.

    Parameters
    ----------
    *kinds : type
        Subclasses of `nengo.builder.Operator`, whose translation is a function of the
        operator and the `Step`. Or subclasses of `nengo.Process`, whose translation is
        a function of operator, `Step` and input, and returns the output. Subclasses of
        them have no translation, because they may do anything.

    Examples
    --------
    >>> from nengo.builder import Operator
    >>> from nengo_epes import functional
    >>> class CountUp(Operator):
    ...     "Adds 1 to a signal in every step."
    >>> @functional.translates(CountUp)
    ... def count_up(op, step):
    ...     step[op.updates[0]] += 1
    """

    def register(translation):
        TRANSLATIONS.update(dict.fromkeys(kinds, translation))
        return translation

    return register


def node(function):
    """Mark a function as written in jax.numpy, without side effects.

    Parameters
    ----------
    function : callable
        Output of a Node, a function of the time, and of the input if there is one. Or
        the function of a Connection from a Node.

    Returns
    -------
    callable
        The same function, marked.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import nengo
    >>> from nengo_epes import functional
    >>> @functional.node
    ... def wave(t):
    ...     return jnp.sin(7 * t)
    >>> with nengo.Network() as net:
    ...     probe = nengo.Probe(nengo.Node(wave))
    >>> with nengo.Simulator(net, progress_bar=False) as sim:
    ...     functional.run(sim, 100)
    ...     print(sim.data[probe].shape)
    (100, 1)
    """

    @functools.wraps(function)
    def marked(*args):
        return function(*args)

    marked.is_traceable = True
    return marked


class NotTranslatedError(Exception):
    """An operator has no translation; the message says what to do instead."""


class Arrays(Mapping):
    """Mapping from signals, Nodes or probes to arrays; JAX treats it as a pytree.

    The key may also be a view of a signal, which gives a part of the signal's array.

    Parameters
    ----------
    arrays : dict
        Arrays by signal, Node or probe.

    Examples
    --------
    >>> from nengo_epes import functional
    >>> inputs = functional.Arrays({"a": 1.0, "b": 2.0})
    >>> inputs.replace({"b": 3.0})["b"]
    3.0
    """

    def __init__(self, arrays):
        self._arrays = dict(arrays)

    def __getitem__(self, key):
        if key not in self._arrays and isinstance(key, nengo.builder.Signal):
            return read(self._arrays[key.base], key)
        return self._arrays[key]

    def __iter__(self):
        return iter(self._arrays)

    def __len__(self):
        return len(self._arrays)

    def replace(self, arrays):
        """Return a copy with other values for some keys, or for views of signals.

        Parameters
        ----------
        arrays : dict
            The values.

        Raises
        ------
        KeyError
            If there is no array of a key.
        """
        changed = dict(self._arrays)
        for key, value in arrays.items():
            is_signal = isinstance(key, nengo.builder.Signal)
            base = key.base if is_signal else key
            if base not in changed:
                raise KeyError(f"{key}: there is no such array; use a key of these")
            changed[base] = write(changed[base], key, value) if is_signal else value
        return Arrays(changed)


jax.tree_util.register_pytree_with_keys(
    Arrays,
    lambda arrays: (
        [(jax.tree_util.DictKey(key), value) for key, value in arrays.items()],
        tuple(arrays),
    ),
    lambda keys, values: Arrays(zip(keys, values, strict=True)),
)


def read(array, signal):
    """Return the part of an array that a signal is of its base."""
    if signal.base is signal:
        return array
    places, shape = entries(signal)
    return jnp.broadcast_to(array.reshape(-1)[places].reshape(shape), signal.shape)


def write(array, signal, value):
    """Return an array with another value where a signal is of its base."""
    value = jnp.broadcast_to(jnp.asarray(value, array.dtype), signal.shape)
    if signal.base is signal:
        return value
    places, shape = entries(signal)
    value = value[tuple(slice(n) for n in shape)].reshape(-1)
    return array.reshape(-1).at[places].set(value).reshape(array.shape)


def entries(signal):
    """Return which entries of its flat base a signal has, and in which shape.

    The entries are a slice or an array. Repeated rows and columns are there once.
    """
    strides = signal.elemstrides
    shape = [n if s else 1 for n, s in zip(signal.shape, strides, strict=True)]
    places = np.full(shape, signal.elemoffset)
    for axis, stride in enumerate(strides):
        places += stride * np.indices(shape)[axis]
    flat = places.ravel()
    steps = set(np.diff(flat).tolist()) or {1}
    if flat.size and len(steps) == 1 and min(steps) > 0:
        (step,) = steps
        return slice(int(flat[0]), int(flat[-1]) + 1, step), shape
    return flat, shape


class Step:
    """The arrays of one simulator step, which operators change one after the other.

    ``step[signal]`` is the array of a signal, and ``step[signal] = array`` replaces it,
    also if the signal is a view of another one.

    Parameters
    ----------
    arrays : Mapping
        Arrays at the beginning of the step.
    model : nengo.builder.Model
        The model.

    Attributes
    ----------
    dt : float
        Simulator step in seconds.
    arrays : dict
        Present array of each signal that is not a view.

    Examples
    --------
    See `translates`.
    """

    def __init__(self, arrays, model):
        self.arrays, self.initial = dict(arrays), {}
        self.dt, self._model = model.dt, model
        self.changes_memory, self.refused = False, []

    def __getitem__(self, signal):
        return read(self.arrays[signal.base], signal)

    def __setitem__(self, signal, value):
        self.arrays[signal.base] = write(self.arrays[signal.base], signal, value)

    def do(self, index, op):
        """Do an operator, the index-th of the model."""
        self._op = index
        try:
            if type(op) not in TRANSLATIONS:
                raise NotTranslatedError
            TRANSLATIONS[type(op)](op, self)
        except NotTranslatedError as error:
            self.refused.append(f"{op}: {str(error) or self._remedy(op)}")

    def _remedy(self, op):
        if isinstance(op, SimPyFunc):
            remedy = "it calls Python; mark its function with @functional.node"
        else:
            remedy = (
                "it has no translation; write one, see functional.translates, or use "
                "nengo.Simulator"
            )
        toplevel, output = self._model.toplevel, output_of(op)
        for node in toplevel.all_nodes if output and toplevel else ():
            if self._model.sig[node].get("out") is output:
                remedy += ", or give inputs={node: values} for " + str(node)
        return remedy

    def memory(self, name, initial):
        """Return a value that the operator stored under a name.

        Parameters
        ----------
        name : str
            The name.
        initial : array
            Value before the first step.
        """
        key = self._op, name
        self.initial[key] = initial
        if key not in self.arrays:
            self.arrays[key] = jnp.asarray(initial)
        return self.arrays[key]

    def remember(self, name, value):
        """Store a value under a name until the next step."""
        self.arrays[self._op, name] = value
        self.changes_memory = True


def output_of(op):
    """Return the output of an operator that may belong to a Node, else None."""
    return op.output if isinstance(op, SimPyFunc | SimProcess) else None


def precision_of(sim):
    """Return the dtype of a simulator; refuse a closed one, and half precision."""
    if sim.closed:
        raise SimulatorClosed("a closed simulator has no signals; use it before")
    dtype = sim.signals[sim.model.time].dtype
    if dtype.itemsize < 4:
        raise ValueError(
            "half precision: JAX would round otherwise than numpy; use "
            "nengo.Simulator, or nengo.rc['precision']['bits'] = '32'"
        )
    return dtype


class Program:
    """The operators of a simulator, as a function of their arrays.

    Parameters
    ----------
    sim : nengo.Simulator
        The simulator.
    inputs : sequence of nengo.Node, optional
        Nodes whose output is an input.
    like : Program, optional
        Program of a model that was built alike.

    Attributes
    ----------
    memory : dict
        Initial values of what operators store, but not in signals.
    changes_memory : bool
        Whether a step changes these values.
    text : str
        All operations of a step, and all constants.
    """

    def __init__(self, sim, inputs=(), like=None):
        self.dtype = precision_of(sim)
        self.model, self.probes = sim.model, list(sim.model.probes)
        self.given = {node: self._output(node) for node in inputs}
        given = {id(signal) for signal in self.given.values()}
        self.order = [
            (index, op)
            for index, op in enumerate(sim.step_order)
            if type(op) is not SimProbe and id(output_of(op)) not in given
        ]
        used = {s.base for _, op in self.order for s in op.all_signals}
        used |= {self.model.sig[probe]["in"].base for probe in self.probes}
        used |= {signal.base for signal in self.given.values()}
        # in the order of the model: models that were built alike have it, too
        self.signals = [
            s for s in sim.signals if s.base is s and not s.sparse and s in used
        ]
        self.memory = dict(like.memory) if like else {}
        known = -1
        while known < len(self.memory):  # the first trace finds the memory
            known = len(self.memory)
            self.text = self._trace(sim)

    def _output(self, node):
        signals = self.model.sig.get(node, {}) if isinstance(node, nengo.Node) else {}
        if "out" not in signals or node.output is None:
            raise ValueError(
                f"inputs: {node} is not a Node of this model with an output of its "
                "own; give Nodes with a function, a process or an array"
            )
        return signals["out"]

    def _trace(self, sim):
        """Return all operations of a step, without the names of keys."""
        zeros = Arrays({node: np.zeros(node.size_out) for node in self.given})
        arrays, tree = jax.tree.flatten((self.state(sim), zeros))

        def advance(arrays):
            step = self._advance(*tree.unflatten(arrays))
            self.memory |= step.initial
            self.changes_memory = step.changes_memory
            return jax.tree.leaves((list(step.arrays.values()), self._probe(step)))

        return jax.jit(advance).lower(arrays).as_text()

    def state(self, sim, memory=None):
        """Return the present state of a simulator."""
        arrays = {s: jnp.asarray(sim.signals[s]) for s in self.signals}
        return Arrays(arrays | (memory or self.memory))

    def step(self, state, inputs=None):
        """Return the state after a step, and what is probed."""
        step = self._advance(state, inputs)
        probed = zip(self.probes, self._probe(step), strict=True)
        return Arrays(step.arrays), Arrays(probed)

    def _advance(self, state, inputs):
        step = Step(state, self.model)
        for node, signal in self.given.items():
            value = None if inputs is None else inputs.get(node)
            if value is None or np.shape(value) != signal.shape:
                raise ValueError(
                    f"inputs: {node} needs an array of shape {signal.shape} in each "
                    f"step (got {value}); give functional.Arrays with this Node"
                )
            if signal.base in step.arrays:  # else nothing reads it
                step[signal] = value
        for index, op in self.order:
            step.do(index, op)
        if step.refused:
            raise NotImplementedError("\n".join(step.refused))
        return step

    def _probe(self, step):
        return [step[self.model.sig[probe]["in"]] for probe in self.probes]


def compile(sim, inputs=()):
    """Return a built model as a pure function of its state, and its present state.

    Parameters
    ----------
    sim : nengo.Simulator
        A simulator of the model; it does not run.
    inputs : sequence of nengo.Node, optional
        Nodes whose output is an argument of the function, instead of their own.

    Returns
    -------
    step : callable
        ``step(state, inputs) -> (state, probed)`` does a simulator step. It can be
        compiled, vectorized, repeated and differentiated: `jax.jit`, `jax.vmap`,
        `jax.lax.scan`, `jax.grad`. ``inputs`` and ``probed`` are `Arrays`, with a value
        for each Node of ``inputs`` and for each probe. Without such Nodes, omit inputs.
    state : Arrays
        Arrays of all signals that are used, such as ``sim.model.sig[conn]["weights"]``,
        and what operators store elsewhere, such as seeds of random numbers.

    Raises
    ------
    NotImplementedError
        If an operator has no translation; the message names each.
    ValueError
        If the model is in double precision and JAX is not, or in half precision. If an
        input is not a Node with an output.
    SimulatorClosed
        If the simulator is closed.

    Examples
    --------
    >>> import jax
    >>> import nengo
    >>> import numpy as np
    >>> from nengo_epes import functional
    >>> with nengo.Network(seed=0) as net:
    ...     stimulus, ensemble = nengo.Node([0]), nengo.Ensemble(50, 1)
    ...     conn = nengo.Connection(stimulus, ensemble)
    ...     probe = nengo.Probe(ensemble, synapse=0.01)
    >>> values = functional.Arrays({stimulus: np.full((100, 1), 0.5)})
    >>> with jax.enable_x64(True), nengo.Simulator(net, progress_bar=False) as sim:
    ...     step, state = functional.compile(sim, inputs=[stimulus])
    ...     state, probed = jax.lax.scan(step, state, values)
    >>> probed[probe].shape
    (100, 1)
    """
    program = make_program(sim, inputs)
    return program.step, program.state(sim)


def make_program(sim, inputs, like=None):
    """Return the `Program` of a simulator whose precision JAX has."""
    dtype = precision_of(sim)
    if jnp.asarray(np.zeros(0, dtype)).dtype != dtype:
        raise ValueError(
            "the model is in double precision, and JAX uses single precision: call "
            "jax.config.update('jax_enable_x64', True), or build the model in single "
            "precision, nengo.rc['precision']['bits'] = '32'"
        )
    return Program(sim, inputs, like)


def run(sim, n_steps, inputs=None):
    """Run a simulator by JAX, compiled as one loop.

    Signals, probes and time of the simulator are as after `nengo.Simulator.run_steps`,
    to rounding. So both may run in turn, except if the model has an `Environment`: the
    environment in JAX is another one.

    Parameters
    ----------
    sim : nengo.Simulator
        The simulator.
    n_steps : int
        Number of steps.
    inputs : dict of nengo.Node to array, optional
        Output of Nodes instead of their own, shape (n_steps, size_out).

    Raises
    ------
    SimulationError
        If a signal is not finite at the end of a block of steps, or a probe in any
        step. The simulator then is as before this block. Or if an environment would
        continue after steps that JAX did not run.
    NotImplementedError, ValueError, SimulatorClosed
        As in `compile`; ValueError also if the shape of an input is wrong.

    Notes
    -----
    The model is compiled in the first run, and again for each other number of steps
    below 1000. Runs of multiples of 1000 steps share what is compiled.

    Examples
    --------
    See `node`.
    """
    if not isinstance(n_steps, int | np.integer):
        raise ValueError(f"n_steps: must be an int (got {n_steps!r})")
    if not isinstance(inputs, Mapping | None):
        raise ValueError(f"inputs: must be a dict of Nodes and values (got {inputs!r})")
    inputs = dict(inputs or {})
    with jax.enable_x64(precision_of(sim) == np.float64):
        known = _programs.setdefault(sim, {"memory": {}, "at": None})
        program, loop = _program_of(sim, inputs, known)
        values = {
            node: _checked(node, x, n_steps, program.dtype)
            for node, x in inputs.items()
        }
        memory = known["memory"] if program.changes_memory and sim.n_steps else None
        if memory is not None and (
            known["at"] != _moment(sim) or memory.keys() != program.memory.keys()
        ):
            raise SimulationError(
                "the environment in JAX has not taken part in all steps of this "
                "simulator; call sim.reset(), and run all steps by functional.run"
            )
        state = program.state(sim, memory)
        constants = {
            signal: sim.signals[signal].copy()
            for node, signal in program.given.items()
            if isinstance(node.output, np.ndarray) and signal in sim.signals
        }
        block = block_size(program)
        for start in range(0, n_steps, block):
            size = min(block, n_steps - start)
            part = {node: x[start : start + size] for node, x in values.items()}
            state, probed = loop(state, Arrays(part), size)
            _store(sim, program, state, probed, size)
            for signal, value in constants.items():  # no operator sets it again
                sim.signals[signal][...] = value
            known["memory"] = {key: state[key] for key in program.memory}
            known["at"] = _moment(sim)


_programs: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _moment(sim):
    # a reset makes other functions of operators
    return sim.n_steps, id(sim._steps)


def _program_of(sim, inputs, known):
    """Return what was compiled for a simulator and Nodes."""
    key = frozenset(inputs)
    if key not in known:
        program = Program(sim, inputs)

        def loop(state, values, size):
            return jax.lax.scan(program.step, state, values, length=size)

        known[key] = program, jax.jit(loop, static_argnums=2)
    return known[key]


def _checked(node, values, n_steps, dtype):
    values = np.asarray(values)
    if values.shape != (n_steps, node.size_out) or values.dtype.kind not in "fiub":
        raise ValueError(
            f"inputs: {node} needs numbers of shape {n_steps, node.size_out}, one row "
            f"for each step (got {values.dtype} of shape {values.shape})"
        )
    return values.astype(dtype)


def block_size(program):
    """Return the number of steps whose probes fit into the memory."""
    signals = [program.model.sig[probe]["in"] for probe in program.probes]
    n_bytes = sum(signal.size * signal.itemsize for signal in signals)
    return max(1, min(BLOCK, BYTES // max(n_bytes, 1)))


def _store(sim, program, state, probed, size):
    """Write a state to the signals of a simulator, and store what was probed."""
    arrays = [(signal.name, state[signal]) for signal in program.signals]
    arrays += [(probe, probed[probe]) for probe in program.probes]
    for name, array in arrays:
        if not np.isfinite(array).all():
            raise SimulationError(
                f"{name}: is not finite at t={(sim.n_steps + size) * sim.dt:g} s or "
                "before; run nengo.Simulator, which stops where NaN arises"
            )
    steps = sim.n_steps + 1 + np.arange(size)
    for signal in program.signals:
        if not signal.readonly:
            sim.signals[signal][...] = state[signal]
    for probe in program.probes:
        every = 1 if probe.sample_every is None else probe.sample_every / sim.dt
        samples = np.asarray(probed[probe])[steps % every < 1]
        sim._sim_data[probe].extend(samples)
    sim._probe_step_time()


def batch(sims, inputs=()):
    """Return many models that were built alike as one function and one state.

    Parameters
    ----------
    sims : sequence of nengo.Simulator
        Simulators of models that differ only in the values of signals, such as models
        of several seeds, with ``optimize=False``: Nengo's optimizer orders signals at
        random.
    inputs : sequence of nengo.Node, optional
        As in `compile`, Nodes of the first model.

    Returns
    -------
    step : callable
        As in `compile`, for one model; use ``jax.vmap(step)``.
    states : Arrays
        Stacked states; the keys are the signals of the first model.

    Raises
    ------
    ValueError
        If the models were not built alike.
    NotImplementedError, SimulatorClosed
        As in `compile`.

    Examples
    --------
    >>> import jax
    >>> import nengo
    >>> from nengo_epes import functional
    >>> sims = []
    >>> for seed in range(3):
    ...     with nengo.Network(seed=seed) as net:
    ...         ensemble = nengo.Ensemble(50, 1)
    ...         probe = nengo.Probe(ensemble)
    ...     sims.append(nengo.Simulator(net, optimize=False, progress_bar=False))
    >>> with jax.enable_x64(True):
    ...     step, states = functional.batch(sims)
    ...     states, probed = jax.vmap(step)(states)
    >>> probed[sims[0].model.probes[0]].shape
    (3, 1)
    >>> for sim in sims:
    ...     sim.close()
    """
    sims = list(sims)
    if not sims:
        raise ValueError("sims: is empty; give at least one simulator")
    first = make_program(sims[0], inputs)
    n_nodes = len(_nodes(sims[0]))
    places = [_nodes(sims[0]).index(node) for node in inputs]
    states = [first.state(sims[0])]
    for number, sim in enumerate(sims[1:], 1):
        nodes, program = _nodes(sim), None
        if len(nodes) == n_nodes:
            given = [nodes[place] for place in places]
            program = make_program(sim, given, like=first)
        if program is None or program.text != first.text:
            raise ValueError(
                f"the model of sims[{number}] was not built like the model of sims[0]; "
                "use models that differ only in the values of signals, and "
                "optimize=False: Nengo's optimizer orders signals at random"
            )
        states.append(program.state(sim))
    values = zip(*(state.values() for state in states), strict=True)
    return first.step, Arrays(zip(states[0], map(np.stack, values), strict=True))


def _nodes(sim):
    return [] if sim.model.toplevel is None else sim.model.toplevel.all_nodes
