"""``nengo-epes train``: let an agent learn an environment."""

from __future__ import annotations

import re
import shlex
import signal
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nengo_epes.cli import options as shared
from nengo_epes.optional import load


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of this command."""
    train = commands.add_parser(
        "train",
        help="let an agent learn an environment",
        description="Let an agent learn a Gymnasium environment, and write what it has "
        "learned, its returns and checkpoints to a folder. Interrupt it at any time; "
        "--resume continues from the last checkpoint.",
    )
    shared.add_agent(train, nargs="?")
    train.add_argument(
        "--seed",
        type=shared.SEED,
        metavar="K",
        help="seed of the network, the environment and the actions (default: 0)",
    )
    train.add_argument(
        "--output",
        metavar="DIR",
        help="folder of the run (default: ENV-NEURONS-SEED)",
    )
    train.add_argument(
        "--resume",
        action="store_true",
        help="resume the run in the folder from its last checkpoint; with --output, "
        "ENV can be omitted unless it is a module:Env-v0",
    )
    train.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write the returns for TensorBoard, to DIR/tensorboard",
    )
    train.set_defaults(command=_train, parser=train)


def _train(options: Namespace) -> None:
    env, neurons = options.environment, options.neurons or "rate"
    name = f"{env}-{neurons}-{options.seed or 0}"
    if env is None and not (options.resume and options.output):
        options.parser.error(
            "the following arguments are required: ENV, or --resume and --output"
        )
    folder = Path(options.output or re.sub(r"[^\w.-]", "-", name))
    if options.resume:
        start = f"resuming {folder} from its last checkpoint; later steps are repeated"
    else:
        start = f"training {env}, in {folder}"
    shared.announce(options, start)
    from nengo_epes.rl import runs

    shared.find_modules(env)
    if options.resume:
        shared.check_named(folder, env, "nengo-epes train {} --resume ...")
        _check_resumed(options, runs.read_run(folder), folder)
    else:
        seed, steps = options.seed or 0, options.steps or shared.STEPS
        settings, env_kwargs = dict(options.set), dict(options.env_arg)
        args = seed, neurons, steps, env_kwargs, options.simulator or "nengo"
        runs.create_run(folder, env, *args, **settings)
    bar = shared.bar(options, "steps")
    with _stopping() as stopped, _tensorboard(options, folder) as callback:
        try:
            runs.resume_run(folder, options.steps, env, callback, bar)
        except KeyboardInterrupt:
            print(f"interrupted; what was learned is in {folder}; to resume:")
            words = ["train", *([env] if env else []), "--resume", "--output"]
            print(shlex.join(["nengo-epes", *words, str(folder)]))
            # the status by which a shell reports a signal
            raise SystemExit(128 + (stopped or [signal.SIGINT])[0]) from None
    run = runs.read_run(folder)
    returns = [episode.episode_return for episode in run["episodes"]]
    last = returns[-runs.WINDOW :]
    mean = f"{sum(last) / len(last):.1f}" if last else "unknown"
    print(
        f"complete: {run['trained_steps']:,} steps, {len(returns):,} episodes, mean "
        f"return {mean} of the last {len(last)}, with exploration\n"
        f"best actions: nengo-epes evaluate {folder}\nall files are in {folder}"
    )


def _check_resumed(options: Namespace, run: dict[str, Any], folder: Path) -> None:
    """Refuse options that differ from the run."""
    names = "environment", "seed", "neurons", "simulator"
    given = {name: vars(options)[name] for name in names}
    given |= {**dict(options.set), "env_kwargs": dict(options.env_arg) or None}
    found = {**run["settings"], **run}
    for name, value in given.items():
        if value not in (None, found[name]):
            raise ValueError(
                f"{folder}: the run has {name} {found[name]} (got {value}); leave this "
                "out, or choose another folder"
            )


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """Treat SIGTERM as Ctrl-C; yield a list, which receives the signal number."""
    stopped: list[int] = []

    def stop(number: int, frame: object) -> None:
        stopped.append(number)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _tensorboard(
    options: Namespace, folder: Path
) -> Iterator[Callable[[Any], None] | None]:
    """Yield a callback that writes each episode, or None."""
    if not options.tensorboard:
        yield None
        return
    tensorboard = load("tensorboardX", "tensorboard")
    with tensorboard.SummaryWriter(str(folder / "tensorboard")) as writer:

        def write(agent: Any) -> None:
            episode = agent.episodes[-1]
            step = episode.environment_steps
            writer.add_scalar("episode/return", episode.episode_return, step)
            writer.add_scalar("episode/length", episode.length, step)

        yield write
