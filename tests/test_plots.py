"""Figures show the data and leave no state behind."""

import subprocess
import sys

import matplotlib as mpl
import nengo
import numpy as np
import pytest
from matplotlib.figure import Figure
from nengo.exceptions import ValidationError
from numpy.testing import assert_allclose, assert_array_equal

from nengo_epes import plots

LABELS = ("angle (rad)", "velocity (rad/s)")
X, Y = np.linspace(-1.0, 1.0, 5), np.array([-0.5, 0.25, 1.0])


@pytest.fixture(autouse=True)
def no_figure_is_left():
    """Pyplot has the same figures and settings as before."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    settings, figures = dict(mpl.rcParams), plt.get_fignums()
    yield
    left = plt.get_fignums()
    plt.close("all")
    assert left == figures
    assert dict(mpl.rcParams) == settings


def runs(*returns, length=10):
    """Make runs with episodes of equal length from their returns."""
    return [{"returns": r, "steps": length * np.arange(1, len(r) + 1)} for r in returns]


def axes(n=1):
    """Make axes of a figure that pyplot does not manage."""
    return Figure().subplots(1, n)


def test_learning_curve_is_mean_of_last_episodes():
    """The line is the mean of the last returns, and at first of all returns so far."""
    returns = np.random.RandomState(0).randn(40)
    ax = plots.learning_curves({"a": runs(returns)}, window=7, ax=axes())
    expected = [np.mean(returns[max(0, k - 6) : k + 1]) for k in range(40)]
    assert_allclose(ax.lines[0].get_ydata(), expected, atol=1e-12)  # rounding of sums
    assert_array_equal(ax.lines[0].get_xdata(), 10 * np.arange(1, 41))
    assert ax.get_xlabel() == "steps of the environment"
    assert ax.get_ylabel() == "mean return of the last 7 episodes"


def test_learning_curve_has_median_and_quartiles():
    """The line is the third of five seeds; the band spans the second to the fourth.

    With five seeds, numpy's quartiles are values of seeds.
    """
    seeds = runs([5, 50], [1, 10], [2, 20], [4, 40], [3, 30])
    ax = plots.learning_curves({"a": seeds}, window=1, over="episodes", ax=axes())
    assert_array_equal(ax.lines[0].get_xydata(), [[1, 3], [2, 30]])
    (band,) = ax.collections
    corners = {tuple(point) for path in band.get_paths() for point in path.vertices}
    assert corners == {(1, 2), (1, 4), (2, 20), (2, 40)}
    assert ax.get_xlabel() == "episodes"


def test_learning_curve_over_steps_waits_for_the_end_of_an_episode():
    """Between the ends of its episodes a seed counts with its last mean return.

    The curve starts when both seeds have finished an episode and stops with the
    shorter run.
    """
    slow = {"returns": [1.0, 3.0], "steps": [20, 50]}
    quick = {"returns": [10.0, 20.0, 30.0, 40.0], "steps": [10, 30, 40, 60]}
    ax = plots.learning_curves({"a": [slow, quick]}, window=1, ax=axes())
    # medians of (1, 10), (1, 20), (1, 30), (3, 30)
    expected = [[20, 5.5], [30, 10.5], [40, 15.5], [50, 16.5]]
    assert_array_equal(ax.lines[0].get_xydata(), expected)


def test_groups_differ_in_colour_and_dashes():
    """Groups have labels, and every two differ in colour and in dashes."""
    groups = {name: runs([1.0, 2.0]) for name in "abcdef"}
    ax = plots.learning_curves(groups, ax=axes())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list("abcdef")
    assert len({line.get_color() for line in ax.lines}) == 6
    assert len({str(line._unscaled_dash_pattern) for line in ax.lines}) == 6


@pytest.mark.parametrize(
    ("runs_of_a", "message"),
    [
        ([], "'a': must be runs"),
        ([{"returns": [1.0], "steps": [3, 5]}], "as many steps as returns"),
        ([*runs([1]), *runs([1], length=20)], "stopped after 10"),
    ],
)
def test_curves_that_cannot_be_drawn(runs_of_a, message):
    """Labels without runs and runs of other lengths are refused, without a figure."""
    with pytest.raises(ValidationError, match=message):
        plots.learning_curves({"a": runs_of_a})


def test_state_map_shows_each_value_at_its_state():
    """Rows of the values belong to y and columns to x, with the given names and
    limits."""
    values = np.sin(X) + 3.0 * Y[:, None]
    ax = plots.state_map(values, X, Y, LABELS, "torque (N m)", axes(), vmin=-2, vmax=4)
    mesh = ax.collections[0]
    assert_array_equal(mesh.get_array(), values)
    # the corners of the cells lie around the states
    corners = mesh.get_coordinates()
    for column, x in enumerate(X):
        assert corners[0, column, 0] < x < corners[0, column + 1, 0]
    for row, y in enumerate(Y):
        assert corners[row, 0, 1] < y < corners[row + 1, 0, 1]
    assert mesh.get_clim() == (-2, 4)
    assert (ax.get_xlabel(), ax.get_ylabel()) == LABELS
    assert ax.figure.axes[-1].get_ylabel() == "torque (N m)"


def test_state_map_has_one_colour_for_each_integer():
    """Actions -1, 0 and 1 have three colours, also if one of them is never the best."""
    values = np.where(X + 0.0 * Y[:, None] > 0, 1, -1)
    ax = plots.state_map(values, X, Y, LABELS, "thrust", axes(), vmin=-1, vmax=1)
    mesh, bar = ax.collections[0], ax.figure.axes[-1]
    bar.figure.canvas.draw()
    assert len({tuple(colour) for colour in mesh.to_rgba(np.linspace(-1.5, 1.5))}) == 3
    assert [t for t in bar.get_yticks() if -1.5 < t < 1.5] == [-1, 0, 1]
    # each colour has the same width, around its integer
    assert bar.get_ylim() == (-1.5, 1.5)


def test_state_map_of_another_shape_is_refused():
    """Values whose rows belong to x are refused, with both shapes."""
    with pytest.raises(ValidationError, match=r"\(3, 5\).*got \(5, 3\)"):
        plots.state_map(np.zeros((5, 3)), X, Y, LABELS, ax=axes())


def test_raster_shows_spikes_where_they_were():
    """The raster has one mark per spike, at its time and neuron."""
    with nengo.Network(seed=0) as net:
        ensemble = nengo.Ensemble(15, 1)
        probe = nengo.Probe(ensemble.neurons)
    with nengo.Simulator(net) as simulator:
        simulator.run(0.2)
    time, spikes = simulator.trange(), simulator.data[probe]
    td_error, trace = np.sin(time), np.stack([np.cos(time), -time], axis=1)
    given = Figure().subplots(3)
    found = plots.raster(time, spikes, td_error[:, None], trace, axes=given)
    assert list(found) == list(given)
    marks = {tuple(mark) for mark in found[0].lines[0].get_xydata()}
    expected = {(time[i], j) for i in range(200) for j in range(15) if spikes[i, j]}
    assert marks == expected and len(marks) > 50
    # below the data there is a line at 0
    assert_array_equal(found[1].lines[1].get_ydata(), td_error)
    for line, column in zip(found[2].lines[1:], trace.T, strict=True):
        assert_array_equal(line.get_xdata(), time)
        assert_array_equal(line.get_ydata(), column)
    assert {ax.get_xlim() for ax in found} == {(time[0], time[-1])}
    assert [ax.get_ylabel() for ax in found] == [
        "neuron",
        "TD error",
        "eligibility\ntrace (Hz)",
    ]
    assert found[2].get_xlabel() == "time (s)"


def test_a_figure_is_made_where_there_are_no_axes():
    """Without axes, each plot makes one figure with all its panels."""
    from matplotlib import pyplot as plt

    four = np.zeros((4, 1))
    ways = (
        lambda: plots.learning_curves({"a": runs([1, 2])}),
        lambda: plots.state_map(np.zeros((3, 5)), X, Y, LABELS),
        lambda: plots.raster(np.arange(4.0), four, four, four),
    )
    panels = [len(np.ravel(draw())) for draw in ways]
    assert panels == [1, 1, 3]
    assert len(plt.get_fignums()) == 3
    plt.close("all")


def test_import_needs_no_display():
    """The package is imported without pyplot, which would look for a display."""
    code = "import sys, nengo_epes.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False)
    assert done.returncode == 0
