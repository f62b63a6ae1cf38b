"""Train an agent to balance a pole, and film it: ``docs/_static/cart-pole.gif``."""

from pathlib import Path

from nengo_epes.rl import cartpole, movie, training

MOVIE = Path(__file__).parents[1] / "docs" / "_static" / "cart-pole.gif"


def main(seed=0, n_steps=30_000):
    """Train, film, and say what was earned."""
    trained = training.train(cartpole.build, seed, n_steps)
    returns = movie.record(cartpole, trained["weights"], MOVIE, seed)
    print(f"{len(trained['returns'])} episodes of training; in the movie: {returns}")


if __name__ == "__main__":
    main()
