"""e-prop in Nengo: python benchmarks/eprop.py [pattern] [memory].

A recurrent network of spiking neurons learns its input weights, its recurrent weights
and its readout at the same time, in every simulator step. All three learn by learning
rules of Nengo connections: EPES, EPES and nengo.PES. The tasks are small forms of those
of Bellec et al. (2020):

* pattern: generate a sum of four sinusoids from frozen noise. The result is the squared
  error of the last ten repetitions with learning, divided by the target's variance.
  "Without learning" is the same for ten more repetitions, in which nothing learns: a
  large step follows the target within a repetition without storing it in the weights.
  Beside it are readouts of the same network without its learning: PES, Adam (computed
  in numpy) and least squares.
* memory: report after a delay which of two cues was shown. The neurons adapt. They
  learn until 98 of the last 100 answers were right, at most for 1000 trials. The result
  is the share of right answers in 100 trials more, in which nothing learns.

The settings were chosen on seeds from 1000 on; seeds 0 to 9 are reported.
"""

import argparse
import json
from pathlib import Path

import nengo
import numpy as np
from many import run_many

from nengo_epes import EPES
from nengo_epes.files import write_atomically
from nengo_epes.networks import RateRegularization
from nengo_epes.simulators import NAMES, choose_simulator

RESULTS = Path(__file__).parent / "results"
DT = 0.001
TAU_SYNAPSE = 0.005
SCALE = 1 / 33  # of weights, for spikes of 1 / dt through TAU_SYNAPSE
PARTS = ("input", "recurrent")
LAST = 10  # repetitions of a result
TESTS = 100  # trials of a result


class Recurrent(nengo.Network):
    """Input neurons, recurrent neurons and a readout, whose weights all learn.

    Connect spikes of height 1 / dt to ``inputs.neurons``, and the error of the readout
    (actual minus target) to ``error``.
    """

    def __init__(
        self,
        rng,
        neuron_type,
        n_inputs=100,
        n_neurons=100,
        size_out=1,
        eta=5e-8,  # step of plain gradient descent, one a simulator step
        eta_readout=3e-9,
        regularization=3e-6,
        tau_readout=0.03,
        learns=PARTS,
        **epes,
    ):
        super().__init__()
        n = n_neurons
        weights = {
            "input": SCALE * rng.randn(n, n_inputs) / np.sqrt(n_inputs),
            "recurrent": 0.5 * SCALE * rng.randn(n, n) / np.sqrt(n),
        }
        feedback = SCALE * rng.randn(n, size_out) / np.sqrt(n)
        settings = {
            "pre_synapse": nengo.Lowpass(TAU_SYNAPSE).combine(
                nengo.Lowpass(neuron_type.tau_rc)
            ),
            "trace_synapse": tau_readout,
            "size_td_error": n,
            "size_eligibility": 0,
            "feedback": "rows",
            "post_derivative": "auto",
        }
        self.learning = True

        def while_learning(t, x):
            return x * self.learning

        with self:
            self.inputs = nengo.Ensemble(
                n_inputs,
                1,
                neuron_type=nengo.RectifiedLinear(),
                gain=np.ones(n_inputs),
                bias=np.zeros(n_inputs),
            )
            self.ensemble = nengo.Ensemble(
                n,
                1,
                neuron_type=neuron_type,
                gain=np.ones(n),
                bias=rng.uniform(0.2, 0.8, n),
            )
            self.readout = nengo.Node(size_in=size_out)
            self.error = nengo.Node(while_learning, size_in=size_out)
            third_factor = nengo.Node(while_learning, size_in=n)
            rates = RateRegularization(self.ensemble.neurons, regularization)
            nengo.Connection(rates.output, third_factor, synapse=None)
            nengo.Connection(
                self.error, third_factor, transform=-feedback, synapse=None
            )
            for part, pre in zip(PARTS, (self.inputs, self.ensemble), strict=True):
                rate = eta * pre.n_neurons / DT**2
                conn = nengo.Connection(
                    pre.neurons,
                    self.ensemble.neurons,
                    transform=weights[part],
                    synapse=TAU_SYNAPSE,
                    learning_rule_type=(
                        EPES(rate, **{**settings, **epes}) if part in learns else None
                    ),
                )
                if part in learns:
                    nengo.Connection(third_factor, conn.learning_rule, synapse=None)
            conn = nengo.Connection(
                self.ensemble.neurons,
                self.readout,
                transform=np.zeros((size_out, n)),
                synapse=tau_readout,
                learning_rule_type=nengo.PES(
                    eta_readout * n / DT, pre_synapse=tau_readout
                ),
            )
            nengo.Connection(self.error, conn.learning_rule, synapse=None)


