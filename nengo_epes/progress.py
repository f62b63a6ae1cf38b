"""Progress with the remaining time."""

from __future__ import annotations

import datetime
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

from nengo_epes.optional import load


class NoBar:
    """Shows nothing, with the methods of a progress bar."""

    def __enter__(self) -> NoBar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: float = 1) -> None:
        """Ignore progress."""

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """Ignore a text."""


class Bar(NoBar):
    """Prints progress to stderr: one line in a terminal, else a line every 10 %.

    Parameters
    ----------
    total : float
        Number of units until the end.
    unit : str, optional
        Plural name of what is counted.
    initial : float, optional
        Number of units that were counted before.

    Examples
    --------
    >>> with Bar(100, "steps", initial=50) as bar:
    ...     bar.update(5)
    """

    def __init__(self, total: float, unit: str = "steps", initial: float = 0.0) -> None:
        self.total, self.unit, self.text = total, unit, ""
        self.initial = self.n = initial
        self._start = self._printed = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def __exit__(self, *_: object) -> None:
        if self._is_terminal:
            self._print(time.monotonic())
            print(file=sys.stderr)

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """Set the text at the end of the line."""
        self.text = f", {text}"

    def update(self, n: float = 1) -> None:
        """Count ``n`` more units."""
        before, self.n = self._tenths(), self.n + n
        now = time.monotonic()
        if self._is_terminal and now - self._printed >= 0.5:
            self._print(now)
        elif not self._is_terminal and self._tenths() > before:
            self._print(now)

    def _tenths(self) -> int:
        return int(10 * self.n / self.total + 1e-6)  # parts of a unit add up inexactly

    def _print(self, now: float) -> None:
        counted = self.n - self.initial
        self._printed, rate = now, counted / max(now - self._start, 1e-9)
        # parts of an episode: 0.2 of 2 episodes
        number = f"{float(self.n):,.1f}".removesuffix(".0")
        line = f"{number} of {self.total:,} {self.unit}"
        if rate > 0:
            left = datetime.timedelta(seconds=round((self.total - self.n) / rate))
            speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
            line += f", {speed} {self.unit}/s, {left} left"
        line += self.text
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            line = f"\r{line[:width]:<{width}}"
        end = "" if self._is_terminal else "\n"
        print(line, end=end, file=sys.stderr, flush=True)


def make_bar(
    total: float, progress_bar: bool | Callable[..., Any], initial: float = 0
) -> Any:
    """Return a progress bar.

    Parameters
    ----------
    total : float
        Number of units until the end.
    progress_bar : bool or callable
        Whether to show a bar of tqdm. Also a function of ``total`` and ``initial`` that
        returns a context manager with the methods of `Bar`.
    initial : float, optional
        Number of units that were counted before.

    Returns
    -------
    NoBar or tqdm.tqdm or object

    Raises
    ------
    ImportError
        If tqdm is needed and not installed.

    Examples
    --------
    >>> with make_bar(10, progress_bar=False) as bar:
    ...     bar.update()
    """
    if not isinstance(progress_bar, bool):
        return progress_bar(total, initial=initial)
    if not progress_bar:
        return NoBar()
    tqdm = load("tqdm.auto", "environments").tqdm
    return tqdm(
        total=total, initial=initial, mininterval=0.5, smoothing=0.05, unit_scale=True
    )
