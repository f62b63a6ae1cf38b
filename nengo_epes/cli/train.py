"""``nengo-epes train``: let an agent learn a task, and keep it in a folder."""

from __future__ import annotations

import shlex
import signal
from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path
from types import FrameType
from typing import Any


def add(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Add the parser of this command to those of all."""
    train = commands.add_parser(
        "train",
        help="let an agent learn a Gymnasium task",
        description="Let an agent learn a Gymnasium task with the settings of "
        "nengo_epes.rl.presets, and write what it learns, a learning curve, and "
        "checkpoints, from which --resume goes on. Ctrl-C ends it with the current "
        "episode.",
    )
    train.add_argument("environment", metavar="TASK", help="such as CartPole-v1")
    train.add_argument("--seed", type=int, help="(0)")
    limit = train.add_mutually_exclusive_group()
    limit.add_argument(
        "--steps", type=int, metavar="N", help="of the environment (as studied)"
    )
    limit.add_argument("--episodes", type=int, metavar="N")
    train.add_argument(
        "--neurons",
        metavar="KIND",
        help="such as lif or place-cells (the first that a task has)",
    )
    train.add_argument("--output", metavar="DIR", help="(TASK-KIND-SEED)")
    train.add_argument(
        "--checkpoint",
        type=int,
        default=5000,
        metavar="N",
        help="write one every N steps of the environment (%(default)s)",
    )
    train.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in DIR, with its settings",
    )
    train.set_defaults(command=_train)


def _train(options: Namespace) -> None:
    # before the work, and before anything slow is imported
    for name in ("steps", "episodes", "checkpoint"):
        number = getattr(options, name)
        if number is not None and number < 1:
            raise ValueError(f"--{name} must be at least 1 (got {number})")
    if options.seed is not None and not 0 <= options.seed < 2**31 - 1:
        raise ValueError(f"--seed must be from 0 to 2**31 - 2 (got {options.seed})")

    from nengo_epes.rl import presets, runs

    preset = presets.preset(options.environment, options.neurons)
    neurons = options.neurons or next(iter(preset.neurons))
    limits = {"steps": options.steps, "episodes": options.episodes}
    seed = options.seed or 0
    folder = Path(options.output or f"{options.environment}-{neurons}-{seed}")
    if options.resume:
        _check_settings(options, runs.read_settings(folder), folder)
    else:
        runs.create_run(folder, options.environment, seed, neurons, **limits)

    def report(returns: list[float], steps: list[int]) -> None:
        if returns:
            last = returns[-runs.WINDOW :]
            print(
                f"{steps[-1]:>9,} steps {len(returns):>6,} episodes   mean return "
                f"{sum(last) / len(last):>9.1f} of the last {len(last)}",
                flush=True,
            )

    with _Ending() as ending:
        complete = runs.resume_run(
            folder, options.checkpoint, report, lambda: ending.number, **limits
        )
    print(f"{'complete' if complete else 'not complete'}; all is in {folder}")
    if not complete:
        print(f"to go on: nengo-epes train {options.environment} --resume", end=" ")
        print(f"--output {shlex.quote(str(folder))}")
        # as a shell tells of a process that a signal has ended
        raise SystemExit(128 + ending.number)


def _check_settings(options: Namespace, settings: dict[str, Any], folder: Path) -> None:
    for name in ("environment", "seed", "neurons"):
        given = getattr(options, name)
        if given not in (None, settings[name]):
            raise ValueError(
                f"the run in {folder} has {name} {settings[name]} (got {given}); go on "
                "with that, or begin another run in another folder"
            )


class _Ending:
    """Whether one has been asked to end: by Ctrl-C, or by who manages the machine.

    The second time it ends at once.
    """

    signals = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> _Ending:
        self.number = 0
        self.before = {number: signal.getsignal(number) for number in self.signals}
        for number in self.signals:
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._restore()
        print("ending with this episode; once more to end at once", flush=True)

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
