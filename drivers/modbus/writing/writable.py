"""What of a Modbus device can be written, how the settings of its point narrow what its profile allows, and by which function.

Pure. A profile may say what is known about writing a point (range, step, how often); that makes no device writable.
Only the configuration of the device itself does, by naming the point, and it may allow less than the profile, never more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Annotated, Literal

from msgspec import Meta
from msgspec.structs import replace

from agent.fields import duration_text
from agent.points import WriteSettings
from agent.sample import Reason, Value, ValueType
from drivers.modbus.values.codec import Codec
from drivers.modbus.values.number import Number
from drivers.modbus.values.registers import Table


class RegisterWrite(WriteSettings, frozen=True, kw_only=True):
    """What may be written to a point of a Modbus device; what is left out is not limited."""

    function: Annotated[
        Literal[5, 6, 15, 16, 22] | None,
        Meta(
            description="Which function writes it; if left out 5 for a coil, 6 for a register, 16 for several, 22 for bits of one. "
            "Bits by 6 or 16: the register is read, changed and written, and what another changes meanwhile is lost."
        ),
    ] = None


def functions(codec: Codec) -> tuple[int, ...]:
    """The functions that can write such a point, the usual one first. Raises `ValueError` in words where none can."""
    if codec.table not in {Table.COIL, Table.HOLDING}:
        raise ValueError(
            f"write: the {codec.table.value} table can only be read; coil and holding can be written"
        )
    if codec.table is Table.COIL:
        return 5, 15
    if len(codec.fields) > 1:
        raise ValueError(f"write: expected a point with registers of its own, found {codec.meaning.name}")
    if codec.width > 1:
        return (16,)
    return (6, 16) if codec.mask is None else (22, 6, 16)


def check(codec: Codec, write: RegisterWrite) -> None:
    """Raise `ValueError` where the point cannot be written, or not by the function that is set."""
    possible = functions(codec)
    if write.function not in {None, *possible}:
        what = (
            "a coil"
            if codec.table.bits
            else "one register"
            if codec.width == 1
            else f"{codec.width} registers"
        )
        expected = " or ".join(map(str, possible))
        raise ValueError(f"write: function: expected {expected} for {what}, found {write.function}")


def check_names(
    names: Iterable[str], *, facts: Sequence[str], written_out: Sequence[str], only: Sequence[str]
) -> None:
    """Raise `ValueError` for a name under `writable` that is none of the points whose writing the profile knows.

    `facts` are those; `written_out` have settings of their own in the configuration; `only` are all that are read, if any.
    """
    for name in names:
        if name in written_out:
            raise ValueError(f"writable: {name} is written out under points: say there what may be written")
        if name not in facts:
            known = f"expected one of {', '.join(facts)}" if facts else "it knows it of none"
            raise ValueError(f"writable: the profile does not know how {name} is written; {known}")
        if only and name not in only:
            raise ValueError(f"writable: {name} is not among `only`, and what is not read is not written")


def narrowed(name: str, own: RegisterWrite, facts: RegisterWrite) -> RegisterWrite:
    """What the device's settings allow of what the profile does. Raises `ValueError` where that would be more."""

    def refuse(key: str, expected: str) -> None:
        raise ValueError(f"writable: {name}: {key}: expected {expected}, as the profile has it")

    if own.minimum is not None and facts.minimum is not None and own.minimum < facts.minimum:
        refuse("minimum", f"no less than {float(facts.minimum):g}")
    if own.maximum is not None and facts.maximum is not None and own.maximum > facts.maximum:
        refuse("maximum", f"no more than {float(facts.maximum):g}")
    if own.step is not None and facts.step is not None and own.step % facts.step:
        refuse("step", f"a multiple of {float(facts.step):g}")
    if own.most_change is not None and facts.most_change is not None and own.most_change > facts.most_change:
        refuse("most_change", f"no more than {float(facts.most_change):g}")
    if own.every is not None and facts.every is not None and own.every < facts.every:
        refuse("every", f"no less than {duration_text(facts.every)}")
    given = {field: value for field in own.__struct_fields__ if (value := getattr(own, field)) is not None}
    return replace(facts, **given)


def settled(codec: Codec, value: Value) -> Value:
    """What the point is once this value is written. Raises `ValueError` for one that its registers cannot hold exactly.

    A float register takes the nearest float: that is what floats are; an integer one takes no value between two.
    """
    if isinstance(value, bool) is not (codec.value_type is ValueType.BOOLEAN):
        kind = "no boolean" if isinstance(value, bool) else "true or false"
        raise ValueError(f"expected {kind}, found {value}")
    exact = value if isinstance(value, bool | str) else Fraction(str(value))
    held = codec.decode(codec.encode(exact))
    if isinstance(held, Reason):
        raise ValueError(f"{value} is what the device means by no value")  # noqa: TRY004  # a value, not a type, is wrong
    rounded = isinstance(codec.meaning, Number) and codec.meaning.type.floating
    if not isinstance(held, bool | str) and not rounded and Fraction(str(held)) != exact:
        raise ValueError(f"expected a value that its register can hold, such as {held}; found {value}")
    return held
