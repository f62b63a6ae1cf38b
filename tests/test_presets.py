"""The agents of the presets, against plain numpy, and what they learn."""

import shlex

import gymnasium
import nengo
import numpy as np
import pytest
from nengo.exceptions import ValidationError
from numpy.testing import assert_allclose, assert_array_equal
from tasks import cartpole_trial, solved_after, train, trial
from textbook import Normalised

from nengo_epes.rl.evaluation import FIRST_RESET, evaluate
from nengo_epes.rl.presets import PRESETS, build, cells, preset

SMALL = {
    "Pendulum-v1": {"circles": (9,), "lines": (5,)},
    "MountainCarContinuous-v0": {"lines": (8, 8)},
    "Acrobot-v1": {"circles": (4, 4), "lines": (4, 4)},
}


def place_cells(environment, seen):
    """Return the activities of place cells, cell by cell, and their coordinates."""
    n_angles = len(SMALL[environment].get("circles", ()))
    sizes = (*SMALL[environment].get("circles", ()), *SMALL[environment]["lines"])
    shares, indices = [], list(np.ndindex(*sizes))
    for index in indices:
        exponent = 0.0
        for k, (i, n) in enumerate(zip(index, sizes, strict=True)):
            if k < n_angles:
                angle, chord = (
                    2 * np.pi * i / n,
                    np.hypot(1 - np.cos(2 * np.pi / n), np.sin(2 * np.pi / n)),
                )
                x, y = seen[2 * k : 2 * k + 2]
                square = (x - np.cos(angle)) ** 2 + (y - np.sin(angle)) ** 2
                exponent -= square / (2 * chord**2)
            else:
                centre, width = -1 + 2 * i / (n - 1), 2 / (n - 1)
                exponent -= (seen[n_angles + k] - centre) ** 2 / (2 * width**2)
        shares.append(np.exp(exponent))
    return 200 * np.array(shares) / np.sum(shares), np.array(indices)


def see(environment, observation):
    """Scale an observation as the environments document their bounds."""
    if environment == "Acrobot-v1":
        return np.clip(observation / [1, 1, 1, 1, 6, 9], -1, 1)
    if environment == "Pendulum-v1":
        return observation / [1, 1, 8]
    return (observation - [-0.3, 0]) / [0.9, 0.07]


def some_weights(environment):
    """Return weights of an actor that moves the way that the environment moves."""
    sizes = (*SMALL[environment].get("circles", ()), *SMALL[environment]["lines"])
    velocity = np.indices(sizes)[-1].ravel() - (sizes[-1] - 1) / 2
    if environment == "Acrobot-v1":
        return np.stack([-velocity, 0 * velocity, velocity])
    if environment == "Pendulum-v1":
        return np.random.RandomState(0).randn(1, velocity.size) / 50
    return np.sign(velocity)[None] / 200


@pytest.mark.parametrize("environment", SMALL)
def test_greedy_agent_in_the_environment(environment):
    """The greedy returns are those of place cells in plain numpy, which act in the same
    environment from the fixed initial states."""
    actor = some_weights(environment)
    weights = {"actor": actor, "critic": np.zeros((1, actor.shape[1]))}
    found = evaluate(environment, weights, n_episodes=3, **SMALL[environment])
    env, expected = gymnasium.make(environment), []
    for k in range(3):
        observation, _ = env.reset(seed=FIRST_RESET + k)
        total, over = 0.0, False
        while not over:
            rates, _ = place_cells(environment, see(environment, observation))
            action = actor @ rates
            if environment == "Acrobot-v1":
                action = np.argmax(action)
            else:
                largest = env.action_space.high
                action = (largest * np.clip(action, -1, 1)).astype(np.float32)
            observation, reward, terminated, truncated, _ = env.step(action)
            total, over = total + reward, terminated or truncated
        expected.append(total)
    # forces are rounded to single precision, at some steps from another digit
    assert_allclose(found, expected, rtol=1e-4)
    assert np.ptp(expected) > 1


def test_greedy_cart_pole():
    """With weights that prefer the second action in every state, the cart-pole lasts as
    long as in Gymnasium with this action."""
    actor = np.repeat([[0.0], [1.0]], 30, axis=1)
    weights = {"actor": actor, "critic": np.zeros((1, 30))}
    found = evaluate("CartPole-v1", weights, n_episodes=3, n_neurons=30)
    env = gymnasium.make("CartPole-v1")
    for k, length in enumerate(found):
        env.reset(seed=FIRST_RESET + k)
        over = [env.step(1)[2] for _ in range(int(length))]
        assert over == [False] * (len(over) - 1) + [True]


