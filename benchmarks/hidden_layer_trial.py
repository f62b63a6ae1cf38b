r"""What a hidden layer learns by random feedback, and along which direction.

The network and its tasks are those of `hidden_network`. Measured are
the error of the output, and the angle between what the rule did to the weights of the
hidden layer and the gradient, which it does not know.
"""

from __future__ import annotations

import math

import nengo
import numpy as np
from hidden_network import DT, HOLD, SAMPLE, WINDOW, build
from hidden_tasks import additive_rmse
from nengo.exceptions import ValidationError

from nengo_epes.arithmetic.surrogates import PiecewiseLinear, from_lif_state


def angle(one, other):
    r"""Return the angle between two arrays in degrees.

    .. math:: \arccos \frac{u \cdot v}{|u|\,|v|}

    of all entries u of the one and v of the other.

    Parameters
    ----------
    one, other : array_like
        Of the same shape.

    Returns
    -------
    float
        From 0 to 180; nan where one is 0 throughout.

    Examples
    --------
    >>> print(round(angle([[1.0, 0.0]], [[1.0, 1.0]]), 9))
    45.0
    """
    one, other = np.ravel(one), np.ravel(other)
    size = np.linalg.norm(one) * np.linalg.norm(other)
    if size == 0:
        return math.nan
    return float(np.degrees(np.arccos(np.clip(one @ other / size, -1, 1))))


def gradient(psi, errors, activities, decoders):
    r"""Return the direction in which the squared error falls, up to its length.

    .. math:: -\sum_t \psi_i(t)\,(D^{\mathsf T} \varepsilon(t))_i\,a_j(t)

    It is the gradient with the neurons' derivative replaced by their pseudo-derivative
    and the decoders as they are.

    Parameters
    ----------
    psi : (times, n_hidden) array
        Pseudo-derivative of the hidden neurons.
    errors : (times, size) array
        Output minus target.
    activities : (times, n_pre) array
        What drives the hidden neurons.
    decoders : (size, n_hidden) array
        D.

    Returns
    -------
    (n_hidden, n_pre) array

    Examples
    --------
    >>> print(gradient([[0.3]], [[-2.0]], [[10.0, 0.0]], [[0.5]]))
    [[3. 0.]]
    """
    return -(np.asarray(psi) * (errors @ np.asarray(decoders))).T @ np.asarray(
        activities
    )


def run(
    task="xor",
    line="random feedback",
    seed=0,
    seconds=60.0,
    test_seconds=4.0,
    progress_bar=False,
    **options,
):
    """Let one line learn a task, and test it.

    Parameters
    ----------
    task, line, seed
        See `hidden_network.build`.
    seconds, test_seconds : float
        For how long it learns, and then is tested without learning; both at least 2,
        and whole multiples of 2.
    progress_bar : bool
        Whether to show Nengo's.
    **options
        See `hidden_network.build`.

    Returns
    -------
    dict
        ``"rmse"``: root mean squared error of the test, from the last quarter of each
        presentation, when the output has settled; ``"additive"``: the least that is
        possible without learning in the hidden layer; ``"signs"``: the part of these
        outputs that have the sign of their target; ``"error"``: the RMSE of every 2 s
        while it learns and is tested, measured in the same way, and ``"angle"``:
        between the change of the hidden layer's weights in every 2 s of learning and
        the `gradient` of these 2 s, in degrees (nan where they did not change);
        ``"time"``: the ends of these intervals; ``"outputs"`` and ``"targets"``, one
        row a presentation of the test: the mean of its last quarter; ``"rate"``: of the
        hidden neurons in hertz, on average.

    Raises
    ------
    ValidationError
        If a time, the task or the line is not as it is said above.

    Examples
    --------
    >>> result = run(seconds=2.0, test_seconds=2.0, n_hidden=20)
    >>> print(result["time"], result["outputs"].shape)
    [2. 4.] (20, 1)
    """
    for name, value in (("seconds", seconds), ("test_seconds", test_seconds)):
        if not (value >= WINDOW and math.isclose(value % WINDOW, 0, abs_tol=1e-9)):
            raise ValidationError(
                f"must be a whole multiple of {WINDOW:g} s (got {value:g})", attr=name
            )
    network, probes = build(task, line, seed, seconds, test_seconds, **options)
    with nengo.Simulator(network, dt=DT, progress_bar=progress_bar) as simulator:
        simulator.run(seconds + test_seconds)
        data = {name: simulator.data[probe] for name, probe in probes.items()}
        first = {
            name: simulator.data[probes[name].target].weights
            for name in ("weights", "decoders")
        }
    output, target = (_settled(data[name]) for name in ("output", "target"))
    squared = np.mean((output - target) ** 2, axis=(1, 2))
    test = slice(round(seconds / HOLD), None)
    return {
        "rmse": float(np.sqrt(squared[test].mean())),
        "additive": additive_rmse(target[test].mean(axis=1)),
        "signs": float(np.mean(np.sign(output[test]) == np.sign(target[test]))),
        "error": np.sqrt(squared.reshape(-1, round(WINDOW / HOLD)).mean(axis=1)),
        "rate": float(np.mean(data["spikes"])),
        "angle": _angles(data, first, round(seconds / WINDOW)),
        "time": WINDOW * np.arange(1, 1 + round((seconds + test_seconds) / WINDOW)),
        "outputs": output[test].mean(axis=1),
        "targets": target[test].mean(axis=1),
    }


def _settled(samples):
    """Return the last quarter of every presentation: (presentations, samples, size)."""
    count = round(HOLD / SAMPLE)
    return samples.reshape(-1, count, samples.shape[1])[:, count - count // 4 :]


def _angles(data, first, n_windows):
    """Return the angle of every window to the gradient with its first decoders."""
    weights, decoders = (
        np.concatenate([first[name][None], data[name]])
        for name in ("weights", "decoders")
    )
    psi = from_lif_state(
        PiecewiseLinear(), data["voltage"], data["refractory_time"], data["spikes"], DT
    )
    count, angles = round(WINDOW / SAMPLE), []
    for k in range(n_windows):
        samples = slice(k * count, (k + 1) * count)
        downhill = gradient(
            psi[samples], data["error"][samples], data["sensors"][samples], decoders[k]
        )
        angles.append(angle(weights[k + 1] - weights[k], downhill))
    return np.array(angles)
