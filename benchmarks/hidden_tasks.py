"""Tasks of two inputs that no sum of functions of one input solves."""

from __future__ import annotations

import math

import numpy as np
from nengo.exceptions import ValidationError


def draw(task, n_blocks, rng):
    """Draw inputs and their targets, in any order.

    A block is one pair of sizes with all four combinations of signs. The order is drawn
    over all blocks: within one, an input would tell of the next.

    Parameters
    ----------
    task : {"xor", "square"}
        ``"xor"``: all sizes are 1, and the target is minus the product of the inputs,
        1 where they differ. ``"square"``: the sizes are uniform in [0, 1], and the
        targets are x_1^2 - x_2^2 and 2 x_1 x_2, the square of x_1 + i x_2.
    n_blocks : int
        How many.
    rng : numpy.random.RandomState
        Draws them.

    Returns
    -------
    inputs : (4 n_blocks, 2) array
    targets : (4 n_blocks, 1) or (4 n_blocks, 2) array

    Raises
    ------
    ValidationError
        If there is no such task.

    Examples
    --------
    >>> inputs, targets = draw("xor", 1, np.random.RandomState(1))
    >>> print(inputs.tolist(), targets.ravel())
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]] [-1.  1. -1.  1.]
    """
    if task not in ("xor", "square"):
        raise ValidationError(
            f"there is no task {task!r}: use 'xor' or 'square'", attr="task"
        )
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    inputs = np.tile(signs, (n_blocks, 1)).astype(float)
    if task == "square":
        inputs *= np.repeat(rng.uniform(0, 1, (n_blocks, 2)), 4, axis=0)
    inputs = rng.permutation(inputs)
    if task == "xor":
        return inputs, -inputs[:, :1] * inputs[:, 1:]
    square = (inputs[:, 0] + 1j * inputs[:, 1]) ** 2
    return inputs, np.stack([square.real, square.imag], axis=1)


def additive_rmse(targets):
    """Return the least RMSE of any sums f(x_1) + g(x_2) on what `draw` draws.

    Over the four signs of a block, such a sum is orthogonal to the product of the
    inputs, which the last target is; the one before it is such a sum.

    Parameters
    ----------
    targets : (n, size) array
        From `draw`.

    Returns
    -------
    float

    Examples
    --------
    >>> print(additive_rmse(draw("xor", 5, np.random.RandomState(0))[1]))
    1.0
    """
    return math.sqrt(np.sum(targets[:, -1] ** 2) / targets.size)
