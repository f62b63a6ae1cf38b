"""Files that are complete or absent."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

PathLike = str | os.PathLike[str]

_HOST = socket.gethostname()
_writing: set[Path] = set()  # temporary files of this process


def check_writable(path: PathLike) -> Path:
    """Refuse a path that cannot be written, before any work for it starts.

    Parameters
    ----------
    path : path
        File that will be written.

    Returns
    -------
    Path
        Absolute path.

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


def make_folder(path: PathLike) -> Path:
    """Make a folder and its missing parents.

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
            f"{path}: cannot make this folder: {why}; name another folder"
        ) from error
    return path


def write_atomically(path: PathLike, write: Callable[[Path], object]) -> None:
    """Write a file next to its place, and move it there when it is complete.

    A process that is killed while it writes leaves a temporary file
    ``.NAME.HOST-PID-RANDOM.tmp.SUFFIX`` next to the file. The next write of the same
    file removes it, unless the process still runs.

    Parameters
    ----------
    path : path
        File to write. An existing file stays until the new file is complete. A symbolic
        link stays, and the file that it leads to is written.
    write : callable
        ``write(temporary)`` writes the file; the temporary path has the same suffix.

    Raises
    ------
    OSError
        If the file cannot be written, because the disk is full for example; the error
        names the file, and an existing file stays as it was.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from nengo_epes.files import write_atomically
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "note.txt")
    ...     write_atomically(path, lambda temporary: temporary.write_text("complete"))
    ...     print(path.read_text())
    complete
    """
    path = check_writable(os.path.realpath(path))
    # long names would become too long
    beginning, end = f".{path.stem[:100]}.{_HOST}-", f".tmp{path.suffix}"
    _remove_abandoned(path.parent, beginning, end)
    owner = f"{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f"{beginning}{owner}{end}")
    _writing.add(temporary)
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # or the machine may stop with an empty file
        os.replace(temporary, path)
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"{reason}; cannot write", str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
        _writing.discard(temporary)


def _remove_abandoned(folder: Path, beginning: str, end: str) -> None:
    """Remove temporary files of processes that were killed."""
    pattern = re.compile(rf"{re.escape(beginning)}(\d+)-[0-9a-f]+{re.escape(end)}")
    with contextlib.suppress(OSError):  # the files only take space
        for other in folder.iterdir():
            match = pattern.fullmatch(other.name)
            if match and other not in _writing and not _is_running(int(match[1])):
                other.unlink()


def _is_running(pid: int) -> bool:
    """Return whether another process of this machine runs."""
    if pid == os.getpid():  # the file is of an earlier process with this number
        return False
    if os.name == "nt":  # signal 0 would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
