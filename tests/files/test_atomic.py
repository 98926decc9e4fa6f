from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from foveate.errors import UserError
from foveate.files.atomic import atomic_path
from foveate.files.locks import working_in


def write_half(target: Path, failure: BaseException) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        raise failure


def test_the_file_appears_whole_with_its_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "answers.txt"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "answers.txt"
    target.write_text("old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("failure", [RuntimeError("bug"), KeyboardInterrupt()])
def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path: Path, failure: BaseException) -> None:
    target = tmp_path / "answers.txt"
    target.write_text("old")
    with pytest.raises(type(failure)):
        write_half(target, failure)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOSPC, "free space or choose another folder"),
        (errno.EDQUOT, "free space or choose another folder"),
        (errno.EACCES, "choose a path that you may write to"),
        (errno.EROFS, "choose a path that you may write to"),
    ],
)
def test_system_errors_say_what_to_do(tmp_path: Path, number: int, mend: str) -> None:
    target = tmp_path / "answers.txt"
    target.write_text("old")
    with pytest.raises(UserError, match=mend) as caught:
        write_half(target, OSError(number, "as the system says it"))
    assert str(target) in str(caught.value)
    assert "untouched" in str(caught.value)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_write_that_the_system_cuts_short_leaves_the_old_file(tmp_path: Path) -> None:
    import resource

    target = tmp_path / "answers.bin"
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        with pytest.raises(UserError, match="free space"), atomic_path(target) as temporary:
            temporary.write_bytes(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_target_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="choose a path"), atomic_path(tmp_path / "folder") as temporary:
        temporary.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """As root one could: /dev/full would become a file."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="choose a path"), atomic_path(tmp_path / "pipe"):
        pytest.fail("nothing is written")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a place that takes no files")
@pytest.mark.parametrize("name", ["x.csv", "folder/x.csv"])
def test_a_place_that_takes_no_files_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"cannot write /proc/.*; choose a path"), atomic_path(Path("/proc") / name):
        pytest.fail("nothing is written")
    with pytest.raises(UserError, match=r"cannot write into /proc/.*; choose a path"):
        working_in(Path("/proc") / name, lambda: False).__enter__()


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(UserError, match="choose a path"), atomic_path(tmp_path / "file" / "x.txt"):
        pass
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_no_file_comes_in_the_place_of_a_pipe_or_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with (
        pytest.raises(UserError, match="it is a folder, a pipe or a device"),
        atomic_path(tmp_path / "pipe.csv") as path,
    ):
        path.write_text("new")
    assert (tmp_path / "pipe.csv").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe.csv"]


def test_a_folder_below_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match="choose a path"), atomic_path(tmp_path / "loop" / "below" / "x.txt"):
        pass


def test_errors_about_other_files_pass_unchanged(tmp_path: Path) -> None:
    other = tmp_path.parent / "photograph.jpg"
    with pytest.raises(PermissionError), atomic_path(tmp_path / "answers.txt"):
        raise PermissionError(errno.EACCES, "Permission denied", str(other))


def test_a_block_that_writes_nothing_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "answers.txt"):
        pass
