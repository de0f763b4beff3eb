"""A device type as data: which points it has, where they lie, and how it wants to be read.

A profile is a YAML file in `profiles/`; it is read like every other part of the configuration, so its mistakes are
reported with file and line. Its name says maker and model. Nothing here reads files.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from agent.interfaces import Settings
from drivers.modbus.identity import Sign
from drivers.modbus.point import PointSettings
from drivers.modbus.timing import RequestDelay, Timeout
from drivers.modbus.values.plan import MOST_BITS, MOST_REGISTERS
from drivers.modbus.values.registers import Order

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
