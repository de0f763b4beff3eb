"""Durable store and forward.

store.py        the one connection to SQLite, in the one thread      schema, rows, shapes, census
book.py         numbers, needs and counts: decides, waits for nothing   outstanding, interest, ranges, window
buffer.py       the order of things: commits, failures, the way back    thread, folder
lanes.py        what a forwarder sees
"""

from agent.buffer.buffer import Buffer, open_buffer
from agent.buffer.lanes import Lanes
from agent.buffer.ledger import Ledger, UplinkLedger
from agent.buffer.settings import BufferSettings

__all__ = ["Buffer", "BufferSettings", "Lanes", "Ledger", "UplinkLedger", "open_buffer"]