@pytest.mark.parametrize("lambda_", [0.95, 0.0])
def test_learns_as_the_textbook(lambda_):
    """On Pendulum-v1, across the end of an episode, which is truncated, all weights are
    those of an actor-critic in plain numpy that sees the same observations."""
    environment, n_transitions, gamma = "Pendulum-v1", 210, 0.98
    etas = {"eta_critic": 0.3, "eta_actor": 0.02}
    network, env_node, agent = build(
        environment, 3, lambda_=lambda_, **etas, **SMALL[environment]
    )
    env = env_node.output
    with network:
        shown, decisions = nengo.Probe(env_node), nengo.Probe(agent.policy.decision)
        probes = {
            "critic": nengo.Probe(agent.critic.learned, "weights"),
            "actor": nengo.Probe(agent.actor.learned, "weights"),
        }
    with nengo.Simulator(network) as sim:
        sim.run_steps(2 * (n_transitions + 5))
    # the values in the last simulator step of every environment step
    shown = sim.data[shown][1::2]
    score, action, mean = sim.data[decisions][1::2, 1:4].T
    rates = [place_cells(environment, x)[0] for x in shown[:, env.observation]]
    rewards, ends = shown[:, env.reward], shown[:, env.truncated].ravel() > 0

    critic = Normalised(0.3, gamma * lambda_)
    actor = Normalised(0.02, gamma * lambda_, normalize=True)
    v, w, z_v, z_w = np.zeros((4, len(rates[0])))
    expected, decided = {"critic": [], "actor": []}, []
    for k in range(n_transitions):
        before, after = rates[k], rates[k + 1]
        if ends[k]:  # a new episode starts
            z_v, z_w = 0 * z_v, 0 * z_w
        else:
            drawn = w @ before + score[k]
            decided.append((mean[k], w @ before))
            decided.append((action[k], np.clip(drawn, -1, 1)))
            z_v = gamma * lambda_ * z_v + before
            z_w = gamma * lambda_ * z_w + score[k] * before
            delta = rewards[k + 1] + gamma * (v @ after) - v @ before
            size = before @ before
            v = v + critic(delta, z_v, size)
            w = w + actor(delta, z_w, score[k] ** 2 * size)
        expected["critic"].append(v)
        expected["actor"].append(w)
    assert ends[:n_transitions].sum() == 1
    assert_allclose(*np.transpose(decided), rtol=0, atol=1e-9)
    for name, course in expected.items():
        found = sim.data[probes[name]][2:, 0][1 : 2 * n_transitions : 2]
        assert_allclose(found, course, rtol=0, atol=1e-9 * np.abs(course).max())


def test_centres_are_on_circles_and_lines():
    """The centres are all combinations of four angles and three places, each angle as
    its cosine and sine, and the widths are the distances of neighbours."""
    centres, widths = cells(circles=(4, 4), lines=(3,))
    assert_allclose(np.hypot(centres[:, [0, 2]], centres[:, [1, 3]]), 1.0, rtol=1e-15)
    angles = np.arctan2(centres[:, [1, 3]], centres[:, [0, 2]]) % (2 * np.pi)
    quarters = np.round(angles / (np.pi / 2), 9) % 4
    found = np.unique(np.hstack([quarters, centres[:, 4:] + 1]), axis=0)
    assert_array_equal(found, list(np.ndindex(4, 4, 3)))
    assert_allclose(widths, [np.sqrt(2)] * 4 + [1.0], rtol=1e-15)


@pytest.mark.parametrize("environment", PRESETS)
def test_presets(environment):
    """Each kind of neurons of a preset can be built, under a name that is a word of a
    command line."""
    for neurons in PRESETS[environment].neurons:
        assert neurons == shlex.quote(neurons)
        network, env_node, agent = build(environment, neurons=neurons)
        assert env_node in network.all_nodes
        assert env_node.output.environment == environment
        expected = PRESETS[environment].neurons[neurons].get("steps_per_action", 2)
        assert env_node.output.steps_per_action == expected


WEIGHTS = {"critic": np.zeros((1, 10)), "actor": np.zeros((2, 10))}


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: evaluate("CartPole-v1", WEIGHTS, n_episodes=0), "n_episodes: .*got 0"),
        (
            lambda: evaluate("CartPole-v1", WEIGHTS, n_neurons=20),
            r"weights: .*critic.*\(1, 10\).*here \(1, 20\)",
        ),
        (lambda: build("Pendulum-v1", lines=(1,)), r"at least 2.*\(21,\) and \(1,\)"),
        (lambda: build("Acrobot-v1", circles=(0, 6)), r"at least 2.*\(0, 6\) and"),
        (lambda: build("Chess"), "environment: .*'Chess', but for CartPole-v1, Pend"),
        (lambda: build("CartPole-v1", neurons="wet"), "neurons: .*'wet', but for relu"),
    ],
)
def test_refuses(use, message):
    """Invalid numbers, weights of another agent and unknown names are refused, with the
    name of the parameter."""
    with pytest.raises(ValidationError, match=message):
        use()


