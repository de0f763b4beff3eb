"""SunSpec: devices that say themselves which groups of registers (models) they have, and where.

    base ──"SunS"──> model, length ──> model, length ──> ... ──> 0xFFFF            (SunSpec Device Information Model, 4)

Where a model begins depends on what stands before it, so that is found by walking the chain when the device first
answers. But which points there are must be known before anything is read: the configuration names the models, and each
is a file in `models/`, its addresses counted from the register that holds the model's id. Until the chain was walked the
models are taken to lie one after another as they are named, each as long as its file says; that is also what an emulated
device looks like. Pure: who carries the questions is `polling`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from copy import copy
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

from msgspec import Meta, field
from msgspec.structs import force_setattr

from agent.fields import Filed, Id
from agent.interfaces import Settings
from drivers.modbus.point import PointSettings
from drivers.modbus.values.plan import Span
from drivers.modbus.values.registers import ADDRESSES, Order, Table

MAGIC: Final = b"SunS"
BASES: Final = (40000, 50000, 0)
"""Where it may stand (4.1): PLC numbers 40001 and 50001 are these addresses on the wire."""
END: Final = 0xFFFF
"""Stands in place of a model's id after the last one."""
HEAD: Final = 2
"""Registers before those that a length counts: the model's id and the length."""
MOST_MODELS: Final = 100
"""A chain that is longer, or leads in circles, is no chain: real ones have some twenty."""
GAP: Final = 32
"""Every register between two points of a model is there, so it is read rather than asking twice."""
IN_REACH: Final = 6
"""So many instances lie near enough to the scale factors of their model to be read by one request with them."""


class Repeated(Settings, frozen=True, kw_only=True):
    """What a model holds several times, one after another."""

    word: Annotated[Id, Meta(description="What one is called: module makes module_1_dc_current.")]
    length: Annotated[int, Meta(ge=1, description="How many registers each has.")]
    points: Annotated[
        tuple[PointSettings, ...],
        Meta(min_length=1, description="Those of the first, with addresses as the model's."),
    ]


class Model(Settings, frozen=True, kw_only=True):
    """A SunSpec model as data. Its addresses, and those of scale factors, are counted from the register of its id."""

    number: Annotated[int, Meta(ge=1, lt=END, description="The id that stands before it in the device.")]
    name: Annotated[str, Meta(description="What it is, for people.")]
    word: Annotated[Id, Meta(description="What one is called when there are several: meter makes meter_2_.")]
    prefix: Annotated[str, Meta(description="Stands before the names of its points: meter makes meter_.")] = (
        ""
    )
    length: Annotated[
        int, Meta(ge=1, description="How many registers follow the length, without what is repeated.")
    ]
    notes: Annotated[tuple[str, ...], Meta(description="What else somebody who reads it should know.")] = ()
    points: Annotated[
        tuple[PointSettings, ...], Meta(description="What it holds once, with addresses counted from its id.")
    ]
    repeated: Annotated[Repeated | None, Meta(description="What it holds several times.")] = None

    def all_points(self, times: int) -> Iterator[PointSettings]:
        """Its points with so many of what is repeated."""
        yield from self.points
        if self.repeated is None:
            return
        for index in range(times):
            for point in self.repeated.points:
                there = moved(point, index * self.repeated.length, f"{self.repeated.word}_{index + 1}_")
                force_setattr(there, "scale_factor", point.scale_factor)  # the model has it once
                yield there

    def registers(self, times: int) -> int:
        """Its length with so many of what is repeated."""
        return self.length + (self.repeated.length * times if self.repeated else 0)


class Entry(NamedTuple):
    """One model of a device, as its chain says."""

    number: int
    address: int
    """Of the register that holds the id."""
    length: int

    @property
    def end(self) -> int:
        """The address after its last register, where the next one begins."""
        return self.address + HEAD + self.length


Chain: TypeAlias = tuple[Entry, ...]


class Walked(NamedTuple):
    """What a walk found."""

    chain: Chain
    """Empty where there is none."""
    ended: bool
    """It came to the mark behind the last model; else there may be more, for a device that starts up refuses what it
    will have in a moment. But some have nothing behind their last model, and no mark either."""


class Part(NamedTuple):
    """One of the models that are expected, as it lies before the chain was walked."""

    entry: Entry
    points: tuple[PointSettings, ...]
    """With the names that they have in the device, and addresses on the wire."""


