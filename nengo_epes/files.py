"""Writing files so that a reader never finds half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Refuse a path that cannot be written, before the work for it begins.

    Parameters
    ----------
    path : path
        The file to be written.

    Returns
    -------
    Path
        The same, absolute.

    Raises
    ------
    FileNotFoundError
        If its folder does not exist.
    IsADirectoryError
        If it is itself a folder.
    PermissionError
        If its folder cannot be written to.
    """
    path = Path(path).absolute()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"no permission to write to {path.parent}")
    return path


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder, and those above it, where they are not there.

    Parameters
    ----------
    path : path
        The folder.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    OSError
        If it cannot be made, because a file is in the way, for example.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "there is a file" if path.is_file() else error.strerror
        raise type(error)(
            f"no folder {path} can be made: {why}; name another one"
        ) from error
    return path


def write_atomically(
    path: str | os.PathLike[str], write: Callable[[Path], object]
) -> None:
    """Write a file beside its place and move it there when it is whole.

    Parameters
    ----------
    path : path
        The file to be written; what stood there stays until the new one is whole. Where
        it is a symbolic link, what it leads to.
    write : callable
        ``write(temporary)`` writes the file; the temporary path has the same suffix.
    """
    path = check_writable(os.path.realpath(path))
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        # mkstemp makes files private; give the mode that open() would have given
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
