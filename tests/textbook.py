"""Learning algorithms from their formulas in plain numpy, to compare networks with."""

import numpy as np


class Normalised:
    """`Intentional` once a transition, from its formula: sigma, sums, limits.

    ``decay`` is that of the trace, discount times lambda.
    """

    def __init__(self, eta, decay, normalize=False):
        self.eta, self.decay, self.normalize = eta, decay, normalize
        self.sizes, self.squares, self.limited = [], [], []

    def __call__(self, delta, trace, size):
        """Return the change of the weights; ``size`` is what came to the trace."""

        def mean(values, keep):
            weights = keep ** np.arange(len(values))[::-1]
            return weights @ values / weights.sum()

        self.sizes.append(size)
        self.squares.append(delta**2)
        limit = 20 * np.sqrt(mean(self.squares, 0.9998))
        delta = np.clip(delta, -limit, limit)
        self.limited.append(abs(delta))
        if self.normalize:
            delta = delta / mean(self.limited, 0.9998)
        norm = np.sqrt(mean(self.sizes, self.decay) * (trace**2).sum())
        return self.eta * delta * trace / norm
