"""What an operator, or a profile, writes about one point of a Modbus device: where it lies, and what its registers mean.

Pure. The types of points differ in what can be said about them; what does not belong to the type is refused here, and
what does not fit together by the `codec.Meaning` that is made of it. Nothing here knows of other points.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta, field

from agent.fields import Limits, Meant, Place
from agent.interfaces import Settings
from agent.points import PointBase
from agent.sample import Point, ValueType
from drivers.modbus.numbering import ask
from drivers.modbus.timing import Phase
from drivers.modbus.values import habits
from drivers.modbus.values.codec import Codec, Field, Meaning, check_fields
from drivers.modbus.values.flag import Flag
from drivers.modbus.values.number import Bits, Number
from drivers.modbus.values.registers import ADDRESSES, Order, Table, Type
from drivers.modbus.values.scaled import Scaled
from drivers.modbus.values.text import Encoding, Text
from drivers.modbus.values.total import Total
from drivers.modbus.writing.writable import RegisterWrite, check

Address = Annotated[int, Meta(ge=0, le=ADDRESSES - 1), Meant(ask)]
"""An address as sent on the wire."""


class Allowed(enum.Enum):
    """What looks like a mistake and is refused, unless the point says that it is meant so."""

    OVERLAP = "overlap"
    """It shares some of its registers with another point, and not all."""
    PLC_NUMBER = "plc_number"
    """Its address is in the range of the numbers that PLCs give to this table, and those around it are not."""


class Addend(Settings, frozen=True, kw_only=True):
    """A further register that is added to the point's own; of the same table, type and order."""

    address: Annotated[Address, Meta(description="As sent on the wire, starting at 0.")]
    scale: Annotated[
        Fraction, Meta(description="What its raw value is multiplied by before it is added.")
    ] = Fraction(1)


