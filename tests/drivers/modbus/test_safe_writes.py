"""Whatever is asked, by whom, when and how often: nothing reaches a device that its configuration does not allow."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.clock import Clock
from agent.command import Command
from agent.commands import Audit, Commands, Records
from agent.interfaces import Context
from agent.memory import MemoryFile
from drivers import modbus
from drivers.modbus.point import PointSettings
from drivers.modbus.profile import Profile
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.values.registers import Table, Type
from drivers.modbus.writing.writable import RegisterWrite
from tests.emulators.holding import Holding

MINUTE = timedelta(minutes=1)
NAMES = ["setpoint", "mode", "pump", "boost", "alarm", "curve"]


class Skipping(Clock):
    """The machine's clock, but that a test may let time pass."""

    ahead_ns = 0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.ahead_ns

    def wall_ns(self) -> int:
        return super().wall_ns() + self.ahead_ns


def holding(name, address, **how):
    return PointSettings(name=name, table=Table.HOLDING, address=address, **how)


def device():
    """Of a type with six points: three of which its own configuration allows to be written, and one of its own."""
    profile = Profile(
        manufacturer="Air",
        model="V1",
        source=("manual",),
        verified="no",
        points=(
            holding("setpoint", 10, register_type=Type.INT16, scale=Fraction(1, 10), write=RegisterWrite(minimum=Fraction(12), maximum=Fraction(30), step=Fraction("0.5"), most_change=Fraction(3), every=MINUTE)),
            holding("mode", 11, register_type=Type.UINT16, labels={0: "stopped", 1: "auto"}, write=RegisterWrite()),
            holding("boost", 20, register_type=Type.BOOL, bit=3, write=RegisterWrite()),
            holding("alarm", 12, register_type=Type.UINT16),
            holding("curve", 13, register_type=Type.UINT16, write=RegisterWrite(minimum=Fraction(0), maximum=Fraction(9))),
        ),
    )  # fmt: skip
    return DeviceSettings(
        id="vent-1",
        profile=profile,
        points=(PointSettings(name="pump", table=Table.COIL, address=0, write=RegisterWrite(every=MINUTE)),),
        writable={
            "setpoint": RegisterWrite(minimum=Fraction(18), maximum=Fraction(24), fallback="20"),
            "mode": RegisterWrite(every=timedelta(0)),
            "boost": RegisterWrite(every=timedelta(0), fallback="off"),
        },
    )


@dataclass
class Owner:
    settings: LinkSettings
    link: object

    def writable(self):
        return self.link


class Watch:
    """Looks at every write as it arrives at the device, and at the time; `wrong` are those that may not be."""

    def __init__(self, there: Holding, clock: Clock) -> None:
        self.there, self.clock = there, clock
        self.wrong: list[str] = []
        self.last_s: dict[str, float] = {}
        self.answer, there.answer = there.answer, self._answer

    def _answer(self, pdu: bytes) -> bytes:
        if pdu[0] not in {1, 3} and not self._allowed(pdu.hex(), int.from_bytes(pdu[3:5])):
            self.wrong.append(pdu.hex())
        return self.answer(pdu)

    def _allowed(self, pdu: str, word: int) -> bool:
        match pdu[:6]:
            case "06000a":
                late = self._late("setpoint")
                near = abs(word - self.there.registers[10]) <= 30
                # The fall-back value comes when a lease ends, however soon and far.
                return word in range(180, 241, 5) and (word == 200 or (late and near))
            case "06000b":
                return word in {0, 1}
            case "160014":
                return pdu[6:] in {"fff70008", "fff70000"}
            case "050000":
                return word in {0, 0xFF00} and self._late("pump")
        return False

    def _late(self, name: str) -> bool:
        """Whether a minute has passed since it was last written."""
        now_s = self.clock.monotonic_ns() / 1e9
        last_s, self.last_s[name] = self.last_s.get(name, 0), now_s
        return now_s - last_s >= 59.999


FINE = {
    "setpoint": st.sampled_from([Decimal("18.5"), Decimal("19.5"), Decimal(20), 21.5, 22.0, 24]),
    "mode": st.sampled_from([0, 1]),
    "curve": st.integers(0, 9),
}
ODD = (
    st.integers(-1000, 1000)
    | st.decimals(15, 27, places=1)
    | st.floats()
    | st.sampled_from(["auto", 1e300, True])
)


def mostly(usual, *others):
    """A usual choice, or now and then one of the others."""
    return st.sampled_from([usual] * 4 * len(others) + [*others])


RARELY = mostly(*(False, True))


@st.composite
def orders(draw):
    """Something that somebody asks for, and what happens meanwhile."""
    point = draw(st.sampled_from(["setpoint", *NAMES, "setpoint", "nothing"]))
    return {
        "device": draw(mostly("vent-1", "vent-2")),
        "point": point,
        "value": draw(ODD if draw(RARELY) else FINE.get(point, st.booleans())),
        "lease": draw(mostly(None, MINUTE / 2, 10 * MINUTE, timedelta(days=2))),
        "source": draw(mostly("user anna", "city")),
        "takes_over": draw(st.booleans()),
        "late": draw(mostly(0, 61)),
        "repeat": draw(RARELY),
        "skip_s": draw(st.sampled_from([1.5, 1.5, 1.5, 0, 30, 61, 700])),
        "clamps": draw(RARELY),
        "restart": draw(RARELY),
    }


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(orders(), min_size=10, max_size=30))
def test_nothing_that_is_not_allowed(steps):
    """Every request that reaches the device is of a writable point, in its range, on a step, and not too soon."""
    with capture_logs():
        asyncio.run(play(steps))


async def play(steps):
    clock, memory = Skipping(), MemoryFile()
    async with Holding({10: 200, 11: 0, 12: 0, 13: 5, 20: 0xA5}, {0: False}) as there:
        watch = Watch(there, clock)
        link = LinkSettings(
            id="plant",
            driver="modbus",
            host="127.0.0.1",
            port=there.port,
            timeout=MINUTE,
            devices=(device(),),
        )
        async with modbus.open(link, Context(clock, memory.part("link plant"))) as opened:
            last = None
            while steps:
                async with commands(Owner(link, opened), memory, clock) as asked:
                    while steps:
                        each = steps.pop()
                        clock.ahead_ns += round(each["skip_s"] * 1e9)
                        there.takes = (
                            (lambda _, value: min(value, 210)) if each["clamps"] else (lambda _, value: value)
                        )
                        last = last if each["repeat"] and last else command(each, len(steps), clock)
                        outcome = await asked.execute(last)
                        assert outcome.command == last.id
                        if each["restart"]:
                            break
        assert watch.wrong == []
        assert there.registers[13] == 5
        assert there.registers[20] & ~8 == 0xA5 & ~8


def command(each, number, clock):
    now = datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC) - timedelta(seconds=each["late"])
    what = {key: each[key] for key in ("device", "point", "value", "lease", "source", "takes_over")}
    return Command(id=f"c{number}", requested_at=now, expires_at=now + MINUTE, **what)


@contextlib.asynccontextmanager
async def commands(owner, memory, clock):
    """From a start of the agent to its end."""
    records = Records(memory.part("commands"), clock, memory.write)
    made = Commands(lambda: [owner], records=records, audit=Audit(None), clock=clock)
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled() and running.exception():
            raise running.exception()
