"""Populations that represent states."""

import nengo
import numpy as np
import pytest
from nengo.builder.ensemble import get_activities
from nengo.exceptions import ValidationError
from numpy.testing import assert_allclose

from nengo_epes.networks import (
    NormalizedExponential,
    grid,
    place_cells,
    random_features,
    sphere_features,
    state_cells,
    to_sphere,
)


def test_place_cells_are_normalised_gaussians(rng):
    """Rates are Gaussians of the distance from the centres, divided by their sum."""
    centres, width = grid(np.linspace(-1, 1, 5), [-0.5, 0.0, 0.5]), np.array([0.5, 0.2])
    points = rng.uniform(-1, 1, (20, 2))
    with nengo.Network() as net:
        cells = place_cells(centres, width, rate=70.0)
        source = nengo.Node(lambda t: points[round(t / 0.001) - 1])
        nengo.Connection(source, cells, synapse=None)
        probe = nengo.Probe(cells.neurons)
    with nengo.Simulator(net) as sim:
        sim.run_steps(20)
    distances = ((points[:, None] - centres) / width) ** 2
    tuning = np.exp(-distances.sum(axis=2) / 2)
    expected = 70.0 * tuning / tuning.sum(axis=1, keepdims=True)
    assert_allclose(sim.data[probe], expected, rtol=1e-9)


def test_place_cells_have_their_own_settings():
    """A network whose config sets another radius has the same place cells."""
    with nengo.Network(seed=0) as net:
        net.config[nengo.Ensemble].radius = 3.0
        net.config[nengo.Ensemble].normalize_encoders = False
        cells = place_cells(grid([-1.0, 0.0, 1.0]), 0.5, rate=70.0)
        nengo.Connection(nengo.Node(0.3), cells, synapse=None)
        probe = nengo.Probe(cells.neurons)
    with nengo.Simulator(net) as sim:
        sim.run_steps(3)
    tuning = np.exp(-((0.3 - np.array([-1.0, 0.0, 1.0])) ** 2) / 2 / 0.5**2)
    assert_allclose(sim.data[probe][-1], 70.0 * tuning / tuning.sum(), rtol=1e-9)


def test_spiking_place_cells():
    """Spiking place cells fire at the rates of the other place cells."""
    with nengo.Network(seed=0) as net:
        cells = place_cells(grid([-1, 0, 1]), 0.5, rate=500.0)
        cells.neuron_type = nengo.PoissonSpiking(NormalizedExponential(500.0))
        nengo.Connection(nengo.Node(0.2), cells, synapse=None)
        probe = nengo.Probe(cells.neurons)
    with nengo.Simulator(net) as sim:
        sim.run(4.0)
    rates = np.exp(-((0.2 - np.array([-1, 0, 1])) ** 2) / 2 / 0.25)
    rates *= 500.0 / rates.sum()
    # 4 s: four standard errors of a Poisson count
    assert (np.abs(sim.data[probe].mean(axis=0) - rates) < 4 * np.sqrt(rates / 4)).all()


