"""Files are whole or not there."""

import os
import stat

import pytest

from nengo_epes.files import check_writable, make_folder, write_atomically


def test_what_stood_there_stays_until_the_new_is_whole(tmp_path):
    """A writer that fails half-way leaves the old file, and nothing else."""
    path = tmp_path / "table.json"
    path.write_text("old")

    def fails(temporary):
        temporary.write_text("ne")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_atomically(path, fails)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]

    write_atomically(path, lambda temporary: temporary.write_text("new"))
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_symbolic_link_stays(tmp_path):
    """What a link leads to is written, and it goes on leading there."""
    target, link = tmp_path / "far" / "table.json", tmp_path / "table.json"
    target.parent.mkdir()
    link.symlink_to(target)
    write_atomically(link, lambda temporary: temporary.write_text("new"))
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_mode_is_that_of_any_new_file(tmp_path):
    """The file can be read by whoever the umask allows."""
    path = tmp_path / "a.txt"
    old = os.umask(0o022)
    try:
        write_atomically(path, lambda temporary: temporary.write_text("x"))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_bad_places(tmp_path):
    """A folder that is not there, or a folder instead of a file, is refused."""
    with pytest.raises(FileNotFoundError, match="no folder"):
        check_writable(tmp_path / "none" / "a.txt")
    with pytest.raises(IsADirectoryError, match="name a file in it"):
        check_writable(tmp_path)


def test_folder_in_the_place_of_a_file(tmp_path):
    """A folder is made with those above it; where there is a file, it says so."""
    folder = tmp_path / "a" / "b"
    assert make_folder(folder) == folder == make_folder(folder)
    (folder / "c").write_text("x")
    for taken in (folder / "c", folder / "c" / "d"):
        with pytest.raises(OSError, match=f"no folder {taken} can be made: .*another"):
            make_folder(taken)