def adam(activities, target, repetitions, step=1e-6):
    """Learn a readout by Adam, one update a row; returns its squared error afterwards.

    Kingma and Ba (2015) with their settings but for the step.
    """
    weights, mean, square = np.zeros((3, activities.shape[1]))
    count = 0
    for _ in range(repetitions):
        for row, wanted in zip(activities, target, strict=True):
            count += 1
            gradient = (row @ weights - wanted) * row
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            root = np.sqrt(square / (1 - 0.999**count)) + 1e-8
            weights -= step * mean / (1 - 0.9**count) / root
    return np.mean((activities @ weights - target) ** 2)


def pattern(seed, repetitions=150, simulator="nengo", **settings):
    """Generate a pattern of one second; returns the error of every repetition."""
    rng = np.random.RandomState(seed)
    n_steps = 1000
    seconds = np.arange(n_steps) * DT
    target = sum(
        rng.uniform(0.5, 2.0) * np.sin(2 * np.pi * (hertz * seconds + rng.rand()))
        for hertz in (1, 2, 3, 5)
    )
    target /= np.abs(target).max()
    spikes = (rng.rand(n_steps, 100) < 50 * DT) / DT

    def step(t):
        return (round(t / DT) - 1) % n_steps

    with nengo.Network(seed=seed) as net:
        frozen_noise = nengo.Node(lambda t: spikes[step(t)])
        wanted = nengo.Node(lambda t: target[step(t)])
        recurrent = Recurrent(rng, nengo.LIF(), **settings)
        nengo.Connection(frozen_noise, recurrent.inputs.neurons, synapse=None)
        nengo.Connection(recurrent.readout, recurrent.error, synapse=None)
        nengo.Connection(wanted, recurrent.error, transform=-1, synapse=None)
        output = nengo.Probe(recurrent.readout)
        rates = nengo.Probe(recurrent.ensemble.neurons, synapse=0.03)
    with choose_simulator(simulator)(net, progress_bar=False) as sim:
        # one repetition at a time: the rates of all would take much memory
        errors = []
        for repetition in range(repetitions + LAST):
            recurrent.learning = repetition < repetitions
            sim.clear_probes()
            sim.run_steps(n_steps)
            errors.append(np.mean((sim.data[output][:, 0] - target) ** 2))
        activities = sim.data[rates]
    errors = (np.array(errors) / target.var()).round(5)
    found = {
        "errors": errors.tolist(),
        "result": float(errors[repetitions - LAST : repetitions].mean()),
        "without learning": float(errors[repetitions:].mean()),
    }
    # other readouts of the same network: its neurons did not learn
    if not settings.get("learns", PARTS):
        best = np.linalg.lstsq(activities, target, rcond=None)[0]
        residual = activities @ best - target
        found["least squares"] = float(np.mean(residual**2) / target.var())
        found["Adam"] = float(adam(activities, target, repetitions) / target.var())
    return found


class Cues(nengo.Process):
    """One cue of two, a delay, and the request to decide, again and again.

    Output: 40 spike trains (left cue, right cue, request, background), whether a
    decision is due, and the cue as a vector of two.
    """

    def __init__(self, delay, pause=0.2, cue=0.1, gap=0.05, request=0.15, seed=None):
        self.delay, self.pause, self.cue, self.gap = delay, pause, cue, gap
        self.request = request
        super().__init__(default_size_in=0, default_size_out=43, seed=seed)

    @property
    def trial(self):
        """(float) Seconds of a trial."""
        return self.cue + self.gap + self.delay + self.request + self.pause

    def make_step(self, shape_in, shape_out, dt, rng, state):
        """Make the function of one simulator step."""
        n_trial = round(self.trial / dt)
        start = self.cue + self.gap + self.delay
        hertz = np.zeros(40)
        hertz[30:] = 10
        cue = 0

        def step(t):
            nonlocal cue
            now = (round(t / dt) - 1) % n_trial
            if now == 0:
                cue = rng.randint(2)
            seconds = now * dt
            due = start <= seconds < start + self.request
            hertz[:30] = 0
            if seconds < self.cue:
                hertz[10 * cue : 10 * cue + 10] = 40
            if due:
                hertz[20:30] = 40
            spikes = (rng.rand(40) < hertz * dt) / dt
            return np.concatenate([spikes, [due, cue == 0, cue == 1]])

        return step


