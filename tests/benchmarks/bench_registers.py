"""What decoding costs, per reading, beside the floor: one `struct.unpack` of the same bytes.

    python tests/benchmarks/bench_registers.py

Not a test: figures. Each line is the best of several runs, so that another program's work shows least.
"""

from __future__ import annotations

import struct
import timeit
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

from agent.sample import Value
from drivers.modbus.codec import Codec
from drivers.modbus.plan import BlockLimits, plan
from drivers.modbus.registers import Order, Table, Type

POINTS = 50
ROUNDS = 2_000
REPEATS = 7


def microseconds(work: Callable[[], object]) -> float:
    """Best time of one call, divided by the number of readings in it."""
    return min(timeit.repeat(work, number=ROUNDS, repeat=REPEATS)) / ROUNDS / POINTS * 1e6


def codecs(**settings: Any) -> list[Codec]:
    """Points side by side, alike but for their address."""
    shared = {"table": Table.INPUT} | settings
    return [Codec(**shared, address=at * settings["type"].size) for at in range(POINTS)]


CASES: dict[str, dict[str, Any]] = {
    "float32": {"type": Type.FLOAT32},
    "float32, low word first": {"type": Type.FLOAT32, "order": Order.CDAB},
    "float32 * 0.001": {"type": Type.FLOAT32, "scale": Fraction("0.001")},
    "int16": {"type": Type.INT16},
    "int16 * 0.1": {"type": Type.INT16, "scale": Fraction("0.1")},
    "int16 * 0.1, sentinel": {
        "type": Type.INT16,
        "scale": Fraction("0.1"),
        "sentinels": (Fraction(0x8000),),
    },
    "uint64 * 0.01 (decimal)": {"type": Type.UINT64, "scale": Fraction("0.01")},
    "bool, coils": {"type": Type.BOOL, "table": Table.COIL},
}


def main() -> None:
    """Print the table."""
    print(f"{POINTS} points in a block            us/reading   x floor")  # its output
    for name, settings in CASES.items():
        made = codecs(**settings)
        codec_type = made[0].type
        (block,) = plan(made, BlockLimits(registers=POINTS * codec_type.size))
        payload = b"\x3f\x80" * ((block.size + 1) // 2)
        payload = payload[: block.size]
        bare = struct.Struct(f">{block.size}B" if block.table.bits else f">{POINTS}{codec_type.code}").unpack
        values: list[Value | None] = [None] * POINTS
        reasons = bytearray(POINTS)
        floor = microseconds(partial(bare, payload))
        cost = microseconds(partial(block.decode, payload, values, reasons))
        print(f"{name:34} {cost:9.3f} {cost / floor:9.1f}")  # its output


if __name__ == "__main__":
    main()