def test_filter_of_spikes():
    """When the action is due, the filtered spikes have forgotten four fifths of the
    state before, and are nearer to the rates than through a Lowpass that forgets as
    much: half the error at most."""
    lif = preset("CartPole-v1", "lif")
    alpha, n_steps = lif.pre_synapse, lif.steps_per_action
    elapsed = 0.001 * n_steps / alpha.tau
    left = (1 + elapsed) * np.exp(-elapsed)  # of an Alpha's step response
    assert left < 0.2
    lowpass = nengo.Lowpass(-0.001 * n_steps / np.log(left))
    with nengo.Network(seed=1) as net:
        state = nengo.Ensemble(200, 1, neuron_type=lif.neuron_type)
        nengo.Connection(nengo.Node(0.3), state, synapse=None)
        spikes = nengo.Probe(state.neurons)
    with nengo.Simulator(net) as sim:
        sim.run(0.5)
        built = sim.data[state]
    rates = lif.neuron_type.rates(0.3 * built.encoders.T, built.gain, built.bias)

    def error(synapse):
        filtered = synapse.filt(sim.data[spikes], dt=0.001)[300:]
        return np.sqrt(np.mean((filtered - rates) ** 2))

    assert error(alpha) < 0.5 * error(lowpass)


def test_spiking_neurons_learn_something():
    """Both decoders of spiking neurons change, and stay finite."""
    result = train("CartPole-v1", 1000, 40, neurons="lif", n_neurons=30)
    for weights in result["weights"].values():
        assert np.isfinite(weights).all() and weights.any()
    assert result["returns"].sum() == result["steps"][-1]


def test_cart_pole_is_being_learned():
    """Within 4000 steps the pole stands five times as long as by chance (some 20
    steps); without a trace it stands even shorter than that."""
    returns = train("CartPole-v1", 1000, 4000, n_neurons=300)["returns"]
    assert returns[-5:].mean() > 100
    returns = train("CartPole-v1", 1000, 1500, n_neurons=300, lambda_=0.0)["returns"]
    assert returns[-20:].mean() < 20


def test_mountain_car_is_being_learned():
    """In 8000 environment steps, eight episodes for a car that never reaches the goal,
    the car reaches it five times."""
    changes = {"lines": (8, 8), "eta_actor": 0.5}
    returns = train("MountainCarContinuous-v0", 1000, 8000, **changes)["returns"]
    assert np.sum(returns > 0) >= 5


def test_acrobot_is_being_learned():
    """Within 3000 environment steps the line is reached in half of the 500 steps of an
    episode, which by chance are mostly too few."""
    changes = {"circles": (5, 5), "lines": (5, 5), "eta_actor": 0.02}
    returns = train("Acrobot-v1", 1000, 3000, **changes)["returns"]
    assert returns[-5:].mean() > -250


def test_trial():
    """A trial of two episodes returns their returns and lengths, and those of greedy
    episodes; nothing is learned so early."""
    result = trial("Pendulum-v1", 1000, 201, n_episodes=2, **SMALL["Pendulum-v1"])
    assert len(result["returns"]) == 2
    # a step costs at most pi^2 + 0.1 8^2 + 0.001 2^2
    for episode_return in (*result["returns"], result["greedy mean"]):
        assert -200 * 16.3 < episode_return < 0
    assert result["lengths"] == [200, 200]
    assert result["episodes"] is result["steps"] is None


def test_solved_after():
    """The criterion counts from the first full window on, exactly."""
    assert solved_after([], 475, 50) is None
    assert solved_after([500] * 49, 475, 50) is None
    assert solved_after([500] * 50, 475, 50) == 50
    assert solved_after([0, *[500] * 50], 475, 50) == 50
    assert solved_after([0] * 3 + [475] * 50, 475, 50) == 53


@pytest.mark.slow
def test_cart_pole_is_learned():
    """CartPole-v1 is solved, and stays so for 50 episodes; spiking neurons take at most
    one and a half times the 92 episodes of ReLU."""
    result = cartpole_trial(1000)
    assert result["episodes"] <= 300
    assert result["steps"] <= 69_000
    assert result["mean after"] >= 475
    assert cartpole_trial(1000, 70_000, n_after=0, neurons="lif")["episodes"] <= 138


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "n_steps", "greedy", "learned"),
    [
        # the optimum is -142; a pendulum that is not swung up returns -900 and less
        ("Pendulum-v1", 36_000, -200, 36_000),
        ("MountainCarContinuous-v0", 50_000, 90, 25_000),
        # from a few initial states a greedy agent may swing for ever
        ("Acrobot-v1", 100_000, -110, 60_000),
    ],
)
def test_is_learned(environment, n_steps, greedy, learned):
    """The tasks are solved, in training within ``learned`` steps, and greedily."""
    result = trial(environment, 1000, n_steps)
    assert result["greedy mean"] >= greedy
    assert result["steps"] <= learned


@pytest.mark.slow
def test_pendulum_without_traces():
    """Without traces the pendulum is not swung up."""
    result = trial("Pendulum-v1", 1000, 36_000, lambda_=0.0)
    assert result["episodes"] is None
    assert result["greedy mean"] < -300
