"""What the settings of a device's points demand of its values: who has rules, which do not fit, what points they add.

Pure. The settings come from the driver (`point_settings`); a driver that gives none has points without rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from agent.commands.permission import parse
from agent.document import meant
from agent.fields import ID_LENGTH
from agent.interfaces import Driver
from agent.points import PointBase, QualityFrom
from agent.sample import Class, Point, Value, ValueType

NUMBERS: Final = {ValueType.INTEGER, ValueType.NUMBER, ValueType.DECIMAL}
"""What has limits, and what can count."""

RULES: Final = ("minimum", "maximum", "change_per_minute", "counter", "quality_from", "out_of_service")
OF_NUMBERS: Final = RULES[:4]


def settings_of(driver: Driver, device: Any) -> tuple[PointBase, ...]:
    """The settings of a device's points, in the order of its samples; none from a driver that does not give them."""
    give = getattr(driver, "point_settings", None)
    return tuple(give(device)) if give else ()


def points(driver: Driver, device: Any) -> tuple[Point, ...]:
    """All points that a consumer hears of: those that are read, then those that say what became of counters."""
    read = driver.points(device)
    by_name = {point.name: point for point in read}
    return (
        *read,
        *(
            event_point(by_name[each.name])
            for each in settings_of(driver, device)
            if each.counter is not None
        ),
    )


def event_point(counter: Point) -> Point:
    """The point that says what a counter did that was not counting on: `reset`, `rollover`, `swap`."""
    return Point(
        name=f"{counter.name}{_EVENT}",
        type=ValueType.TEXT,
        class_=Class.EVENT,
        place=counter.place,
        designation=counter.designation,
    )


_EVENT: Final = "_event"


def has_rules(settings: PointBase) -> bool:
    """Whether there is anything to judge about the values of this point."""
    return any(getattr(settings, rule) is not None for rule in RULES)


def good_values(quality: QualityFrom, source: Point) -> frozenset[Value]:
    """The values of the source at which a point is good. Raises `ValueError` for one that the source cannot have."""
    return frozenset(parse(text, source) for text in quality.good)


def meaning(settings: PointBase) -> str:
    """All that decides what number a meter's register becomes: where this changed, an earlier value cannot be compared.

    Only what was given counts, in no order: a setting that a later version of the agent knows too changes nothing for
    those who do not use it.
    """
    given = _given(settings)
    return repr(sorted((name, value) for name, value in given if name not in settings.DESCRIBES))


def _given(settings: msgspec.Struct) -> list[tuple[str, str]]:
    """The settings that are not what they are when left out, each with its value in words."""
    fields = msgspec.structs.fields(settings)
    return [
        (field.name, _words(value))
        for field in fields
        if (value := getattr(settings, field.name)) != _left_out(field)
    ]


def _left_out(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _words(value: Any) -> str:
    if isinstance(value, msgspec.Struct):
        return repr(sorted(_given(value)))
    return repr([_words(each) for each in value]) if isinstance(value, tuple) else str(value)


def problems(settings: Sequence[PointBase], read: Sequence[Point]) -> Iterator[tuple[str, str, str]]:
    """What does not fit together: the name of the point, that of the setting, and a sentence that begins with it."""
    points = {point.name: point for point in read}
    by_name = {each.name: each for each in settings}
    for each in settings:
        point = points[each.name]
        for rule in OF_NUMBERS:
            if getattr(each, rule) is not None and point.type not in NUMBERS:
                yield each.name, rule, f"{rule}: only a number has one, and {each.name} is {point.type.value}"
        if each.counter is not None:
            event = event_point(point).name
            if event in points:
                taken = f"its events would be those of a point {event}, and the device has another one of this name"
                yield each.name, "counter", f"counter: {taken}"
            if len(event) > ID_LENGTH:
                expected = f"expected a name of at most {ID_LENGTH - len(_EVENT)} characters for a counter"
                yield each.name, "name", f"name: {expected}, found {len(each.name)}"
        if each.quality_from is not None:
            for message in _problems_of_source(each.quality_from, points, by_name):
                yield each.name, "quality_from", f"quality_from: {message}"


def _problems_of_source(
    quality: QualityFrom, points: dict[str, Point], settings: dict[str, PointBase]
) -> Iterator[str]:
    source = points.get(quality.point)
    if source is None:
        yield f"{quality.point} is not among the points of the device that are read{meant(quality.point, points)}"
        return
    if settings[quality.point].quality_from is not None:
        yield f"expected a point that needs no other, found {quality.point}, which has a quality_from itself"
    try:
        good_values(quality, source)
    except ValueError as error:
        yield f"good: {error}"
