"""A built model as a pure function: `compile`, `run` and `batch`."""

from __future__ import annotations

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
BLOCK = 1000  # steps of `run` between which Ctrl-C is heard


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
    """Mark the function of a Node as written in jax.numpy, without side effects.

    Parameters
    ----------
    function : callable
        Output of a Node: a function of the time, and of the input if there is one.

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
    function.is_traceable = True
    return function


class NotTranslatedError(Exception):
    """What an operator does cannot be a function of arrays; says what to do."""


class Arrays(Mapping):
    """Arrays by signal, Node or probe: a pytree, as JAX calls it.

    A view of a signal gives a part of its array.

    Parameters
    ----------
    arrays : dict
        Arrays.

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
            return look(self._arrays[key.base], key)
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
            base = key.base if isinstance(key, nengo.builder.Signal) else key
            if base not in changed:
                raise KeyError(f"{key}: not in these arrays; use one of {list(self)}")
            changed[base] = value if base is key else put(changed[base], key, value)
        return Arrays(changed)


jax.tree_util.register_pytree_node(
    Arrays,
    lambda arrays: (tuple(arrays._arrays.values()), tuple(arrays._arrays)),
    lambda keys, values: Arrays(zip(keys, values, strict=True)),
)


def look(array, view):
    """Return the part of an array that a view is of its base."""
    if view.base is view:
        return array
    places, shape = entries(view)
    return jnp.broadcast_to(array.reshape(-1)[places].reshape(shape), view.shape)


def put(array, view, value):
    """Return an array with other values where a view is of its base."""
    value = jnp.broadcast_to(jnp.asarray(value, array.dtype), view.shape)
    if view.base is view:
        return value
    places, shape = entries(view)
    value = value[tuple(slice(n) for n in shape)].reshape(-1)
    return array.reshape(-1).at[places].set(value).reshape(array.shape)


def entries(view):
    """Return which entries of its flat base a view has, and in which shape.

    The entries are a slice or an array. Repeated rows and columns are there once.
    """
    shape = [
        n if stride else 1
        for n, stride in zip(view.shape, view.elemstrides, strict=True)
    ]
    places = np.full(shape, view.elemoffset)
    for axis, stride in enumerate(view.elemstrides):
        places += stride * np.indices(shape)[axis]
    flat = places.ravel()
    first, step = int(flat[0]), int(flat[1] - flat[0]) if flat.size > 1 else 1
    if step > 0 and (np.diff(flat) == step).all():
        return slice(first, first + step * flat.size, step), shape
    return flat, shape


class Step:
    """The arrays of one simulator step, while operators change them in turn.

    ``step[signal]`` is the array of a signal, and ``step[signal] = array`` replaces it,
    also if it is a view of another.

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
        The arrays.
    initial : dict
        Initial values of memory that no signal holds.
    """

    def __init__(self, arrays, model):
        self.arrays, self.initial = dict(arrays), {}
        self.model, self.dt = model, model.dt
        self._op = None

    def __getitem__(self, signal):
        return look(self.arrays[signal.base], signal)

    def __setitem__(self, signal, value):
        self.arrays[signal.base] = put(self.arrays[signal.base], signal, value)

    def do(self, index, op):
        """Do an operator, the index-th of the model."""
        self._op = index
        if type(op) not in TRANSLATIONS:
            raise NotTranslatedError
        TRANSLATIONS[type(op)](op, self)

    def memory(self, name, initial):
        """Return the value of the present operator's memory of a name.

        Parameters
        ----------
        name : str
            Name.
        initial : pytree of array
            Value before the first step.
        """
        key = self._op, name
        self.initial[key] = initial
        if key not in self.arrays:
            self.arrays[key] = jax.tree.map(jnp.asarray, initial)
        return self.arrays[key]

    def remember(self, name, value):
        """Store a value of the present operator under a name."""
        self.arrays[self._op, name] = value

    def random_key(self, count):
        """Return JAX's key for random numbers; other operators and counts have others.

        Parameters
        ----------
        count : int array
            Number of the event, such as a decision.
        """
        key = jax.random.fold_in(self.arrays["key"], self._op)
        return jax.random.fold_in(key, count)