def test_random_features(rng):
    """Encoders point in all directions and intercepts lie in the given range, and both
    follow from the seed."""
    with nengo.Network() as net:
        one, again, other = (random_features(500, 3, seed=seed) for seed in (1, 1, 2))
        lif = random_features(200, 2, nengo.LIF(), intercepts=(0.1, 0.2), seed=3)
    with nengo.Simulator(net) as sim:
        built = [sim.data[ensemble] for ensemble in (one, again, other)]
        assert np.array_equal(built[0].encoders, built[1].encoders)
        assert not np.array_equal(built[0].encoders, built[2].encoders)
        # four standard errors of the mean of a direction
        assert np.abs(built[0].encoders.mean(axis=0)).max() < 4 / np.sqrt(3 * 500)
        assert np.abs(built[0].intercepts).max() <= 0.5
        assert built[0].intercepts.std() > 0.25
        begins = sim.data[lif].intercepts
        assert 0.1 <= begins.min() < begins.max() <= 0.2
        for x in (0.09, 0.21):
            currents = sim.data[lif].gain * x + sim.data[lif].bias
            assert np.all((currents > 1) == (x > 0.2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: place_cells([0, 1], 0.1), r"\(cells, dimensions\)"),
        (lambda: place_cells([[0], [1]], 0.0), "above 0"),
        (lambda: NormalizedExponential().gain_bias(1, 1), "place_cells"),
        (lambda: NormalizedExponential(0.0), "amplitude"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    """Invalid settings are refused with a remedy."""
    with nengo.Network(), pytest.raises(ValidationError, match=message):
        make()


def sphere_rates(state, observations):
    """Return the rates of an ensemble of sphere features, computed by Nengo."""
    with nengo.Network() as net:
        net.add(state)
    with nengo.Simulator(net) as sim:
        built = sim.data[state]
        return built, get_activities(built, state, to_sphere(observations))


@pytest.mark.parametrize("dimensions", [1, 2, 4, 8])
def test_sphere_features_are_rectified_distances(dimensions):
    """Rates are 100 scale max(0, slope (encoder . u - intercept)). Global neurons have
    intercepts of +-0.5 and slope 1, local neurons 1 - width and 1 / width; each half
    has one scale."""
    with nengo.Network(add_to_container=False):
        state = sphere_features(400, dimensions, seed=3)
    observations = np.random.RandomState(1).randn(1000, dimensions)
    _, rates = sphere_rates(state, observations)
    u = to_sphere(observations)
    drive = u @ state.encoders.T - state.intercepts
    slope = np.ones(400)
    slope[200:] = 1 / (1 - state.intercepts[200:])
    plain = np.maximum(slope * drive, 0)
    for half in (slice(0, 200), slice(200, 400)):
        active = plain[:, half] > 1e-9
        scale = (rates[:, half][active] / plain[:, half][active]) / 100
        assert_allclose(scale, scale[0], rtol=1e-9)
        # 1/2 over the 400 points that set the scale; these points are others
        mean_square = np.mean(np.sum((rates[:, half] / 100) ** 2, axis=1))
        assert 0.4 < mean_square < 0.6
    assert np.all(np.abs(state.intercepts[:200]) <= 0.5)


@pytest.mark.parametrize("dimensions", [2, 4, 8])
def test_some_local_features_are_active(dimensions):
    """About 16 local neurons are active for a typical observation, and each global
    neuron is active for many observations."""
    with nengo.Network(add_to_container=False):
        state = sphere_features(1000, dimensions, seed=5)
    observations = np.random.RandomState(2).randn(500, dimensions)
    _, rates = sphere_rates(state, observations)
    n_active = np.count_nonzero(rates[:, 500:], axis=1)
    assert 10 <= np.median(n_active) <= 25
    assert np.mean(rates[:, :500] > 0) > 0.2


def test_too_few_sphere_features():
    """The number of neurons must exceed twice the number of active ones."""
    with nengo.Network(), pytest.raises(ValidationError, match=r"more than 32.*got 32"):
        sphere_features(32, 2)


@pytest.mark.parametrize("dimensions", [1, 3, 60])
def test_to_sphere(dimensions, rng):
    """Points are mapped to the sphere, in the direction of [x, 1]."""
    x = rng.randn(7, 5, dimensions)
    u = to_sphere(x)
    assert u.shape == (7, 5, dimensions + 1)
    assert_allclose(np.linalg.norm(u, axis=-1), 1, rtol=1e-12)
    assert_allclose(u[..., :-1] / u[..., -1:], x, rtol=1e-12)


def test_max_rates_of_sphere_features():
    """Given rates are the largest rates of global and local neurons. The defaults
    equalise the two halves, and are 100 and 300 Hz for spiking neurons."""
    with nengo.Network() as net:
        given = sphere_features(100, 2, max_rates=(20.0, 60.0), seed=1)
        spiking = sphere_features(100, 2, nengo.LIF(), seed=1)
        plain = sphere_features(100, 2, seed=1)
        scaled = sphere_features(100, 2, max_rates=(100.0, 300.0), seed=1)
    with nengo.Simulator(net) as sim:
        built = {name: sim.data[x] for name, x in (("given", given), ("lif", spiking))}
        # the largest input of a neuron is its own encoder
        for name, ensemble, rates in (
            ("given", given, (20.0, 60.0)),
            ("lif", spiking, (100.0, 300.0)),
        ):
            encoders = built[name].encoders
            most = np.diag(get_activities(built[name], ensemble, encoders))
            assert_allclose(most, np.repeat(rates, 50), rtol=1e-6)
        points = to_sphere(np.random.RandomState(0).randn(300, 2))
        rates = [get_activities(sim.data[x], x, points) for x in (plain, given, scaled)]
    # the unit of the rates is a common factor of all activities
    assert_allclose(rates[2], 5 * rates[1], rtol=1e-9)
    mean_squares = [(half**2).sum(axis=1).mean() for half in np.hsplit(rates[0], 2)]
    assert_allclose(mean_squares, [5000, 5000], rtol=0.25)


def test_seeds_of_sphere_features():
    """The seed determines encoders and intercepts, for any seed of the network."""
    found = []
    for network_seed, seed in ((0, 1), (5, 1), (0, 2)):
        with nengo.Network(seed=network_seed) as net:
            state = sphere_features(50, 3, seed=seed)
        with nengo.Simulator(net) as sim:
            built = sim.data[state]
            found.append(np.c_[built.encoders, built.gain, built.bias])
    assert np.array_equal(found[0], found[1])
    assert not np.any(found[0] == found[2])


@pytest.mark.parametrize("radius", [1.0, 3.0])
def test_sphere_features_have_their_own_settings(radius):
    """A network whose config sets another radius has the same features."""
    with nengo.Network(seed=0) as net:
        net.config[nengo.Ensemble].radius = radius
        net.config[nengo.Ensemble].normalize_encoders = False
        state = sphere_features(50, 2, max_rates=(20.0, 60.0), seed=1)
    with nengo.Simulator(net) as sim:
        built = sim.data[state]
        most = np.diag(get_activities(built, state, built.encoders))
    assert_allclose(most, np.repeat([20.0, 60.0], 25), rtol=1e-6)


@pytest.mark.parametrize(
    ("neuron_type", "rate"),
    [(None, 100.0), (nengo.LIFRate(), 100.0), (nengo.LIF(), 200.0)],
)
def test_state_cells(neuron_type, rate):
    """The neuron of the state fires at its largest rate, and all others are silent."""
    with nengo.Network(seed=0) as net:
        # the settings do not depend on the config of the network
        net.config[nengo.Ensemble].radius = 3.0
        one_hot = nengo.Node(lambda t: np.eye(4)[min(int(t - 0.0005), 3)])
        state = state_cells(4, neuron_type)
        nengo.Connection(one_hot, state.neurons, synapse=None)
        probe = nengo.Probe(state.neurons)
    with nengo.Simulator(net) as sim:
        sim.run(4.0)
    means = sim.data[probe].reshape(4, 1000, 4).mean(axis=1)
    # a spike may be missing at either end
    assert_allclose(means, rate * np.eye(4), rtol=0, atol=0.02 * rate)
    assert means[~np.eye(4, dtype=bool)].max() <= 1.0