class SunSpec(Settings, frozen=True, kw_only=True):
    """Which models of a SunSpec device are read."""

    models: Annotated[
        tuple[Annotated[Model, Filed("drivers.modbus.models")], ...],
        Meta(
            min_length=1,
            description="By their numbers, such as [1, 103, 160], in the order in which the device has them; once for each.",
        ),
    ]
    repeats: Annotated[
        dict[int, Annotated[int, Meta(ge=0, le=IN_REACH)]],
        Meta(
            description="How often a model repeats what it does: {160: 3} for three trackers. Once if left out."
        ),
    ] = field(default_factory=dict)
    base: Annotated[
        int | None,
        Meta(
            ge=0,
            le=ADDRESSES - HEAD,
            description="Where `SunS` stands, as sent on the wire; 40000, 50000 or 0, whichever it is, if left out.",
        ),
    ] = None

    def __post_init__(self) -> None:
        repeating = {model.number for model in self.models if model.repeated}
        for number in self.repeats:
            if number not in repeating:
                raise ValueError(f"repeats: {number} is none of the models that repeat anything")
        registers = sum(HEAD + model.registers(self._times(model)) for model in self.models)
        if self.bases[0] + HEAD + registers + HEAD > ADDRESSES:
            raise ValueError("base: expected room for these models before the last address")

    @property
    def bases(self) -> tuple[int, ...]:
        """Where the chain may begin."""
        return BASES if self.base is None else (self.base,)

    def _times(self, model: Model) -> int:
        return self.repeats.get(model.number, 1)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The models as they lie before the chain was walked."""
        parts: list[Part] = []
        seen: dict[str, int] = {}
        address = self.bases[0] + HEAD
        for model in self.models:
            nth = seen[model.word] = seen.get(model.word, 0) + 1
            prefix = f"{model.word}_{nth}_" if nth > 1 else model.prefix and f"{model.prefix}_"
            entry = Entry(model.number, address, model.registers(self._times(model)))
            points = (moved(point, address, prefix) for point in model.all_points(self._times(model)))
            parts.append(Part(entry, tuple(points)))
            address = entry.end
        return tuple(parts)

    @property
    def points(self) -> tuple[PointSettings, ...]:
        """All of them, as they lie before the chain was walked."""
        return tuple(point for part in self.parts for point in part.points)

    @property
    def frame(self) -> tuple[tuple[Span, bytes], ...]:
        """What stands round the models, where they lie before the chain was walked."""
        base, entries = self.bases[0], [part.entry for part in self.parts]
        heads = [(base, MAGIC)]
        heads += [(entry.address, entry.number.to_bytes(2) + entry.length.to_bytes(2)) for entry in entries]
        heads.append((entries[-1].end, END.to_bytes(2) + bytes(2)))
        return tuple((head(address), data) for address, data in heads)

    def located(self, chain: Chain) -> Mapping[str, PointSettings | None]:
        """Its points by name, where they lie in a device with this chain; `None` for those that it does not have.

        The second model of a number that is expected is the second one in the device.
        """
        waiting: dict[int, list[Entry]] = {}
        for entry in chain:
            waiting.setdefault(entry.number, []).append(entry)
        found: dict[str, PointSettings | None] = {}
        for expected, points in self.parts:
            candidates = waiting.get(expected.number)
            there = candidates.pop(0) if candidates else None
            for point in points:
                found[point.name] = there and _within(there, moved(point, there.address - expected.address))
        return found

    def beyond(self, chain: Chain) -> tuple[int, ...]:
        """The numbers of the models that the device has and nobody expects."""
        return _surplus([entry.number for entry in chain], [model.number for model in self.models])

    def missing(self, chain: Chain) -> tuple[int, ...]:
        """The numbers of the models that are expected and that the device does not have."""
        return _surplus([model.number for model in self.models], [entry.number for entry in chain])


def walk(bases: Sequence[int]) -> Generator[Span, bytes | None, Walked]:
    """Ask for the chain. What a device makes up, however long it is, comes to an end."""
    for base in bases:
        if (yield head(base)) == MAGIC:
            break
    else:
        return Walked((), ended=False)
    chain: list[Entry] = []
    address = base + HEAD
    while address + HEAD <= ADDRESSES and len(chain) < MOST_MODELS:
        data = yield head(address)
        if data is None:
            break
        if data[:2] == END.to_bytes(2):
            return Walked(tuple(chain), ended=True)
        entry = Entry(int.from_bytes(data[:2]), address, int.from_bytes(data[2:]))
        chain.append(entry)
        address = entry.end
    return Walked(tuple(chain), ended=False)


def proposed(chain: Chain, known: Mapping[int, Model]) -> dict[str, Any]:
    """The settings that read all models of a chain of which there is a file, as they would stand in the configuration."""
    entries = [entry for entry in chain if entry.number in known]
    settings: dict[str, Any] = {"models": [entry.number for entry in entries]}
    repeats = {
        entry.number: min((entry.length - model.length) // model.repeated.length, IN_REACH)
        for entry in entries
        if (model := known[entry.number]).repeated and entry.length >= model.length
    }
    return settings | ({"repeats": repeats} if repeats else {})


def moved(point: PointSettings, by: int, prefix: str = "") -> PointSettings:
    """The same point so many addresses further on, with its scale factor; with this before its name.

    A copy that is not checked again: nothing that has to fit together changes, and there are many.
    """
    there = copy(point)
    force_setattr(there, "name", prefix + point.name)
    force_setattr(there, "address", point.address + by)
    if point.scale_factor is not None:
        force_setattr(there, "scale_factor", point.scale_factor + by)
    return there


def _within(entry: Entry, point: PointSettings) -> PointSettings | None:
    """The point, if the model is long enough to hold it and its scale factor."""
    try:
        codec = point.codec(Order.ABCD)
    except ValueError:  # beyond the last address
        return None
    return point if codec.end <= entry.end else None


def head(address: int) -> Span:
    """The two registers there: `SunS`, or a model's id and length."""
    return Span(Table.HOLDING, address, address + HEAD)


def _surplus(those: Sequence[int], without: Sequence[int]) -> tuple[int, ...]:
    rest = list(without)
    surplus = []
    for number in those:
        if number in rest:
            rest.remove(number)
        else:
            surplus.append(number)
    return tuple(surplus)
