"""The file of a checkpoint: a line with its version and checksum, then an npz."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nengo_epes.files import write_atomically

NAME, VERSION = "nengo_epes-checkpoint", "1"

Array = npt.NDArray[Any]
PathLike = str | os.PathLike[str]


class CheckpointError(ValueError):
    """A checkpoint cannot be made, or does not fit; nothing has been changed.

    Parameters
    ----------
    reason : str
        Why.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


def write(path: PathLike, header: dict[str, Any], arrays: list[Array]) -> None:
    """Write a checkpoint; what stood there stays until the new one is whole.

    Parameters
    ----------
    path : path
        The file.
    header : dict
        What JSON can hold, and arrays of integers.
    arrays : list of array
        The rest.
    """
    text = json.dumps(header, default=_encode).encode()
    buffer = io.BytesIO()
    named: dict[str, Any] = {f"array{n}": array for n, array in enumerate(arrays)}
    np.savez(buffer, header=np.frombuffer(text, np.uint8), **named)
    content = buffer.getbuffer()
    first = f"{NAME} {VERSION} {hashlib.sha256(content).hexdigest()}\n"

    def write_parts(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(first.encode())
            file.write(content)

    write_atomically(path, write_parts)


def read(path: PathLike) -> tuple[dict[str, Any], list[Array]]:
    """Return header and arrays of a checkpoint, once its checksum has been found right.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    header : dict
    arrays : list of array

    Raises
    ------
    CheckpointError
        If it is none, is of another version, or is damaged.
    """
    first, _, content = Path(path).read_bytes().partition(b"\n")
    words = [*first.decode(errors="replace").split(" "), "", ""]
    name, version, checksum = words[:3]
    if name != NAME:
        raise CheckpointError(f"{path} is no checkpoint, or its beginning is damaged")
    if version != VERSION:
        raise CheckpointError(
            f"{path} is a checkpoint of version {version!r}, and this nengo_epes reads "
            f"version {VERSION}; use the nengo_epes that wrote it"
        )
    if checksum != hashlib.sha256(content).hexdigest():
        raise CheckpointError(
            f"{path} is damaged or incomplete: its checksum is not that of its content"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        header = json.loads(file["header"].tobytes(), object_hook=_decode)
        return header, [file[f"array{n}"] for n in range(len(file.files) - 1)]


def _encode(value: object) -> dict[str, Any]:
    # the states of generators have integers that need all of their bits
    if isinstance(value, np.ndarray):
        return {"array of": str(value.dtype), "integers": value.tolist()}
    raise TypeError(f"a note can be what JSON can hold, and not {value!r}")


def _decode(found: dict[str, Any]) -> dict[str, Any] | Array:
    if found.keys() == {"array of", "integers"}:
        return np.array(found["integers"], found["array of"])
    return found
