"""Who looks on at a line while the agent runs it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from agent.gatherer import Gatherer
from agent.guests import Guests
from agent.recording import FORGOTTEN_NS
from tests.emulators.virtual_time import VirtualClock


class Clock(VirtualClock):
    """Stands still."""

    def monotonic_ns(self) -> int:
        return 0


def a_gatherer() -> Any:
    """One that notes who listens."""
    gatherer = SimpleNamespace(settings=SimpleNamespace(id="line", driver="modbus"), tap=None)
    gatherer.listen = lambda tap: setattr(gatherer, "tap", tap)
    return gatherer


async def test_a_recording_goes_on_over_a_reload():
    """A link whose settings change gets another gatherer: that one is listened to as well, from the next question on."""
    here = [a_gatherer()]
    guests = Guests(lambda: cast("list[Gatherer]", here), Clock())
    cursor = (await guests.record("line"))["cursor"]
    here[0].tap("sent", b"1", 1)
    here[0] = a_gatherer()
    answer = await guests.record("line", cursor)
    here[0].tap("received", b"2", 2)
    later = await guests.record("line", answer["cursor"])
    assert [frame.get("sent") or frame["received"] for frame in (*answer["frames"], *later["frames"])] == [
        "31",
        "32",
    ]
    assert later["lost"] == 0


async def test_a_line_that_nobody_records_any_more_is_left_alone():
    """The first frame after that ends it; whoever asks again begins anew."""
    gatherer = a_gatherer()
    guests = Guests(lambda: [gatherer], Clock())
    await guests.record("line")
    gatherer.tap("sent", b"1", FORGOTTEN_NS + 1)
    assert gatherer.tap is None
    await guests.record("line")
    assert gatherer.tap is not None
