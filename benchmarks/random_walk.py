"""The 19-state random walk of Sutton and Barto: python benchmarks/random_walk.py.

Example 12.1 of their book, learned in plain numpy: a reference without neurons. A walk
starts in the middle and steps left or right with equal probability. The reward is -1 at
the left exit, 1 at the right exit and 0 elsewhere, without discount. Values start at 0;
the true values are -0.9, -0.8, ..., 0.9.

The study measures the root mean square error of the values over the states at the end
of an episode, averaged over the first 10 episodes and 60 runs. Run r uses
``numpy.random.RandomState(r)``, one ``rand()`` per step; below 0.5 the step is left.

References
----------
Sutton, R. S., & Barto, A. G. (2018). Reinforcement Learning, chapter 12.
van Seijen, H., Mahmood, A. R., Pilarski, P. M., Machado, M. C., & Sutton, R. S. (2016).
True online temporal-difference learning. Journal of Machine Learning Research, 17(145).
"""

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np

from nengo_epes.files import write_atomically

N_STATES = 19
TRUE_VALUES = np.arange(-9, 10) / 10
KINDS = ("accumulating", "replacing", "dutch")
RUNS, EPISODES = 60, 10
LAMBDAS = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.975, 0.99, 1.0])
IN_BOOK = ~np.isin(LAMBDAS, [0.2, 0.6])  # the values of figures 12.6 and 12.8
ALPHAS = np.arange(1, 11) / 10
RESULTS = Path(__file__).parent / "results"


