"""The buffer's folder: the reserve is really there, and what is set aside stays within bounds."""

from __future__ import annotations

import os

from agent.buffer.folder import RESERVE, Folder


def test_the_reserve_takes_real_room(tmp_path):
    """Blocks are allocated, not only promised: a sparse file would give nothing back on a full disk."""
    folder = Folder(tmp_path / "b", 2**20)
    folder.make()
    folder.keep_reserve()
    found = (tmp_path / "b" / "reserve").stat()
    assert found.st_size == RESERVE
    assert found.st_blocks * 512 >= RESERVE
    assert folder.give_up_reserve()
    assert not folder.give_up_reserve()


def test_a_reserve_that_was_only_begun_is_made_whole(tmp_path):
    """A crash between making the file and filling it leaves no reserve that is none."""
    folder = Folder(tmp_path, 2**20)
    (tmp_path / "reserve").touch()
    folder.keep_reserve()
    assert (tmp_path / "reserve").stat().st_size == RESERVE


def test_a_store_is_set_aside_with_its_log(tmp_path):
    """The log holds commits that are not in the file yet: it keeps the file's name."""
    folder = Folder(tmp_path, 2**20)
    folder.store.write_bytes(b"store")
    (tmp_path / "buffer.sqlite-wal").write_bytes(b"log")
    aside = folder.set_aside()
    assert aside.read_bytes() == b"store"
    assert aside.with_name(aside.name + "-wal").read_bytes() == b"log"
    assert not folder.store.exists()
    assert folder.set_aside() is None


def test_what_is_set_aside_takes_no_more_than_the_store_may(tmp_path):
    """The newest is kept whatever its size; older ones go when all together are too much."""
    folder = Folder(tmp_path, 1000)
    for turn in range(3):
        folder.store.write_bytes(bytes(600))
        aside = folder.set_aside()
        os.utime(aside, (turn, turn))
    assert [path for path in tmp_path.iterdir() if path.name.startswith("set-aside")] == [aside]


def test_the_folder_is_not_for_everybody(tmp_path):
    """Readings tell when people are at home."""
    folder = Folder(tmp_path / "b", 1000)
    folder.make()
    assert not (tmp_path / "b").stat().st_mode & 0o007