class Program:
    """The operators of a simulator, and the arrays that they need.

    Parameters
    ----------
    sim : nengo.Simulator
        The simulator.
    inputs : sequence of nengo.Node
        Nodes whose output is given.
    like : Program, optional
        Program of a model that was built alike.

    Attributes
    ----------
    initial : dict
        Initial values of memory that no signal holds.
    description : tuple
        All operations of a step, and their constants.
    """

    def __init__(self, sim, inputs=(), like=None):
        self.model, self.probes = sim.model, list(sim.model.probes)
        self.given = {node: self._output(node) for node in inputs}
        replaced = {id(signal) for signal in self.given.values()}
        self.order = [
            (index, op)
            for index, op in enumerate(sim.step_order)
            if type(op) is not SimProbe and id(_output_of(op)) not in replaced
        ]
        used = {s.base for _, op in self.order for s in op.all_signals}
        used |= {self.model.sig[probe]["in"].base for probe in self.probes}
        used |= {signal.base for signal in self.given.values()}
        # in the order of the model: models that were built alike have it, too
        self.signals = [
            s for s in sim.signals if s.base is s and not s.sparse and s in used
        ]
        self.initial = {**(like.initial if like else {})}
        self.initial["key"] = jax.random.PRNGKey(sim.seed)
        known = 0
        while known < len(self.initial):  # the first trace finds the memory
            known = len(self.initial)
            self.description = self._trace(sim)

    def _output(self, node):
        signal = self.model.sig.get(node, {}).get("out")
        if not isinstance(node, nengo.Node) or node.output is None or signal is None:
            raise ValueError(
                f"inputs: {node} is no Node of this model with an output of its own; "
                "give Nodes with a function, a process or an array"
            )
        return signal

    def _trace(self, sim):
        """Return all operations and constants of a step; refuse what is unknown."""
        unknown = []

        def advance(state):
            step = Step(state, self.model)
            for index, op in self.order:
                try:
                    step.do(index, op)
                except NotTranslatedError as error:
                    unknown.append(f"{op}: {str(error) or self._remedy(op)}")
            self.initial.update(step.initial)
            return tuple(step.arrays.values()), self._probe(step)

        traced = jax.make_jaxpr(advance)(self.state(sim))
        if unknown:
            raise NotImplementedError("\n".join(unknown))
        return str(traced), [np.asarray(x).tolist() for x in traced.consts]

    def _probe(self, step):
        return [step[self.model.sig[probe]["in"]] for probe in self.probes]

    def _remedy(self, op):
        nodes = self.model.toplevel.all_nodes if self.model.toplevel else ()
        if any(self.model.sig[node].get("out") is _output_of(op) for node in nodes):
            return (
                "is the output of a Node, made by Python; give inputs=[the Node] and "
                "values, or write the function in jax.numpy and mark it with "
                "@functional.node"
            )
        return (
            "has no translation; write one, see functional.translates, or use "
            "nengo.Simulator"
        )

    def state(self, sim, memory=None):
        """Return the present state of a simulator."""
        arrays = {s: jnp.asarray(sim.signals[s]) for s in self.signals}
        return Arrays(arrays | self.initial | (memory or {}))

    def step(self, state, inputs=None):
        """Return the state after a step, and what is probed."""
        step = Step(state, self.model)
        for node, signal in self.given.items():
            step[signal] = inputs[node]
        for index, op in self.order:
            step.do(index, op)
        probed = zip(self.probes, self._probe(step), strict=True)
        return Arrays(step.arrays), Arrays(probed)


def _output_of(op):
    return op.output if isinstance(op, SimPyFunc | SimProcess) else None


