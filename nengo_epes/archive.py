"""Files of arrays with a JSON header and a checksum; reading one never runs code."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nengo_epes.files import PathLike, write_atomically

__all__ = ["read", "write"]

Arrays = dict[str, npt.NDArray[Any]]

VERSION = 1
NUMBERS = "biuf"  # numpy's kinds of arrays


def write(path: PathLike, kind: str, header: dict[str, Any], arrays: Arrays) -> None:
    """Write an .npz of arrays, a JSON header and a SHA-256 of both.

    Parameters
    ----------
    path : str or os.PathLike[str]
        File to write, under exactly this name. An existing file is replaced once the
        new file is complete.
    kind : str
        Kind of the file, which `read` compares.
    header : dict
        Data that JSON can store.
    arrays : dict of str to ndarray
        Arrays of real numbers.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If an array is not of real numbers, or a number in the header is not finite.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "a.npz"
    ...     write(path, "example", {"seed": 1}, {"weights": np.ones(2)})
    ...     read(path, "example")
    ({'seed': 1}, {'weights': array([1., 1.])})
    """
    text = json.dumps(
        {
            "kind": kind,
            "version": VERSION,
            "names": list(arrays),
            "header": header,
        },
        allow_nan=False,
    ).encode()
    members = {f"array{i}": np.asarray(x) for i, x in enumerate(arrays.values())}
    for name, array in zip(arrays, members.values(), strict=True):
        if array.dtype.kind not in NUMBERS:
            raise ValueError(
                f"{path}: {name} is not an array of real numbers (got {array.dtype}); "
                "convert it, or put it into the header"
            )
    sha256 = _digest(text, list(members.values()))
    members["header"] = np.frombuffer(text, np.uint8)
    members["sha256"] = np.frombuffer(sha256, np.uint8)

    def write_npz(temporary: Path) -> None:
        # as numpy.savez, whose allow_pickle exists only since numpy 2.1
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, array in members.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)

    write_atomically(path, write_npz)


def read(path: PathLike, kind: str) -> tuple[dict[str, Any], Arrays]:
    """Read a file that `write` wrote.

    Parameters
    ----------
    path : str or os.PathLike[str]
        The file.
    kind : str
        Kind of the file.

    Returns
    -------
    header : dict
        The header.
    arrays : dict of str to ndarray
        The arrays.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If the file is of another kind or version, or is damaged.

    Examples
    --------
    See `write`.
    """
    content = Path(path).read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            text = file["header"].tobytes()
            data = json.loads(text)
            found = f"{data['kind']}, version {data['version']}"
            if (data["kind"], data["version"]) != (kind, VERSION):
                raise ValueError(found)
            arrays = [file[f"array{i}"] for i in range(len(data["names"]))]
            if file["sha256"].tobytes() != _digest(text, arrays):
                raise ValueError("wrong checksum")
        if any(array.dtype.kind not in NUMBERS for array in arrays):
            raise ValueError("an array that is not of numbers")
        return data["header"], dict(zip(data["names"], arrays, strict=True))
    except Exception as error:  # damage makes zipfile, numpy and json raise many kinds
        raise ValueError(
            f"{path}: not an intact file of the kind {kind}, version {VERSION} (got "
            f"{type(error).__name__}: {error}); write it again"
        ) from error


def _digest(text: bytes, arrays: list[npt.NDArray[Any]]) -> bytes:
    digest = hashlib.sha256(text)
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()
