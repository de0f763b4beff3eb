"""The book, where only the order of two things makes the difference."""

from __future__ import annotations

import pytest

from agent.buffer import schema
from agent.buffer.book import Book
from agent.buffer.change import Damaged, Snapshot, Stub
from tests.emulators.storing import a_sample, a_shape, an_uplink


def a_book() -> Book:
    """A book of a new file with one uplink."""
    return Book(Snapshot({}, {}, []), [an_uplink()], "b" * 32)


def test_a_damaged_row_that_is_met_again_before_it_is_deleted_is_dropped_once():
    """Another transaction may end between finding the damage and deleting the row."""
    book = a_book()
    (row,) = book.place([a_sample(a_shape())], 3)
    book.written(book.change([row], schema.END), ())
    pending = book.change((), schema.END)
    stub = Stub(row.place, 3, row.sample.shape, row.boot, 0)
    book.damaged(stub)
    book.written(pending, ())
    book.damaged(stub)
    assert book.uplinks["city"].counts.dropped == {"damaged": 3}
    book.written(book.change((), schema.END), ())
    assert not book.doomed


def test_a_file_with_as_many_stores_as_there_can_be_begins_no_other():
    """Places have room for 2**15 stores; the file is set aside rather than have a number mean two readings."""
    book = a_book()
    book.stores[schema.STORES - 2] = "x"
    book.begin_store()
    with pytest.raises(Damaged):
        book.begin_store()
