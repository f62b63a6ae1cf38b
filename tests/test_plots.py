"""What figures show is what there is, and they leave nothing behind."""

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
from nengo_epes.networks import (
    Actor,
    Critic,
    GaussianPolicy,
    SoftmaxPolicy,
    place_cells,
)

LABELS = ("angle (rad)", "velocity (rad/s)")
X, Y = np.linspace(-1.0, 1.0, 5), np.array([-0.5, 0.25, 1.0])


@pytest.fixture(autouse=True)
def no_figure_is_left():
    """Pyplot has no more figures, and no other settings, than before."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    settings, figures = dict(mpl.rcParams), plt.get_fignums()
    yield
    left = plt.get_fignums()
    plt.close("all")
    assert left == figures
    assert dict(mpl.rcParams) == settings


def runs(*returns, length=10):
    """Make runs of episodes of equal length from their returns."""
    return [{"returns": r, "steps": length * np.arange(1, len(r) + 1)} for r in returns]


def axes(n=1):
    """Make axes of a figure that pyplot knows nothing of."""
    return Figure().subplots(1, n)


def test_learning_curve_is_mean_of_last_episodes():
    """The line is the mean of the last returns, of all until then at first."""
    returns = np.random.RandomState(0).randn(40)
    ax = plots.learning_curves({"a": runs(returns)}, window=7, ax=axes())
    expected = [np.mean(returns[max(0, k - 6) : k + 1]) for k in range(40)]
    assert_allclose(ax.lines[0].get_ydata(), expected, atol=1e-12)  # rounding of sums
    assert_array_equal(ax.lines[0].get_xdata(), 10 * np.arange(1, 41))
    assert ax.get_xlabel() == "steps of the environment"
    assert ax.get_ylabel() == "mean return of the last 7 episodes"


def test_learning_curve_has_median_and_quartiles():
    """Of five seeds the line is the third, and the band from the second to the fourth.

    For these, numpy's quartiles fall upon seeds.
    """
    seeds = runs([5, 50], [1, 10], [2, 20], [4, 40], [3, 30])
    ax = plots.learning_curves({"a": seeds}, window=1, over="episodes", ax=axes())
    assert_array_equal(ax.lines[0].get_xydata(), [[1, 3], [2, 30]])
    (band,) = ax.collections
    corners = {tuple(point) for path in band.get_paths() for point in path.vertices}
    assert corners == {(1, 2), (1, 4), (2, 20), (2, 40)}
    assert ax.get_xlabel() == "episodes"


def test_learning_curve_over_steps_waits_for_the_end_of_an_episode():
    """Between the ends of its episodes a seed counts with what it had earned by then.

    The curve reaches from where both have ended an episode to where the first stops.
    """
    slow = {"returns": [1.0, 3.0], "steps": [20, 50]}
    quick = {"returns": [10.0, 20.0, 30.0, 40.0], "steps": [10, 30, 40, 60]}
    ax = plots.learning_curves({"a": [slow, quick]}, window=1, ax=axes())
    # medians of (1, 10), (1, 20), (1, 30), (3, 30)
    expected = [[20, 5.5], [30, 10.5], [40, 15.5], [50, 16.5]]
    assert_array_equal(ax.lines[0].get_xydata(), expected)


def test_groups_differ_in_colour_and_dashes():
    """Groups have their labels, and no two look alike in colour or in grey."""
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
    """Labels without runs and runs that do not fit are refused, without a figure."""
    with pytest.raises(ValidationError, match=message):
        plots.learning_curves({"a": runs_of_a})


def linear_state(dimensions):
    """Make neurons whose rates are the halves of each input: x is max(x) - max(-x)."""
    identity = np.eye(dimensions)
    return nengo.Ensemble(
        2 * dimensions,
        dimensions,
        neuron_type=nengo.RectifiedLinear(),
        encoders=np.concatenate([identity, -identity]),
        gain=np.ones(2 * dimensions),
        bias=np.zeros(2 * dimensions),
    )


def readout(matrix):
    """Return the weights with which linear_state puts out matrix times input."""
    return np.concatenate([matrix, np.negative(matrix)], axis=1)


def built(make, dimensions=2):
    """Return a closed simulator and what was made from linear_state."""
    with nengo.Network(seed=0) as net:
        part = make(linear_state(dimensions))
    with nengo.Simulator(net) as simulator:
        return simulator, part


def drawn(ax):
    """Return what a map shows, rows from the lowest y up."""
    return ax.collections[0].get_array()


def test_value_map_shows_the_state_as_it_is_observed():
    """With the observation of a pendulum, the map is over its angle and velocity."""
    simulator, critic = built(Critic, dimensions=3)
    angle, velocity = np.linspace(-np.pi, np.pi, 7), np.linspace(-8, 8, 4)
    ax = plots.value_map(
        simulator,
        critic,
        readout([[0.0, 1.0, 3.0]]),
        angle,
        velocity,
        LABELS,
        observe=lambda x, y: np.stack([np.cos(x), np.sin(x), y / 8], axis=1),
        ax=axes(),
    )
    expected = np.sin(angle) + 3.0 * velocity[:, None] / 8
    assert_allclose(drawn(ax), expected, atol=1e-12)  # rounding
    assert (ax.get_xlabel(), ax.get_ylabel()) == LABELS
    assert ax.figure.axes[-1].get_ylabel() == "value"


def test_value_map_shows_what_the_network_puts_out():
    """The map agrees with the critic's node when the simulator is in these states."""
    weights = np.random.RandomState(1).randn(1, 12)
    states = [(x, y) for y in Y for x in X]
    with nengo.Network(seed=0) as net:
        centres = np.random.RandomState(2).uniform(-1, 1, (12, 2))
        cells = place_cells(centres, width=0.4)
        critic = Critic(cells)
        critic.learned.transform = weights
        shown = nengo.Node(lambda t: states[round(t / 0.001) - 1])
        nengo.Connection(shown, cells, synapse=None)
        probe = nengo.Probe(critic.value)
    with nengo.Simulator(net) as simulator:
        simulator.run_steps(len(states))
        ax = plots.value_map(simulator, critic, weights, X, Y, LABELS, ax=axes())
    # 1e-9: two ways of summing values of order 100
    assert_allclose(drawn(ax).ravel(), simulator.data[probe][:, 0], atol=1e-9)


