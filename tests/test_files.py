"""Files are written atomically."""

import errno
import os
import re
import signal
import socket
import stat
import subprocess
import sys

import pytest

from nengo_epes.files import check_writable, make_folder, write_atomically


def test_what_stood_there_stays_until_the_new_is_whole(tmp_path):
    """A write that fails half-way keeps the old file and leaves no other."""
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
    """A write through a symbolic link changes its target; the link remains."""
    target, link = tmp_path / "far" / "table.json", tmp_path / "table.json"
    target.parent.mkdir()
    link.symlink_to(target)
    write_atomically(link, lambda temporary: temporary.write_text("new"))
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_mode_is_that_of_any_new_file(tmp_path):
    """The mode of a new file follows the umask."""
    path = tmp_path / "a.txt"
    old = os.umask(0o022)
    try:
        write_atomically(path, lambda temporary: temporary.write_text("x"))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_bad_places(tmp_path):
    """A missing folder, and a folder in place of a file, are refused."""
    with pytest.raises(FileNotFoundError, match="no folder"):
        check_writable(tmp_path / "none" / "a.txt")
    with pytest.raises(IsADirectoryError, match="name a file in it"):
        check_writable(tmp_path)


def test_folder_in_the_place_of_a_file(tmp_path):
    """A folder is made with its parents; a file in its place is refused."""
    folder = tmp_path / "a" / "b"
    assert make_folder(folder) == folder == make_folder(folder)
    (folder / "c").write_text("x")
    for taken in (folder / "c", folder / "c" / "d"):
        with pytest.raises(OSError, match=f"{taken}: cannot make .*another"):
            make_folder(taken)


WRITER = """
import sys, time
from nengo_epes.files import write_atomically

def write(temporary):
    temporary.write_text("incomplete")
    print(temporary.name, flush=True)
    time.sleep(600)

write_atomically(sys.argv[1], write)
"""


def start_writer(path):
    """Start a process that is in the middle of a write; return the process and its
    file."""
    command = [sys.executable, "-c", WRITER, str(path)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return writer, path.with_name(writer.stdout.readline().strip())


def stop(writer):
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()


def test_temporary_files_of_killed_processes(tmp_path):
    """The next write of a file removes the temporary file of a killed process, but no
    file that a process is writing, and no temporary file of another target."""
    path = tmp_path / "model.npz"
    path.write_text("old")
    writer, in_use = start_writer(path)
    elsewhere, of_another_file = start_writer(tmp_path / "model.2.npz")
    stop(elsewhere)
    killed, abandoned = start_writer(path)
    stop(killed)
    similar = [tmp_path / ".model.npz", tmp_path / ".model.tmp.npz"]
    host = socket.gethostname()
    similar.append(tmp_path / f".model.another-host-{killed.pid}-ab.tmp.npz")
    similar.append(tmp_path / f".model.{host}-{killed.pid}-ab.tmp.csv")
    similar.append(tmp_path / f".model.{host}-1{'0' * 30}-ab.tmp.npz")  # no process
    for other in similar:
        other.write_text("of the user")
    try:
        expected = {path, in_use, of_another_file, *similar}
        assert set(tmp_path.iterdir()) == {abandoned, *expected}
        write_atomically(path, lambda temporary: temporary.write_text("new"))
        assert path.read_text() == "new"
        assert set(tmp_path.iterdir()) == expected
    finally:
        stop(writer)
    write_atomically(path, lambda temporary: temporary.write_text("newer"))
    assert set(tmp_path.iterdir()) == {path, of_another_file, *similar}


def test_temporary_file_of_an_earlier_process_of_the_same_number(tmp_path):
    """A leftover of an earlier process with the same id, as in a container, is
    removed."""
    path = tmp_path / "a.txt"

    def nested(temporary):
        # written by this process at the same time, such as by another thread
        write_atomically(path, lambda other: other.write_text("first"))
        assert path.read_text() == "first"
        temporary.write_text("second")

    name = f".a.{socket.gethostname()}-{os.getpid()}-0123abcd.tmp.txt"
    (tmp_path / name).write_text("incomplete")
    write_atomically(path, nested)
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("length", [1, 250, 251])
def test_long_names(length, tmp_path):
    """A file name may have the maximum length of the file system."""
    path = tmp_path / ("n" * length + ".txt")
    write_atomically(path, lambda temporary: temporary.write_text("new"))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, None])
def test_full_disk_names_the_file(number, tmp_path, monkeypatch):
    """An OSError of a write without a file name gets the name of the file, not of the
    temporary file; errors of the caller's own files are unchanged."""
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(handle):
        raise OSError(number, os.strerror(number)) if number else OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=re.escape(str(path))) as caught:
            write_atomically(path, lambda temporary: temporary.write_text("new"))
    assert caught.value.errno == number
    assert (os.strerror(number) if number else "full") in str(caught.value)
    assert ".tmp" not in str(caught.value)
    with pytest.raises(IsADirectoryError, match=re.escape(f"'{tmp_path}'")):
        write_atomically(path, lambda temporary: tmp_path.open("w"))
    with pytest.raises(FileNotFoundError, match=re.escape(f"'{path}'")):
        write_atomically(path, lambda temporary: temporary.open())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
