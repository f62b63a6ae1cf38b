"""How all figures look, and where they are drawn."""

from __future__ import annotations

# Okabe and Ito's colours, told apart by the dashes too
STYLES = (
    {"color": "#0072B2", "ls": "-"},
    {"color": "#D55E00", "ls": "--"},
    {"color": "#009E73", "ls": "-."},
    {"color": "#CC79A7", "ls": ":"},
    {"color": "#E69F00", "ls": (0, (5, 1, 1, 1, 1, 1))},
    {"color": "#000000", "ls": (0, (1, 1))},
)


def new_axes(rows=1, columns=1, height_ratios=None):
    """Return the axes of a new figure; pyplot is imported only here."""
    import matplotlib.pyplot as plt

    size = (4.8 * columns + 0.6, 3.4 if rows == 1 else 1.7 * rows)
    _, axes = plt.subplots(
        rows,
        columns,
        figsize=size,
        sharex=True,
        height_ratios=height_ratios,
        layout="constrained",
    )
    return axes
