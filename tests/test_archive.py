"""Archives of arrays: round trips, and refusal of damaged or foreign files."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes
from numpy.testing import assert_array_equal

from nengo_epes import archive

KIND = "a kind"
HEADER = {"seed": 1, "name": "Köln/“x”", "none": None, "list": [1.5, True, {"a": []}]}
ARRAYS = {
    "weights / ä": np.arange(6.0).reshape(2, 3),
    "empty": np.zeros((0, 4), np.float32),
    "scalar": np.array(7),
    "flags": np.array([True, False]),
}

numbers = (
    scalar_dtypes()
    .filter(lambda dtype: dtype.kind in "biuf")
    .flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0, max_side=3))
    )
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.dictionaries(st.text(max_size=5), numbers, max_size=3))
def test_round_trip(tmp_path, given_arrays):
    """Arrays of any values, byte order, shape and name are read bit for bit as they
    were written, in the same order, with the header."""
    path = tmp_path / "file"
    archive.write(path, KIND, HEADER, given_arrays)
    header, found = archive.read(path, KIND)
    assert header == HEADER
    assert list(found) == list(given_arrays)
    for name, array in given_arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_the_file_has_no_pickles_and_is_npz(tmp_path):
    """numpy reads each member without pickles, and the header is JSON."""
    path = tmp_path / "file.npz"
    archive.write(path, KIND, HEADER, ARRAYS)
    with np.load(path, allow_pickle=False) as file:
        members = {name: file[name] for name in file.files}
    text = json.loads(members.pop("header").tobytes())
    assert text["header"] == HEADER
    assert text["names"] == list(ARRAYS)
    assert members.pop("sha256").size == 32
    for array, expected in zip(members.values(), ARRAYS.values(), strict=True):
        assert_array_equal(array, expected)


def test_each_changed_byte_is_noticed(tmp_path):
    """With one byte changed (every third byte is tried), the file is refused by name,
    or reads as before if the byte has no meaning."""
    path = tmp_path / "file.npz"
    archive.write(path, KIND, {"seed": 1}, {"w": np.arange(3.0)})
    content, refused = path.read_bytes(), 0
    start = content.index(np.arange(3.0).tobytes())
    for where in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[where] ^= 0x41
        path.write_bytes(flipped)
        try:
            header, found = archive.read(path, KIND)
        except ValueError as error:
            refused += 1
            assert str(error).startswith(f"{path}: not an intact file of the kind")
            assert str(error).endswith("write it again")
        else:
            assert not start <= where < start + 24
            assert header == {"seed": 1}
            assert_array_equal(found["w"], np.arange(3.0))
    assert refused > 0.6 * len(content) / 3


def test_each_cut_is_noticed(tmp_path):
    """A truncated or empty file is refused by name."""
    path = tmp_path / "file.npz"
    archive.write(path, KIND, HEADER, ARRAYS)
    content = path.read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"file.npz: not an intact file"):
            archive.read(path, KIND)


def test_another_kind_or_version(tmp_path, monkeypatch):
    """The message names the kind and version that were found and expected."""
    path = tmp_path / "file.npz"
    archive.write(path, KIND, HEADER, ARRAYS)
    with pytest.raises(ValueError, match=r"kind b, version 1 \(got .*a kind, version"):
        archive.read(path, "b")
    monkeypatch.setattr(archive, "VERSION", 2)
    with pytest.raises(ValueError, match=r"version 2 \(got .*a kind, version 1"):
        archive.read(path, KIND)


class Evil:
    """Object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickles_are_never_loaded(tmp_path):
    """A member that is a pickle, or an array of objects, is refused without being
    executed."""
    path, trap = tmp_path / "file.npz", tmp_path / "trap"
    archive.write(path, KIND, HEADER, {"w": np.ones(2)})
    pickled = io.BytesIO()
    objects = np.array([Evil(trap)], dtype=object)
    np.lib.format.write_array(pickled, objects, allow_pickle=True)
    for evil in (pickled.getvalue(), pickle.dumps(Evil(trap))):
        with zipfile.ZipFile(path) as good:
            members = {name: good.read(name) for name in good.namelist()}
        members["array0.npy"] = evil
        with zipfile.ZipFile(tmp_path / "evil.npz", "w") as file:
            for name, content in members.items():
                file.writestr(name, content)
        with pytest.raises(ValueError, match=r"evil.npz: not an intact file"):
            archive.read(tmp_path / "evil.npz", KIND)
        path.write_bytes(evil)
        with pytest.raises(ValueError, match=r"file.npz: not an intact file"):
            archive.read(path, KIND)
        archive.write(path, KIND, HEADER, {"w": np.ones(2)})
        assert not trap.exists()


@pytest.mark.parametrize(
    ("header", "given_arrays", "error"),
    [
        ({"x": float("nan")}, {}, ValueError),
        ({"x": object()}, {}, TypeError),
        ({}, {"w": np.array([None])}, ValueError),
        ({}, {"w": np.array(["text"])}, ValueError),
        ({}, {"w": np.array([1j])}, ValueError),
    ],
    ids=["NaN", "object", "array of objects", "array of text", "complex"],
)
def test_what_cannot_be_read_is_not_written(header, given_arrays, error, tmp_path):
    """`write` does not replace a good file by one that `read` would refuse."""
    path = tmp_path / "file.npz"
    archive.write(path, KIND, HEADER, ARRAYS)
    content = path.read_bytes()
    with pytest.raises(error):
        archive.write(path, KIND, header, given_arrays)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["file.npz"]


def test_no_file(tmp_path):
    """A missing file and a missing folder raise FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        archive.read(tmp_path / "none", KIND)
    with pytest.raises(OSError):
        archive.write(tmp_path / "none" / "file", KIND, {}, {})