def make_walks(run, episodes=EPISODES):
    """Return the walks of one run.

    Parameters
    ----------
    run : int
        The seed.
    episodes : int, optional
        Number of walks.

    Returns
    -------
    list of (steps + 1,) int arrays
        Visited states: 10 first, 0 or 20 (the exits) last.

    Examples
    --------
    >>> walk = make_walks(run=0)[0]
    >>> walk[:5], walk[-1]
    (array([10, 11, 12, 13, 14]), np.int64(20))
    """
    rng = np.random.RandomState(run)
    walks = []
    for _ in range(episodes):
        walk = [(N_STATES + 1) // 2]
        while 0 < walk[-1] <= N_STATES:
            walk.append(walk[-1] + (-1 if rng.rand() < 0.5 else 1))
        walks.append(np.array(walk))
    return walks


def td_lambda(walks, alpha, lambda_, kind):
    r"""Learn the values by TD(lambda), with updates at every step.

    At a step from state s to s', where the weight (value) of an exit is 0:

    .. math:: \delta = r + w_{s'} - w_s, \quad z \leftarrow \lambda z,
       \quad w \leftarrow w + \alpha \delta z

    where in between the trace gets ``z[s] += 1`` (accumulating), ``z[s] = 1``
    (replacing), or ``z[s] += 1 - alpha z[s]`` (dutch). Dutch is *true online*: delta
    contains, in place of :math:`w_s`, the value V that s had in the previous step as
    the next state, and :math:`\alpha (V - w_s)`, with the old :math:`w_s`, is added to
    the new weight. At the start of a walk V and all traces are 0.

    Parameters
    ----------
    walks : list of (steps + 1,) int arrays
        From `make_walks`: states from 1 to 19, then 0 or 20.
    alpha, lambda_ : float or array
        Step size and trace decay. Arrays that broadcast learn in parallel.
    kind : {"accumulating", "replacing", "dutch"}
        The trace.

    Returns
    -------
    (1 + all steps, ..., 19) array
        The values of states 1 to 19 before the first step and after each one.

    Raises
    ------
    ValueError
        If the kind is unknown.

    Examples
    --------
    >>> weights = td_lambda([np.array([10, 18, 19, 20])], 0.5, 0.25, "accumulating")
    >>> print(weights.shape, weights[-1][[9, 17, 18]])
    (4, 19) [0.03125 0.125   0.5    ]
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}: give one of {KINDS}")
    alpha, lambda_ = np.broadcast_arrays(alpha, lambda_)
    alphas, lambdas = alpha[..., None], lambda_[..., None]
    n_steps = sum(len(walk) - 1 for walk in walks)
    weights = np.zeros((1 + n_steps, *alpha.shape, N_STATES))
    k = 0
    for walk in walks:
        trace = np.zeros((*alpha.shape, N_STATES))
        expected = np.zeros(alpha.shape)
        for state, after in zip(walk[:-1] - 1, walk[1:] - 1, strict=True):
            w, new = weights[k], weights[k + 1]
            exits = not 0 <= after < N_STATES
            reward = np.sign(after) if exits else 0.0
            value_after = 0.0 if exits else w[..., after]
            trace *= lambdas
            value = w[..., state]
            if kind == "accumulating":
                trace[..., state] += 1.0
            elif kind == "replacing":
                trace[..., state] = 1.0
            else:
                trace[..., state] += 1.0 - alpha * trace[..., state]
                value = expected
            delta = reward + value_after - value
            np.multiply(alphas * delta[..., None], trace, out=new)
            new += w
            if kind == "dutch":
                new[..., state] += alpha * (expected - w[..., state])
                expected = value_after
            k += 1
    return weights


def rms_errors(walks, weights):
    """Return the error at the end of each walk.

    Parameters
    ----------
    walks : list of (steps + 1,) int arrays
        The walks that `weights` were learned from.
    weights : (1 + all steps, ..., 19) array
        From `td_lambda`.

    Returns
    -------
    (episodes, ...) array
        Root mean square over the states.

    Examples
    --------
    The error of values of 0 is the root of 2 (0.1^2 + 0.2^2 + ... + 0.9^2) / 19 = 0.3:

    >>> walks = make_walks(run=0)
    >>> print(rms_errors(walks, td_lambda(walks, 0.0, 0.8, "dutch"))[0].round(4))
    0.5477
    """
    ends = np.cumsum([len(walk) - 1 for walk in walks])
    return np.sqrt(np.mean((weights[ends] - TRUE_VALUES) ** 2, axis=-1))


def sweep(kind):
    """Return the mean errors of every run, (runs, lambdas, alphas)."""
    errors, (lambdas, alphas) = [], np.meshgrid(LAMBDAS, ALPHAS, indexing="ij")
    for run in range(RUNS):
        walks = make_walks(run)
        # large steps diverge, which is part of the result
        with np.errstate(over="ignore", invalid="ignore"):
            weights = td_lambda(walks, alphas, lambdas, kind)
            errors.append(rms_errors(walks, weights).mean(axis=0))
    return np.array(errors)


def best(errors, rows):
    """Describe the smallest error, averaged over runs, of these rows of LAMBDAS."""
    mean = errors.mean(axis=0)
    mean[~rows] = np.inf
    i, j = np.unravel_index(np.nanargmin(mean), mean.shape)
    return {
        "lambda": float(LAMBDAS[i]),
        "alpha": float(ALPHAS[j]),
        "rms error": float(mean[i, j]),
        "standard error": float(errors[:, i, j].std(ddof=1) / np.sqrt(RUNS)),
    }


def plot(swept):
    """Draw the error against alpha, a panel for each kind, a line for each lambda."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, 3, figsize=(11, 3.8), dpi=120, sharey=True, layout="constrained"
    )
    # colours of Okabe and Ito
    styles = {
        0.0: ("#000000", "-"),
        0.4: ("#0072B2", "--"),
        0.8: ("#D55E00", "-."),
        0.9: ("#009E73", ":"),
        0.95: ("#56B4E9", (0, (5, 1, 1, 1, 1, 1))),
    }
    for ax, (kind, errors) in zip(axes, swept.items(), strict=True):
        for lambda_, (colour, dashes) in styles.items():
            row = errors.mean(axis=0)[LAMBDAS == lambda_][0]
            ax.plot(ALPHAS, row, color=colour, ls=dashes, label=f"{lambda_:g}")
        ax.set(title=f"{kind} traces", xlabel=r"step size $\alpha$", ylim=(0.22, 0.56))
    axes[0].set(ylabel="RMS error, first 10 episodes")
    axes[2].legend(title=r"$\lambda$", ncols=2)
    return figure


def main():
    """Learn with all parameters, print the best, and write table and figure."""
    swept = {kind: sweep(kind) for kind in KINDS}
    found = {"lambda = 0": best(swept["accumulating"], LAMBDAS == 0)}
    for kind, errors in swept.items():
        found[kind] = best(errors, IN_BOOK)
        found[f"{kind}, all lambdas"] = best(errors, LAMBDAS >= 0)
    table = {
        "command": "python benchmarks/random_walk.py",
        "versions": {"numpy": np.__version__},
        "runs": RUNS,
        "episodes": EPISODES,
        "best": found,
        "lambdas": LAMBDAS.tolist(),
        "alphas": ALPHAS.tolist(),
        # null where it diverged
        "rms error (lambdas x alphas)": {
            kind: [[round(x, 4) if x < 1e3 else None for x in row] for row in mean]
            for kind, mean in ((k, e.mean(axis=0).tolist()) for k, e in swept.items())
        },
    }
    for name, row in found.items():
        print(name, {key: round(value, 4) for key, value in row.items()})
    text = json.dumps(table, indent=2) + "\n"
    write_atomically(RESULTS / "random_walk.json", lambda path: path.write_text(text))
    figure = plot(swept)
    write_atomically(RESULTS / "random_walk.png", lambda path: figure.savefig(path))


if __name__ == "__main__":
    mpl.use("agg")
    main()
