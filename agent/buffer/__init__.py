"""Durable store and forward: the one place that knows SQLite.

    Buffer      what collector, forwarders and people see       Lanes, Bounds, Ledger
    Storage     where rows are kept, also while the disk fails  Stores, Counting, Disk, Folder
    Book        numbers, needs and counts; decides, and waits   Outstanding, Interest, RangeSet, Window,
                for nothing                                     state
    Store       one SQLite file, used by one Thread             schema, rows, shapes, Census, change

From above to below: what is to be written is decided in the event loop, as a `Change`; the thread writes it in one
transaction; then the book takes note. A row's *place* is the number of its store in the file, and its own number.
"""

from agent.buffer.buffer import Buffer, open_buffer
from agent.buffer.lanes import Lanes
from agent.buffer.ledger import Ledger, UplinkLedger
from agent.buffer.settings import BufferSettings

__all__ = ["Buffer", "BufferSettings", "Lanes", "Ledger", "UplinkLedger", "open_buffer"]