def test_policy_map_of_softmax_shows_probabilities():
    """Preferences of x and 0 are drawn as logistic probabilities, a panel an action."""
    simulator, actor = built(lambda s: Actor(s, SoftmaxPolicy(2, trigger=True)))
    given = axes(2)
    weights = readout([[1.0, 0.0], [0.0, 0.0]])
    found = plots.policy_map(simulator, actor, weights, X, Y, LABELS, axes=given)
    assert list(found) == list(given)
    first = np.broadcast_to(1 / (1 + np.exp(-X)), (3, 5))
    for ax, expected in zip(found, (first, 1 - first), strict=True):
        assert_allclose(drawn(ax), expected, atol=1e-12)  # rounding
        assert ax.collections[0].get_clim() == (0, 1)
    assert found[1].figure.axes[-1].get_ylabel() == "probability of action 1"


def test_policy_map_of_gaussian_shows_bounded_means():
    """A mean of 3 y is drawn within the bounds of the policy."""
    simulator, actor = built(
        lambda s: Actor(
            s, GaussianPolicy(trigger=True, action_low=-1.0, action_high=2.0)
        )
    )
    weights = readout([[0.0, 3.0], [5.0, 0.0]])  # the last row is of log sigma
    (ax,) = plots.policy_map(simulator, actor, weights, X, Y, LABELS, axes=axes())
    expected = np.broadcast_to([[-1.0], [0.75], [2.0]], (3, 5))
    assert_allclose(drawn(ax), expected, atol=1e-12)  # rounding
    assert ax.figure.axes[-1].get_ylabel() == "mean of action 0"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": np.zeros((2, 4))}, r"weights.*\(1, 4\) \(got \(2, 4\)\)"),
        ({"observe": lambda x, y: x}, r"observe.*\(15, 2\)"),
    ],
)
def test_maps_that_cannot_be_drawn(changed, message):
    """Weights and observations of another shape are refused."""
    simulator, critic = built(Critic)
    options = {"weights": readout([[1.0, 2.0]]), "x": X, "y": Y, "labels": LABELS}
    with pytest.raises(ValidationError, match=message):
        plots.value_map(simulator, critic, **(options | changed))


def test_raster_shows_spikes_where_they_were():
    """Every spike has a mark at its time and neuron, and nothing else has."""
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
    """Without axes every plot makes one figure of its own, with all its panels."""
    from matplotlib import pyplot as plt

    simulator, critic = built(Critic)
    actor_simulator, actor = built(lambda s: Actor(s, SoftmaxPolicy(3, trigger=True)))
    four = np.zeros((4, 1))
    ways = {
        1: lambda: plots.learning_curves({"a": runs([1, 2])}),
        2: lambda: plots.value_map(simulator, critic, np.zeros((1, 4)), X, Y, LABELS),
        3: lambda: plots.policy_map(
            actor_simulator, actor, np.zeros((3, 4)), X, Y, LABELS
        ),
        4: lambda: plots.raster(np.arange(4.0), four, four, four),
    }
    panels = [len(np.ravel(draw())) for draw in ways.values()]
    assert panels == [1, 1, 3, 3]
    assert len(plt.get_fignums()) == 4
    plt.close("all")


def test_import_needs_no_display():
    """The package is imported without pyplot, which would look for a display."""
    code = "import sys, nengo_epes.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False)
    assert done.returncode == 0
