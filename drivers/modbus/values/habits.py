"""What people write for a table, a type or an order, from other tools and from manuals, and which of ours it may mean.

Pure. Each gives the end of a message, or nothing where it knows none; spelling mistakes are found without it.
"""

from __future__ import annotations

from typing import Final

from drivers.modbus.values.registers import Order, Table

_TYPES: Final = {
    "float": "float32", "real": "float32", "single": "float32", "double": "float64", "lreal": "float64",
    "int": "int16 or int32", "integer": "int16 or int32", "signed": "int16 or int32", "uint": "uint16 or uint32",
    "unsigned": "uint16 or uint32", "short": "int16", "word": "uint16", "dint": "int32", "dword": "uint32",
    "u16": "uint16", "s16": "int16", "i16": "int16", "u32": "uint32", "s32": "int32", "i32": "int32",
    "u64": "uint64", "s64": "int64", "i64": "int64", "f32": "float32", "f64": "float64",
    "text": "string", "ascii": "string", "bit": "bool", "boolean": "bool",
}  # fmt: skip
_ORDERS: Final = {"ABDC": Order.ABCD, "BIG": Order.ABCD, "LITTLE": Order.DCBA}


def table(text: str) -> str:
    """Of a table that is named by the function that reads it."""
    by_function = {str(each.function): each.value for each in Table}
    if text.lstrip("0") not in by_function:
        return ""
    others = ", ".join(f"{code} {name}" for code, name in sorted(by_function.items()))
    return f": did you mean {by_function[text.lstrip('0')]}, which function {text} reads? ({others})"


def register_type(text: str) -> str:
    """Of a type in the words of C, or of IEC 61131-3."""
    known = _TYPES.get(text.casefold())
    return f": did you mean {known}?" if known else ""


def order(text: str) -> str:
    """Of an order that no device has, or in words."""
    known = _ORDERS.get(text.upper())
    return f": did you mean {known.value}?" if known else ""