def softmax_error(t, x):
    """Return probabilities minus cue in the time of the decision, else 0."""
    logits, due, cue = x[:2], x[2], x[3:]
    probabilities = np.exp(logits - logits.max())
    return due * (probabilities / probabilities.sum() - cue)


def memory(
    seed,
    trials=1000,
    delay=0.5,
    tau_n=1.0,
    inc_n=0.2,
    eta=2e-7,
    simulator="nengo",
    **settings,
):
    """Remember a cue over a delay; returns whether each answer was right.

    At most ``trials`` trials with learning, then `TESTS` without.
    """
    rng = np.random.RandomState(seed)
    cues = Cues(delay, seed=seed)
    options = {
        "eta": eta,
        "eta_readout": 2e-7,
        "regularization": 1e-5,
        "tau_readout": 0.02,
        **settings,
    }
    with nengo.Network(seed=seed) as net:
        task = nengo.Node(cues)
        recurrent = Recurrent(
            rng, nengo.AdaptiveLIF(tau_n, inc_n), n_inputs=40, size_out=2, **options
        )
        nengo.Connection(task[:40], recurrent.inputs.neurons, synapse=None)
        compare = nengo.Node(softmax_error, size_in=5)
        nengo.Connection(recurrent.readout, compare[:2], synapse=None)
        nengo.Connection(task[40:], compare[2:], synapse=None)
        nengo.Connection(compare, recurrent.error, synapse=None)
        logits, answers = nengo.Probe(recurrent.readout), nengo.Probe(task[40:])
    n_trial = round(cues.trial / DT)
    right = []

    def trial():
        sim.clear_probes()
        sim.run_steps(n_trial)
        due, cue = sim.data[answers][:, 0] > 0, sim.data[answers][0, 1:]
        total = sim.data[logits][due].sum(axis=0)
        right.append(int(total.argmax() == cue.argmax()))

    with choose_simulator(simulator)(net, progress_bar=False) as sim:
        while len(right) < trials and sum(right[-100:]) < 98:
            trial()
        recurrent.learning = False
        for _ in range(TESTS):
            trial()
    found = {"trials": len(right) - TESTS, "right": "".join(map(str, right))}
    return {**found, "result": float(np.mean(right[-TESTS:]))}


def run(seed, task, **settings):
    """Run one case."""
    return {"pattern": pattern, "memory": memory}[task](seed, **settings)


def plan(task):
    """Return the arguments of `run`, and the number of seeds, by case."""
    if task == "pattern":
        small = {"n_neurons": 20, "repetitions": 300}
        cases = {"100 neurons": ({}, 10), "20 neurons": (small, 10)}
        # of the steps 3, 10, 30 and 100 times this one, the best without learning
        for size, given, times in (("100", {}, 10), ("20", small, 30)):
            readout = {"learns": (), "eta_readout": times * 3e-9}
            cases[f"{size} neurons, readout only"] = ({**given, **readout}, 3)
        # for the best readout, neurons that do not learn need not run for long
        cases["20 neurons, before learning"] = (
            {**small, "learns": (), "repetitions": LAST},
            10,
        )
    else:
        long = {"delay": 1.0, "tau_n": 2.0, "inc_n": 0.4}
        cases = {
            "0.5 s": ({}, 10),
            "1 s": (long, 5),
            "0.5 s, readout only": ({"learns": (), "trials": 400}, 2),
            "0.5 s, no trace": ({"trace_synapse": None, "trials": 400}, 2),
        }
    return {x: ({"task": task, **given}, n) for x, (given, n) in cases.items()}


def main():
    """Run what is not done yet, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=["pattern", "memory"])
    parser.add_argument("--simulator", choices=NAMES, default="nengo")
    options = parser.parse_args()
    for task in options.tasks:
        table = {}
        for case, (given, n_seeds) in plan(task).items():
            given = {**given, "simulator": options.simulator}
            found = run_many(run, {case: given}, range(n_seeds), Path("study-eprop"))
            values = np.array([one["result"] for one in found[case]])
            table[case] = {
                "settings": given,
                "seeds": n_seeds,
                "runs": found[case],
            }
            print(case, np.median(values), values.min(), values.max(), flush=True)
        text = json.dumps(
            {
                "command": f"python benchmarks/eprop.py {task} --simulator "
                f"{options.simulator}",
                "cases": table,
            }
        )
        path = RESULTS / f"eprop_{task}.json"
        write_atomically(path, lambda out, text=text: out.write_text(text + "\n"))


if __name__ == "__main__":
    main()
