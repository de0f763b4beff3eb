"""Which device types a unit can be: what the signs of all profiles need is read of it, once each, and compared.

A device may be silent where it should refuse. After two questions in vain the rest is not asked: a search goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from drivers.modbus.identity import asked, identify
from drivers.modbus.inquiry import Response
from drivers.modbus.plan import Span
from drivers.modbus.profile import Profile

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


def described(name: str, profile: Profile) -> str:
    """`Eastron SDM630 (eastron-sdm630)`."""
    return f"{profile.manufacturer} {profile.model} ({name})"
