"""Train an agent to balance a pole, and film it: ``docs/_static/cart-pole.gif``."""

from pathlib import Path

from nengo_epes.rl import Agent, movie

MOVIE = Path(__file__).parents[1] / "docs" / "_static" / "cart-pole.gif"


def main(seed=0, n_steps=30_000):
    """Train and film an agent; print its returns."""
    with Agent("CartPole-v1", seed) as agent:
        agent.learn(n_steps)
        result = movie.record(agent, MOVIE)
    print(f"{len(agent.returns)} episodes of training; in the movie: {result.returns}")


if __name__ == "__main__":
    main()
