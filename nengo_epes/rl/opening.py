"""Opening and closing of the Gymnasium environments of simulators."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any

from nengo_epes.rl.gym_calls import name_of
from nengo_epes.rl.spaces import open_environment


class OpenEnvironments:
    """Open environments of an operator: one in each simulator of its model.

    A simulator is identified by one of its arrays, the owner. `nengo.Simulator.close`
    drops all arrays of the simulator. An owner to which nothing else refers is then
    deleted, and the environment is closed.

    Parameters
    ----------
    environment : str or callable or gymnasium.Env
        Id, constructor, or an environment, which is never closed.
    arguments : dict
        Keyword arguments for `gymnasium.make` or the constructor.
    """

    def __init__(self, environment, arguments):
        self.environment, self.arguments = environment, arguments
        self._opened, self._unpickled = {}, None

    def open(self, owner):
        """Open an environment; close an earlier environment of the same simulator.

        Parameters
        ----------
        owner : ndarray
            Array of the simulator.

        Returns
        -------
        int
            Key of the environment, for `get` and `close`.
        """
        key = id(owner)
        if key in self._opened:
            self.close(key)
        else:
            weakref.finalize(owner, self.close, key)
        unpickled, self._unpickled = self._unpickled, None
        self._opened[key] = self._make() if unpickled is None else unpickled
        return key

    def get(self, key):
        """Return the environment with a key, or None if it is closed.

        Parameters
        ----------
        key : int
            ``id(owner)``.
        """
        return self._opened.get(key)

    def close(self, key):
        """Close the environment with a key, if it is open.

        Parameters
        ----------
        key : int
            ``id(owner)``.
        """
        self._close(self._opened.pop(key, None))

    @contextlib.contextmanager
    def renew(self, key, is_used):
        """Yield an environment that has not been used.

        It replaces the open environment at the end of the `with` block, unless the
        block raises an error.

        Parameters
        ----------
        key : int
            ``id(owner)``.
        is_used : bool
            Whether the open environment has been used.
        """
        current = self._opened.get(key)
        keep = current is not None and (not is_used or current is self.environment)
        gym_env = current if keep else self._make()
        try:
            yield gym_env
        except BaseException:
            if not keep:
                self._close(gym_env)
            raise
        if not keep:
            self._close(current)
            self._opened[key] = gym_env

    def _make(self):
        return open_environment(self.environment, self.arguments)

    def _close(self, gym_env):
        if gym_env is not None and gym_env is not self.environment:
            gym_env.close()

    def __getstate__(self):
        """Return the pickled attributes, with the environment of the open simulator."""
        opened = list(self._opened.values())
        if len(opened) > 1:
            raise ValueError(
                f"{self.environment}: open in {len(opened)} simulators of one model; "
                "a pickle cannot distinguish their environments, so close all but one "
                "of them before you pickle it"
            )
        for gym_env in opened:
            _refuse_incomplete_pickle(gym_env)
        unpickled = opened[0] if opened else None
        return {**vars(self), "_opened": {}, "_unpickled": unpickled}


def _refuse_incomplete_pickle(gym_env):
    """Raise if the pickle of an environment or its wrappers lacks the state."""
    from gymnasium.utils import EzPickle

    part = gym_env
    while part is not None:
        kind: Any = type(part)
        if issubclass(kind, EzPickle) and kind.__getstate__ is EzPickle.__getstate__:
            raise TypeError(
                f"{name_of(gym_env)}: cannot be pickled with its state, because the "
                f"pickle of {kind.__name__} contains only its arguments; save a "
                "checkpoint at the start of an episode instead"
            )
        part = getattr(part, "env", None)