class PointSettings(PointBase, frozen=True, kw_only=True):
    """A point of a Modbus device: where it lies and how it is read. value = raw * scale + offset."""

    DESCRIBES: ClassVar[frozenset[str]] = PointBase.DESCRIBES | {"allow", "interval", "phase"}

    table: Annotated[
        Table,
        Meant(habits.table),
        Meta(description="In which of the device's tables it lies; function 1, 2, 4 or 3 reads it."),
    ]
    address: Annotated[
        Address,
        Meta(description="As sent on the wire, starting at 0: not 30001 or 40001, nor the 1 of a document."),
    ]
    register_type: Annotated[
        Type | None,
        Meant(habits.register_type),
        Meta(description="What the registers hold; may be left out for coil and discrete, which are bool."),
    ] = field(default=None, name="type")
    order: Annotated[
        Order | None,
        Meant(habits.order),
        Meta(description="Order of the bytes of a value, A the most significant; the device's if left out."),
    ] = None
    bit: (
        Annotated[
            int,
            Meta(ge=0, le=15, description="Which bit of the register a bool is; 0 is the least significant."),
        ]
        | None
    ) = None
    bits: (
        Annotated[
            str,
            Meta(
                pattern="^[0-9]{1,2}(-[0-9]{1,2})?$",
                description="Which bits of a uint16 or uint32 are the number, such as 4-7; 0 is the least significant.",
            ),
        ]
        | None
    ) = None
    length: (
        Annotated[
            int, Meta(ge=1, le=125, description="How many registers a string fills, two letters in each.")
        ]
        | None
    ) = None
    encoding: Annotated[
        Encoding | None, Meta(description="Which letters the bytes of a string stand for; ascii if left out.")
    ] = None
    scale: Annotated[
        Fraction, Meta(description="What the raw value is multiplied by, exactly: 0.1 means tenths.")
    ] = Fraction(1)
    offset: Annotated[
        Fraction,
        Meta(description="What is then added, in the point's unit: -273.15 turns kelvin into Celsius."),
    ] = Fraction(0)
    scale_factor: (
        Annotated[
            Address,
            Meta(
                description="Address, in the same table, of an int16 by whose power of ten the value is multiplied too: SunSpec.",
            ),
        ]
        | None
    ) = None
    sum: Annotated[
        tuple[Addend, ...],
        Meta(
            description="Further registers, each with a scale of its own, that are added: megawatt-hours beside kilowatt-hours."
        ),
    ] = ()
    sentinels: Annotated[
        tuple[Fraction, ...],
        Meta(description="Raw values that mean `no value`, signed or as the bit pattern: -32768 or 0x8000."),
    ] = ()
    allow: Annotated[
        tuple[Allowed, ...],
        Meta(description="What looks like a mistake in this point and is meant so."),
    ] = ()
    interval: Annotated[
        timedelta | None,
        Limits("100ms", "24h"),
        Meta(description="How often it is read; as the device if left out."),
    ] = None
    phase: Annotated[
        Phase | None,
        Meta(description="When in its interval it is read; as the device if left out."),
    ] = None
    write: Annotated[
        RegisterWrite | None,
        Meta(
            description="What may be written to it; nothing if left out. In a profile: what the device's own configuration may allow."
        ),
    ] = None

    def __post_init__(self) -> None:
        PointBase.__post_init__(self)
        for problem in self._problems():
            raise ValueError(problem)
        if self._further:
            self._check_parts()
        codec = self.codec(Order.ABCD)
        if self.write is not None:
            check(codec, self.write)
        number = codec.meaning
        if (
            isinstance(number, Number)
            and not number.type.floating
            and not number.raws_within(self.minimum, self.maximum)
        ):
            raise ValueError(f"minimum: no {number.name} with this scale and offset lies within the limits")
        if self.labels is not None and codec.value_type not in {ValueType.INTEGER, ValueType.BOOLEAN}:
            raise ValueError(
                f"labels: expected values that are whole numbers, or a bool; found values that are {_VALUES[codec.value_type]}"
            )

    def _problems(self) -> Iterator[str]:
        """What can be seen before a codec is made of it."""
        type_ = self.type_of_registers
        if self.table.bits and type_ is not Type.BOOL:
            yield f"type: the {self.table.value} table holds single bits, so the type is bool, not {type_.value}"
        for name, left_out, whose in _OTHERS[type_]:
            if getattr(self, name) != left_out:
                yield f"{name}: only {whose} has one; the type is {type_.value}"
        if type_ is Type.BOOL:
            yield from self._problems_of_a_flag()
        if type_ is Type.STRING and self.length is None:
            yield "length: missing from this string: expected how many registers it fills"
        if type_ is Type.STRING and self.type_ not in {None, ValueType.TEXT}:
            yield "value_type: a string is always text"
        if self.sum and self.scale_factor is not None:
            yield "sum: expected either a sum or a scale_factor, found both"
        yield from self._problems_of_the_order(type_)

    def _problems_of_a_flag(self) -> Iterator[str]:
        if self.table.bits and self.bit is not None:
            yield f"bit: a {self.table.value} is one bit already; bit counts in registers only"
        if not self.table.bits and self.bit is None:
            yield f"bit: a bool in the {self.table.value} table needs to know which bit of the register, 0 to 15"
        if self.type_ not in {None, ValueType.BOOLEAN}:
            yield "value_type: a bool is always boolean"

    def _problems_of_the_order(self, type_: Type) -> Iterator[str]:
        if self.order is None:
            return
        if self.table.bits:
            yield f"order: a {self.table.value} is a single bit and has none"
        elif type_.size <= 1 and self.order is not self.order.of_bytes:
            what = "string" if type_ is Type.STRING else f"single register ({type_.value})"
            yield (
                f"order: a {what} has no words to reverse: expected ABCD, or BADC where the two bytes of a register "
                f"are exchanged; found {self.order.value}"
            )

    @property
    def type_of_registers(self) -> Type:
        """What the registers hold, also where it goes without saying."""
        if self.register_type is not None:
            return self.register_type
        if self.table.bits:
            return Type.BOOL
        raise ValueError(
            f"type: expected the type of the {self.table.value} registers, such as int16 or float32"
        )

    @property
    def is_flag(self) -> bool:
        """Whether it is on or off."""
        return self.type_of_registers is Type.BOOL

    @property
    def is_text(self) -> bool:
        """Whether it is letters."""
        return self.type_of_registers is Type.STRING

    def codec(self, order: Order) -> Codec:
        """How the point is read from a device with this order. Raises `ValueError` when its settings do not fit together."""
        order = self.order or order
        return Codec(
            table=self.table,
            addresses=(self.address, *(address for _, address in self._further)),
            order=order.of_bytes if self.is_text else order,
            meaning=self._meaning(),
        )

    @property
    def _further(self) -> list[tuple[str, int]]:
        """The addresses of its parts beside its own, each behind the setting that names it."""
        further = [("sum", addend.address) for addend in self.sum]
        return further if self.scale_factor is None else [*further, ("scale_factor", self.scale_factor)]

    def _check_parts(self) -> None:
        """Raise `ValueError` about the setting that names a register which cannot be, or is one of the others."""
        names, addresses = zip(("address", self.address), *self._further, strict=True)
        check_fields(names, tuple(map(Field.of, addresses, self._meaning().codes)))

    def _meaning(self) -> Meaning:
        if self.is_flag:
            return Flag(self.bit)
        if self.is_text:
            return Text(length=self.length or 0, encoding=self.encoding or Encoding.ASCII)
        number = Number(
            type=self.type_of_registers,
            bits=None if self.bits is None else Bits.of(self.bits),
            scale=self.scale,
            offset=self.offset,
            sentinels=self.sentinels,
            wanted=None if self.sum else self.type_,
        )
        if self.sum:
            scales = tuple(addend.scale for addend in self.sum)
            return Total(first=number, scales=scales, wanted=self.type_)
        return number if self.scale_factor is None else Scaled(number=number)

    def point(self, place: Place) -> Point:
        """What the rest of the agent knows of it, as a point of a device at this place."""
        return self.described(self.codec(Order.ABCD).value_type, place)


_NUMBERS: Final = set(Type) - {Type.BOOL, Type.STRING}
_OF_A_NUMBER: Final = (
    "scale",
    "offset",
    "scale_factor",
    "sum",
    "sentinels",
)
_OWN: Final = {
    "bit": ({Type.BOOL}, "a bool"),
    "bits": ({Type.UINT16, Type.UINT32}, "a uint16 or uint32"),
    "length": ({Type.STRING}, "a string"),
    "encoding": ({Type.STRING}, "a string"),
    **dict.fromkeys(_OF_A_NUMBER, (_NUMBERS, "a number")),
}
"""Settings that only some types have: which, and in words. What is said of values, every driver's point has (`agent.points`)."""
_LEFT_OUT: Final[dict[str, Any]] = {"scale": Fraction(1), "offset": Fraction(0), "sum": (), "sentinels": ()}
"""What a setting is when nobody wrote it; others are `None`."""
_OTHERS: Final = {
    type_: tuple(
        (name, _LEFT_OUT.get(name), whose) for name, (types, whose) in _OWN.items() if type_ not in types
    )
    for type_ in Type
}
"""For each type the settings that it does not have: what they are when nobody wrote them, and whose they are."""
_VALUES: Final = {
    ValueType.NUMBER: "floats",
    ValueType.DECIMAL: "decimals",
    ValueType.TEXT: "texts",
}