def precision(sim):
    """Return a context with the precision of a simulator."""
    return jax.enable_x64(sim.signals[sim.model.time].dtype == np.float64)


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
        `jax.lax.scan`, `jax.grad`. The inputs are `Arrays` with a value for each Node
        of ``inputs``, and may be left out if there is none. The second result are
        `Arrays` with the value of each probe.
    state : Arrays
        Arrays of all signals that are not views of others, such as
        ``sim.model.sig[conn]["weights"]``.

    Raises
    ------
    NotImplementedError
        If an operator has no translation; the message names each.
    ValueError
        If the model is in double precision, but JAX is not. If an input is not a Node
        with an output.
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
    if sim.closed:
        raise SimulatorClosed("a closed simulator has no signals; compile it before")
    dtype = sim.signals[sim.model.time].dtype
    if jnp.asarray(np.zeros(0, dtype)).dtype != dtype:
        raise ValueError(
            f"the model is in {dtype}, and JAX uses single precision: call "
            "jax.config.update('jax_enable_x64', True), or build the model in single "
            "precision, nengo.rc['precision']['bits'] = '32'"
        )
    return Program(sim, inputs, like)


_programs: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def run(sim, n_steps, inputs=None):
    """Run a simulator by JAX, compiled as one loop.

    Signals, probes and time of the simulator are as after `nengo.Simulator.run_steps`,
    so both may run in turn.

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
        If a signal is not finite at the end of a block of steps. The simulator then is
        as before this block.
    NotImplementedError, ValueError, SimulatorClosed
        As in `compile`; ValueError also if the shape of an input is wrong.

    Notes
    -----
    The first call of a simulator compiles the model, and so does another number of
    steps: multiples of 1000 steps share what is compiled.

    Examples
    --------
    See `node`.
    """
    if sim.closed:
        raise SimulatorClosed("Simulator cannot run because it is closed.")
    inputs = inputs or {}
    with precision(sim):
        values = {node: _checked(node, x, n_steps) for node, x in inputs.items()}
        program, loop, memory = _program_of(sim, inputs)
        state = program.state(sim, memory if sim.n_steps else None)
        for start in range(0, n_steps, BLOCK):
            size = min(BLOCK, n_steps - start)
            part = {node: x[start : start + size] for node, x in values.items()}
            state, probed = loop(state, Arrays(part), size)
            _store(sim, program, state, probed, size)
            memory.update((key, state[key]) for key in program.initial)


def _checked(node, values, n_steps):
    values = np.asarray(values, nengo.rc.float_dtype)
    if values.shape != (n_steps, node.size_out):
        raise ValueError(
            f"inputs: {node} needs values of shape {n_steps, node.size_out}, one row "
            f"for each step (got {values.shape})"
        )
    return values


def _program_of(sim, inputs):
    """Return what was compiled for a simulator and Nodes, and its memory."""
    known = _programs.setdefault(sim, {"memory": {}})
    key = frozenset(inputs)
    if key not in known:
        program = Program(sim, inputs)

        def loop(state, values, size):
            return jax.lax.scan(program.step, state, values, length=size)

        known[key] = program, jax.jit(loop, static_argnums=2)
    return *known[key], known["memory"]


def _store(sim, program, state, probed, size):
    """Write a state to the signals of a simulator, and store what was probed."""
    for signal in program.signals:
        if not np.isfinite(state[signal]).all():
            raise SimulationError(
                f"{signal.name}: is not finite at t={(sim.n_steps + size) * sim.dt:g} "
                "s; run nengo.Simulator, which stops in the step in which it happens"
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
    first = make_program(sims[0], inputs)
    places = [sims[0].model.toplevel.all_nodes.index(node) for node in inputs]
    states = [first.state(sims[0])]
    for number, sim in enumerate(sims[1:], 1):
        nodes = [sim.model.toplevel.all_nodes[place] for place in places]
        program = make_program(sim, nodes, like=first)
        if program.description != first.description:
            raise ValueError(
                f"the model of sims[{number}] was not built as that of sims[0]; use "
                "models that differ only in the values of signals, and optimize=False: "
                "Nengo's optimizer orders signals at random"
            )
        states.append(program.state(sim))
    values = [tuple(state.values()) for state in states]
    stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *values)
    return first.step, Arrays(zip(states[0], stacked, strict=True))
