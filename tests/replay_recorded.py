"""Replay recorded cases of ngc-learn's REINFORCESynapse through our own code.

Run `python tests/replay_recorded.py PATH`, where PATH.json and PATH.npz are a recording
such as `tests/data/ngc_reinforce_dev`. The command prints, for every form of the rule,
the worst ratio of error to tolerance of each field. It exits with 1 if a ratio is above
1. `test_gaussian.py` imports the replay from this module.

A *form* is a function (case, arrays) -> fields. It receives the index entry of one case
and its arrays in float64, and returns the six `FIELDS` in their recorded shapes. It
returns an empty dictionary for a case that it does not support. Add it to `FORMS`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nengo
import numpy as np

from nengo_epes import GaussianREINFORCE
from nengo_epes.arithmetic import gaussian
from nengo_epes.arithmetic.activations import activation
from nengo_epes.networks import GaussianPolicy

FIELDS = ("out", "dW", "W", "obj", "acc", "n")
RECORDED_INPUTS = ("W0", "x", "r", "mask", "eps")
NGC_OBJECTIVE_SCALE = 1e-2  # a constant in ngc-learn's code
DT = 0.001

Case = dict[str, Any]
Arrays = dict[str, np.ndarray]
Form = Callable[[Case, Arrays], Arrays]


def load(path: str | Path) -> list[tuple[Case, Arrays]]:
    """Return the cases of a recording, each with its arrays in float64."""
    index = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
    with np.load(f"{path}.npz") as stored:
        return [
            (
                case,
                {
                    name: stored[f"case{case['id']}_{name}"].astype(np.float64)
                    for name in RECORDED_INPUTS + FIELDS
                },
            )
            for case in index["cases"]
        ]


def spec_of(case: Case) -> gaussian.GaussianPolicySpec:
    """Return our description of the policy that a case was recorded with."""
    std = case["scalar_stddev"]
    return gaussian.GaussianPolicySpec(
        n_actions=case["A"],
        mean_activation=case["mu_act_fx"],
        fixed_std=std if std > 0 else None,  # ngc-learn's convention
        action_low=case["mu_out_min"],
        action_high=case["mu_out_max"],
        clip_before_score=True,
        stop_at_bounds=True,
    )


def _transposed(values: np.ndarray) -> np.ndarray:
    """Transpose a mask or count from (I, 2A) to (2A, I), so that it broadcasts.

    A scalar stays a scalar.
    """
    return np.atleast_2d(values).T if values.ndim else values


def replay(case: Case, arrays: Arrays) -> Arrays:
    """Return the fields as the package computes them, step by step."""
    spec = spec_of(case)
    weights = arrays["W0"].T
    accumulated, count = np.zeros_like(weights), np.array(0.0)
    steps = []
    for t in range(case["T"]):
        if t in case["reset_before"]:
            accumulated, count = np.zeros_like(weights), np.array(0.0)
        mask, reward = _transposed(arrays["mask"][t]), arrays["r"][t]
        activity = activation(case["act_fx"])(arrays["x"][t])
        decision = gaussian.decide(spec, activity @ weights.T, arrays["eps"][t])
        change = gaussian.policy_gradient(
            decision.score, activity, reward, NGC_OBJECTIVE_SCALE
        )
        weights = gaussian.apply_change(
            weights, change, case["eta"], mask, bounds=(0.0, case["w_bound"])
        )
        accumulated, count = gaussian.average_gradient(
            accumulated, count, change, case["decay"], mask
        )
        loss = gaussian.objective(decision.log_density, reward, NGC_OBJECTIVE_SCALE)
        recorded_count = count.T.reshape(arrays["n"].shape[1:])
        steps.append(
            (decision.action, change.T, weights.T, loss, accumulated.T, recorded_count)
        )
    return {
        name: np.stack(values)
        for name, values in zip(FIELDS, zip(*steps, strict=True), strict=True)
    }


def replay_in_nengo(case: Case, arrays: Arrays) -> Arrays:
    """Return the fields as `GaussianREINFORCE` computes them in a simulation.

    There is one decision per step. The form supports the cases that a RectifiedLinear
    ensemble can represent: batch size 1, rectified activities, one mask for all
    weights.
    """
    if not case["nengo_ready"] or arrays["mask"].ndim > 1:
        return {}
    n_pre, n_actions, n_steps = case["I"], case["A"], case["T"]

    def at(values):
        # one more step than recorded, to read the last weight change
        padded = np.concatenate([values, np.zeros_like(values[:1])])
        return lambda t: padded[round(t / DT) - 1]

    rule = GaussianREINFORCE(
        case["eta"] * n_pre,
        pre_synapse=None,
        n_actions=n_actions,
        objective_scale=NGC_OBJECTIVE_SCALE,
        weight_bounds=(0.0, case["w_bound"]),
        decay=case["decay"],
    )
    std = case["scalar_stddev"]
    with nengo.Network() as network:
        policy = GaussianPolicy(
            n_actions,
            period=DT,
            mean_activation=case["mu_act_fx"],
            fixed_std=std if std > 0 else None,
            action_low=case["mu_out_min"],
            action_high=case["mu_out_max"],
            clip_before_score=True,
            variance_scaled=False,
            stop_at_bounds=True,
            noise=np.concatenate([arrays["eps"][:, 0], np.zeros((1, n_actions))]),
        )
        ensemble = nengo.Ensemble(
            n_pre,
            n_pre,
            neuron_type=nengo.RectifiedLinear(),
            encoders=np.eye(n_pre),
            gain=np.ones(n_pre),
            bias=np.zeros(n_pre),
        )
        x = nengo.Node(at(arrays["x"][:, 0]))
        nengo.Connection(x, ensemble, synapse=None)
        decoded = nengo.Node(size_in=2 * n_actions)
        conn = nengo.Connection(
            ensemble,
            decoded,
            function=lambda x: np.zeros(2 * n_actions),
            solver=nengo.solvers.NoSolver(arrays["W0"]),
            synapse=None,
            learning_rule_type=rule,
        )
        # ngc-learn has rows for the log standard deviations even if sigma is fixed
        n_rows = policy.input.size_in
        nengo.Connection(decoded[:n_rows], policy.input, synapse=None)
        port = conn.learning_rule
        reward, gate = nengo.Node(at(arrays["r"])), nengo.Node(at(arrays["mask"]))
        nengo.Connection(reward, port[rule.reward], synapse=None)
        nengo.Connection(gate, port[rule.gate], synapse=None)
        sent = gaussian.decision_layout(n_rows, n_actions)
        received = gaussian.decision_layout(2 * n_actions, n_actions)
        for name, where in sent.items():
            start = rule.decision.start + received[name].start
            to = port[start : start + where.stop - where.start]
            nengo.Connection(policy.decision[where], to, synapse=None)
        names = {
            "out": "action",
            "dW": "gradient",
            "obj": "objective",
            "acc": "accumulated_gradients",
        }
        probes = {field: nengo.Probe(port, name) for field, name in names.items()}
        probes["n"] = nengo.Probe(port, "step_count")
        probes["W"] = nengo.Probe(conn, "weights")
    with nengo.Simulator(network, dt=DT, progress_bar=False) as sim:
        signals = sim.model.sig[conn.learning_rule]
        for t in range(n_steps + 1):
            if t in case["reset_before"]:
                for name in ("accumulated_gradients", "step_count"):
                    sim.signals[signals[name]][...] = 0.0
            sim.step()
        data = {field: sim.data[probe] for field, probe in probes.items()}
    fields = {field: values[:n_steps] for field, values in data.items()}
    fields["W"] = data["W"][1:]  # a weight change takes effect in the next step
    fields["out"] = fields["out"][:, None]
    fields["obj"] = fields["obj"][:, 0]
    for field in ("dW", "W", "acc"):
        fields[field] = fields[field].transpose(0, 2, 1)
    # ngc-learn records the step counter after its reset, as we do
    fields["n"] = fields["n"][:, 0]
    return fields


FORMS: dict[str, Form] = {
    "gaussian": replay,
    "GaussianREINFORCE in Nengo": replay_in_nengo,
}


def tolerance(case: Case, arrays: Arrays, field: str) -> float:
    """Return the largest absolute error that float32 recordings allow in float64.

    The rounding error of the recording is known (`rel_err_vs_float64`). The factor 20
    allows for larger errors elsewhere in the same field.
    """
    relative = max(1e-6, 20 * case["rel_err_vs_float64"][field])
    return float(1e-7 + relative * np.abs(arrays[field]).max(initial=0.0))


def error_ratios(case: Case, arrays: Arrays, fields: Arrays) -> dict[str, float]:
    """Return for each field its largest error, as a fraction of the tolerance."""
    ratios = {}
    for field in FIELDS:
        ours, recorded = fields[field], arrays[field]
        if ours.shape != recorded.shape:  # else broadcasting may hide a difference
            raise ValueError(
                f"case {case['id']}: {field} has shape {ours.shape}, but "
                f"{recorded.shape} was recorded"
            )
        error = float(np.abs(ours - recorded).max(initial=0.0))
        ratio = error / tolerance(case, arrays, field)
        ratios[field] = np.inf if np.isnan(ratio) else ratio
    return ratios


def worst_ratios(
    form: Form, cases: list[tuple[Case, Arrays]]
) -> dict[str, tuple[float, int]]:
    """Return for each field the worst ratio over all cases, and the case's id."""
    worst: dict[str, tuple[float, int]] = {}
    for case, arrays in cases:
        fields = form(case, arrays)
        if fields:
            for field, ratio in error_ratios(case, arrays, fields).items():
                worst[field] = max(
                    worst.get(field, (0.0, case["id"])), (ratio, case["id"])
                )
    return worst


def main(arguments: list[str]) -> int:
    """Print the worst ratios; return 1 if one is above 1 or nothing was compared."""
    if len(arguments) != 1:
        print("usage: python tests/replay_recorded.py PATH_WITHOUT_SUFFIX")
        return 2
    cases = load(arguments[0])
    failed = False
    for name, form in FORMS.items():
        worst = worst_ratios(form, cases)
        print(f"{name}: worst error / tolerance")
        for field, (ratio, case_id) in worst.items():
            print(f"  {field:4} {ratio:.3g} (case {case_id})")
        failed |= not worst or any(ratio > 1 for ratio, _ in worst.values())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
