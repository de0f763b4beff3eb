"""A device type as data: which points it has, where they lie, and how it wants to be read.

A profile is a YAML file in `profiles/`; it is read like every other part of the configuration, so its mistakes are
reported with file and line. Its name says maker and model. Nothing here reads files.
"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Annotated

from msgspec import Meta, field

from agent.fields import Limits, Place
from agent.interfaces import Settings
from agent.points import PointBase
from agent.sample import Point
from drivers.modbus.codec import Codec
from drivers.modbus.identity import Sign
from drivers.modbus.plan import MOST_BITS, MOST_REGISTERS
from drivers.modbus.registers import Order, Table, Type
from drivers.modbus.timing import Phase, RequestDelay, Timeout
from drivers.modbus.writable import RegisterWrite, check

Gap = Annotated[
    int,
    Meta(
        ge=0,
        le=MOST_BITS,
        description="How many addresses that no point lies at may be read between two points rather than asking twice.",
    ),
]
MaxCount = Annotated[
    int, Meta(ge=1, le=MOST_REGISTERS, description="The most registers that the device gives in one answer.")
]
MaxBits = Annotated[
    int,
    Meta(
        ge=1,
        le=MOST_BITS,
        description="The most coils or discrete inputs that the device gives in one answer.",
    ),
]


Alignment = Annotated[
    int,
    Meta(
        ge=1,
        le=MOST_REGISTERS,
        description="What the first register of a request, and how many there are, must be multiples of: 2 where only "
        "an even number from an even address is answered.",
    ),
]
Borders = Annotated[
    tuple[Annotated[int, Meta(ge=1, le=65535)], ...],
    Meta(description="Addresses that no request may cross: it ends before them, or begins there or after."),
]


class PointSettings(PointBase, frozen=True, kw_only=True):
    """A point of a Modbus device: where it lies and how it is read. value = raw * scale + offset."""

    table: Annotated[
        Table, Meta(description="In which of the device's tables it lies; function 1, 2, 4 or 3 reads it.")
    ]
    address: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="As sent on the wire, starting at 0: not 30001 or 40001, nor the 1 of a document.",
        ),
    ]
    register_type: Annotated[
        Type | None,
        Meta(description="What the registers hold; may be left out for coil and discrete, which are bool."),
    ] = field(default=None, name="type")
    order: Annotated[
        Order | None,
        Meta(description="Order of the bytes of a value, A the most significant; the device's if left out."),
    ] = None
    bit: (
        Annotated[
            int,
            Meta(ge=0, le=15, description="Which bit of the register a bool is; 0 is the least significant."),
        ]
        | None
    ) = None
    scale: Annotated[
        Fraction, Meta(description="What the raw value is multiplied by, exactly: 0.1 means tenths.")
    ] = Fraction(1)
    offset: Annotated[
        Fraction,
        Meta(description="What is then added, in the point's unit: -273.15 turns kelvin into Celsius."),
    ] = Fraction(0)
    sentinels: Annotated[
        tuple[Fraction, ...],
        Meta(description="Raw values that mean `no value`, signed or as the bit pattern: -32768 or 0x8000."),
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
        codec = self.codec(Order.ABCD)
        if self.write is not None:
            check(codec, self.write)
        if self.is_flag and (self.minimum, self.maximum) != (None, None):
            raise ValueError("minimum: only a number has limits, and a bool is none")
        integer = not (self.is_flag or codec.type.floating)
        if integer and not codec.raws_within(self.minimum, self.maximum):
            raise ValueError(
                f"minimum: no {codec.type.value} with this scale and offset lies within the limits"
            )

    @property
    def is_flag(self) -> bool:
        """Whether it is on or off."""
        return self.table.bits or self.register_type is Type.BOOL

    def codec(self, order: Order) -> Codec:
        """How the point is read from a device with this order. Raises `ValueError` when its settings do not fit together."""
        type_ = self.register_type
        if type_ is None:
            if not self.table.bits:
                raise ValueError(
                    f"type: expected the type of the {self.table.value} registers, such as int16 or float32"
                )
            type_ = Type.BOOL
        return Codec(
            table=self.table,
            address=self.address,
            type=type_,
            order=self.order or order,
            bit=self.bit,
            scale=self.scale,
            offset=self.offset,
            sentinels=self.sentinels,
            wanted=self.type_,
        )

    def point(self, place: Place) -> Point:
        """What the rest of the agent knows of it, as a point of a device at this place."""
        return self.described(self.codec(Order.ABCD).value_type, place)


class Defaults(Settings, frozen=True, kw_only=True):
    """How a device type wants to be read, unless the device's own settings say otherwise."""

    order: Annotated[Order, Meta(description="Order of the bytes of a value, A the most significant.")] = (
        Order.ABCD
    )
    gap: Gap = 0
    max_count: MaxCount = MOST_REGISTERS
    max_bits: MaxBits = MOST_BITS
    alignment: Alignment = 1
    borders: Borders = ()
    request_delay: RequestDelay = timedelta(0)
    timeout: Timeout | None = None


class Profile(Settings, frozen=True, kw_only=True):
    """A device type."""

    manufacturer: Annotated[str, Meta(description="As it stands on the device.")]
    model: Annotated[
        str, Meta(description="As it stands on the device; what looks alike may have another map.")
    ]
    revision: Annotated[str | None, Meta(description="Of the maker's register map, where it has one.")] = None
    source: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="The documents and programs that the map was taken from."),
    ]
    verified: Annotated[str, Meta(description="By what the map was checked, and what was not.")]
    unverified: Annotated[
        str | None,
        Meta(
            description="What no source tells for certain and has to be compared with the device: `check` and the log say it."
        ),
    ] = None
    notes: Annotated[
        tuple[str, ...], Meta(description="What else somebody who installs it should know.")
    ] = ()
    identity: Annotated[
        tuple[Sign, ...],
        Meta(description="What it is known by: registers that hold the same in every device of the type."),
    ] = ()
    defaults: Annotated[Defaults, Meta(description="How it wants to be read.")] = Defaults()
    points: Annotated[
        tuple[PointSettings, ...], Meta(min_length=1, description="What it measures, and where that lies.")
    ]

    def __post_init__(self) -> None:
        names = [point.name for point in self.points]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"points: the name {name} is given twice")
