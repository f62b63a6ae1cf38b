"""Train an agent to balance a pole, and film it: ``docs/_static/cart-pole.gif``."""

from pathlib import Path

from tasks import train

from nengo_epes.rl import movie

MOVIE = Path(__file__).parents[1] / "docs" / "_static" / "cart-pole.gif"


def main(seed=0, n_steps=30_000):
    """Train and film an agent, and print its returns."""
    trained = train("CartPole-v1", seed, n_steps)
    returns = movie.record("CartPole-v1", trained["weights"], MOVIE, seed)
    print(f"{len(trained['returns'])} episodes of training; in the movie: {returns}")


if __name__ == "__main__":
    main()
