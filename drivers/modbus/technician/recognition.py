"""Which device types a unit can be: what the signs of all profiles need is read of it, once each, and compared.

And whether it is one of SunSpec, which says itself what it has. A device may be silent where it should refuse. After two questions in vain the rest is not asked: a search goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Final, TypeVar

from drivers.modbus.identity import asked, identify, printable
from drivers.modbus.profile import Profile
from drivers.modbus.sunspec import BASES, HEAD, Chain, walk
from drivers.modbus.technician.inquiry import Response
from drivers.modbus.values.plan import Span
from drivers.modbus.values.registers import Table

T = TypeVar("T")

COMMON: Final = 1
"""The SunSpec model that says who made the device: maker and model first, in as many registers each as `NAME`."""
NAME: Final = 16
IN_VAIN: Final = 2
"""Questions without an answer, of whatever kind, and no more are put."""


async def recognise(types: Mapping[str, Profile], read: Callable[[Span], Awaitable[Response]]) -> list[str]:
    """The names of the types that fit, the best known first; `read` asks the unit for a span."""
    signs = {name: profile.identity for name, profile in types.items()}
    answers: dict[Span, bytes | None] = {}
    in_vain = 0
    for span in asked(signs.values()):
        response = await read(span)
        if response.data is None and response.exception is None:
            in_vain += 1
            if in_vain == IN_VAIN:
                break
        answers[span] = response.data
    return identify(signs, answers)


async def follow(
    asking: Generator[Span, bytes | None, T], read: Callable[[Span], Awaitable[Response]]
) -> T | Response:
    """Put the questions of a generator to a unit: what it returns, or the response in which nothing came at all."""
    try:
        span = next(asking)
        while True:
            response = await read(span)
            if response.data is None and response.exception is None:
                return response
            span = asking.send(response.data)
    except StopIteration as end:
        found: T = end.value
        return found


async def sunspec(read: Callable[[Span], Awaitable[Response]]) -> tuple[Chain, str]:
    """The chain of a unit, and who made it by its own words; empty if it is none of SunSpec."""
    walked = await follow(walk(BASES), read)
    if isinstance(walked, Response):
        return (), ""
    chain = walked.chain
    common = next((entry for entry in chain if entry.number == COMMON), None)
    if common is None:
        return chain, ""
    start = common.address + HEAD
    response = await read(Span(Table.HOLDING, start, start + 2 * NAME))
    names = response.data or b""
    return chain, " ".join(printable(names[at : at + 2 * NAME]) for at in range(0, len(names), 2 * NAME))


def described(name: str, profile: Profile) -> str:
    """`Eastron SDM630 (eastron-sdm630)`."""
    return f"{profile.manufacturer} {profile.model} ({name})"
