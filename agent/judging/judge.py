"""The values of one device, held against what is known of its points: marked where they are doubtful, never hidden.

Pure. A sample goes in and a sample comes out: the same one, if nothing in it is doubtful. Of one cell the first of
these counts:

    out of service         bad: whatever was read
    what the driver says   a value that is doubtful or missing already is judged no further
    quality_from           bad, if the point that vouches for it has another value; uncertain, if that is not known
    minimum, maximum       uncertain: outside_limits
    counter                uncertain until a second reading; then good, with an event
    change_per_minute      uncertain: changed_too_fast, as long as it cannot have come so far since the last good value
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from typing import Any, Final, NamedTuple

from agent.judging.checks import (
    Check,
    Counting,
    Limits,
    OutOfService,
    Pace,
    Paces,
    Vouched,
    Voucher,
    Vouchers,
)
from agent.judging.counter import Track
from agent.judging.marking import Marking, News
from agent.judging.rules import event_point, good_values, has_rules, meaning
from agent.points import PointBase
from agent.sample import Point, Sample, Shape, ValueType

SHAPES: Final = 64
"""A device has a few shapes, and new ones whenever its link is opened: beyond so many the old ones are forgotten."""


class Judged(NamedTuple):
    """What became of a sample."""

    sample: Sample
    again: bool = False
    """Whether a second reading is wanted, at once."""
    news: tuple[News, ...] = ()


class _Plan(NamedTuple):
    """How samples of one shape are judged."""

    checks: tuple[Check, ...]
    shapes: dict[tuple[int, ...], Shape]
    """With event points, as far as they were needed."""


class Judge:
    """Of one device."""

    def __init__(self, settings: Sequence[PointBase], points: Sequence[Point]) -> None:
        """All settings and points of the device; the settings have no `problems`."""
        self._points = {point.name: point for point in points}
        self._settings = {each.name: each for each in settings if has_rules(each)}
        self._vouchers: dict[str, Voucher] = {}
        self._tracks: dict[str, Track[Any]] = {}
        self._paces: dict[str, Pace] = {}
        for name, each in self._settings.items():
            if each.quality_from is not None:
                self._vouchers.setdefault(each.quality_from.point, Voucher())
            if each.counter is not None:
                self._tracks[name] = Track(each.counter.rollover, each.change_per_minute)
            elif each.change_per_minute is not None:
                self._paces[name] = Pace(each.change_per_minute)
        self._plans: dict[Shape, _Plan] = {}

    def judge(self, sample: Sample) -> Judged:
        """Mark what is doubtful in the next sample of the device, and take note of what is not."""
        plan = self._plans.get(sample.shape) or self._plan(sample.shape)
        if not plan.checks:
            return Judged(sample)
        marking = Marking(sample)
        for check in plan.checks:
            check.look(marking)
        return Judged(marking.result(plan.shapes), marking.again, tuple(marking.news))

    def _plan(self, shape: Shape) -> _Plan:
        if len(self._plans) >= SHAPES:
            self._plans.clear()
        plan = self._plans[shape] = _Plan(tuple(self._checks(shape)), {})
        return plan

    def _checks(self, shape: Shape) -> Iterator[Check]:
        """In the order in which they count; vouchers come before those that they vouch for."""
        cells = {point.name: cell for cell, point in enumerate(shape.points)}
        ruled = [(cells[name], each) for name, each in self._settings.items() if name in cells]
        if out := [cell for cell, each in ruled if each.out_of_service is not None]:
            yield OutOfService(out)
        if vouchers := [(cells[name], each) for name, each in self._vouchers.items() if name in cells]:
            yield Vouchers(vouchers)
        for cell, each in ruled:
            if (quality := each.quality_from) is not None:
                good = good_values(quality, self._points[quality.point])
                max_age_ns = round(quality.max_age.total_seconds() * 1e9)
                yield Vouched(cell, self._vouchers[quality.point], good, max_age_ns)
        if limited := [(cell, *self._limits(each)) for cell, each in ruled if _is_limited(each)]:
            yield Limits(limited)
        for cell, each in ruled:
            if each.counter is not None:
                event = event_point(self._points[each.name])
                yield Counting(cell, each.name, self._tracks[each.name], event)
        if paced := [(cell, self._paces[each.name]) for cell, each in ruled if each.name in self._paces]:
            yield Paces(paced)

    def _limits(self, settings: PointBase) -> tuple[Any, Any]:
        type_ = self._points[settings.name].type
        return _comparable(settings.minimum, -math.inf, type_), _comparable(settings.maximum, math.inf, type_)

    # --- across a restart --------------------------------------------------------------------------------------

    def remembered(self) -> Mapping[str, Any]:
        """Where the counters stand, in JSON's types; a number as text, so that no digit is lost."""
        return {
            name: {"value": str(track.sure), "of": self._fingerprint(name)}
            for name, track in self._tracks.items()
            if track.sure is not None
        }

    def recall(self, remembered: Any) -> None:
        """Go on from where the counters stood; what is no memory of ours, or of other registers, is passed over."""
        if not isinstance(remembered, Mapping):
            return
        for name, track in self._tracks.items():
            match remembered.get(name):
                case {"value": str(text), "of": str(of)} if of == self._fingerprint(name):
                    with suppress(ValueError, ArithmeticError):
                        stood = _READ[self._points[name].type](text)
                        if math.isfinite(stood):
                            track.recall(stood)

    def _fingerprint(self, name: str) -> str:
        described = f"{meaning(self._settings[name])} {self._points[name].type.value}"
        return sha256(described.encode()).hexdigest()[:16]


_READ: Final[Mapping[ValueType, Any]] = {
    ValueType.INTEGER: int,
    ValueType.NUMBER: float,
    ValueType.DECIMAL: Decimal,
}


def _is_limited(settings: PointBase) -> bool:
    return settings.minimum is not None or settings.maximum is not None


def _comparable(limit: Fraction | None, otherwise: float, type_: ValueType) -> Any:
    """A limit that is compared as fast as can be without being another one."""
    if limit is None:
        return otherwise
    if type_ is ValueType.NUMBER:
        return float(limit)  # the value was rounded in the same way
    return limit.numerator if limit.denominator == 1 else limit
