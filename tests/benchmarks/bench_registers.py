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
from drivers.modbus.values.codec import Codec, Field, Meaning
from drivers.modbus.values.flag import Flag
from drivers.modbus.values.number import Bits, Number
from drivers.modbus.values.plan import BlockLimits, plan
from drivers.modbus.values.registers import Order, Table, Type
from drivers.modbus.values.scaled import Scaled
from drivers.modbus.values.text import Text
from drivers.modbus.values.total import Total

POINTS = 50
ROUNDS = 2_000
REPEATS = 7


def microseconds(work: Callable[[], object]) -> float:
    """Best time of one call, divided by the number of readings in it."""
    return min(timeit.repeat(work, number=ROUNDS, repeat=REPEATS)) / ROUNDS / POINTS * 1e6


def codecs(meaning: Meaning, table: Table = Table.INPUT, order: Order = Order.ABCD) -> list[Codec]:
    """Points side by side, alike but for their address; a scale factor stands behind them all."""
    wide = Field.of(0, meaning.codes[0]).end
    if isinstance(meaning, Scaled):
        places = [(at * wide, POINTS * wide) for at in range(POINTS)]
    else:
        places = [tuple(at * wide + part for part in range(len(meaning.codes))) for at in range(POINTS)]
    return [Codec(table=table, addresses=place, order=order, meaning=meaning) for place in places]


def number(type_: Type, scale: str = "1", **settings: Any) -> Number:
    """A number of this type."""
    return Number(type=type_, scale=Fraction(scale), **settings)


CASES: dict[str, list[Codec]] = {
    "float32": codecs(number(Type.FLOAT32)),
    "float32, low word first": codecs(number(Type.FLOAT32), order=Order.CDAB),
    "float32 * 0.001": codecs(number(Type.FLOAT32, "0.001")),
    "int16": codecs(number(Type.INT16)),
    "int16 * 0.1": codecs(number(Type.INT16, "0.1")),
    "int16 * 0.1, sentinel": codecs(number(Type.INT16, "0.1", sentinels=(Fraction(0x8000),))),
    "uint64 * 0.01 (decimal)": codecs(number(Type.UINT64, "0.01")),
    "bits 4-7": codecs(number(Type.UINT16, bits=Bits(4, 7))),
    "bcd16": codecs(number(Type.BCD16)),
    "int16, scale factor": codecs(Scaled(number=number(Type.INT16))),
    "uint16 * 1000 + uint16": codecs(Total(first=number(Type.UINT16, "1000"), scales=(Fraction(1),))),
    "string of 2 registers": codecs(Text(length=2)),
    "bool, bits of registers": codecs(Flag(3)),
    "bool, coils": codecs(Flag(), Table.COIL),
}


def main() -> None:
    """Print the table."""
    print(f"{POINTS} points in a block            us/reading   x floor")  # its output
    for name, made in CASES.items():
        (block,) = plan(made, BlockLimits(registers=POINTS * 4))
        payload = (b"AB" * block.size)[: block.size]
        bare = (
            [struct.Struct(f">{block.size}B").unpack]
            if block.table.bits
            else [_.unpack for _ in block.layers]
        )
        values: list[Value | None] = [None] * POINTS
        reasons = bytearray(POINTS)
        floor = microseconds(lambda bare=bare, payload=payload: [unpack(payload) for unpack in bare])
        cost = microseconds(partial(block.decode, payload, values, reasons))
        print(f"{name:34} {cost:9.3f} {cost / floor:9.1f}")  # its output


if __name__ == "__main__":
    main()
