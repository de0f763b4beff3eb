"""What was learnt about the hardware outlives a restart, and costs the card next to nothing."""

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from agent import memory as under_test
from agent.memory import MemoryFile, open_memory


@pytest.fixture
def path(tmp_path):
    return tmp_path / "learnt.json"


async def test_what_was_learnt_is_known_after_a_restart(path):
    """By owner and key; what was forgotten is not."""
    async with open_memory(path) as memory:
        memory.part("link a").learn("refused", [7, 9])
        memory.part("link b").learn("refused", [1])
        memory.part("link b").learn("refused", None)
    async with open_memory(path) as memory:
        assert memory.part("link a").recall("refused") == [7, 9]
        assert memory.part("link b").recall("refused") is None


async def test_what_is_urgent_is_on_the_disk_soon(path, monkeypatch):
    """Together with what is not; and the file is whole whenever one looks."""
    monkeypatch.setattr(under_test, "SOON_S", 0.0)
    async with open_memory(path) as memory:
        memory.part("link").learn("counter", 5, urgent=False)
        memory.part("link").learn("refused", [7])
        async with asyncio.timeout(30):
            while not path.exists():  # noqa: ASYNC110  # a file has no event
                await asyncio.sleep(0)
        assert json.loads(path.read_bytes()) == {"link": {"counter": 5, "refused": [7]}}


async def test_what_is_not_urgent_waits_for_the_end(path):
    """A counter that moves each second is not a write each second."""
    async with open_memory(path) as memory:
        for reading in range(100):
            memory.part("link").learn("counter", reading, urgent=False)
            await asyncio.sleep(0)
        assert not path.exists()
    assert json.loads(path.read_bytes()) == {"link": {"counter": 99}}


@pytest.mark.parametrize("damage", [b"", b"\x00" * 100, b'{"link": 7}', b"[" * 100_000, b'{"link'])
async def test_a_damaged_file_is_begun_anew(path, damage):
    """The agent starts whatever stands there, and says so."""
    path.write_bytes(damage)
    with capture_logs() as logs:
        async with open_memory(path) as memory:
            assert memory.part("link").recall("refused") is None
            memory.part("link").learn("refused", [7])
    assert [entry["event"] for entry in logs] == ["memory.unreadable"]
    assert json.loads(path.read_bytes()) == {"link": {"refused": [7]}}


async def test_a_file_that_cannot_be_written_costs_nothing_but_what_was_learnt(tmp_path):
    """It is said once; the agent goes on, and knows it until it ends."""
    with capture_logs() as logs:
        async with open_memory(tmp_path / "nowhere" / "learnt.json") as memory:
            memory.part("link").learn("refused", [7])
            await memory.write()
            await memory.write()
            assert memory.part("link").recall("refused") == [7]
    assert [entry["event"] for entry in logs] == ["memory.not_written"]


async def test_what_is_urgent_and_could_not_be_written_is_tried_again_soon(tmp_path, monkeypatch):
    """It stays urgent: a card that was full for a moment does not cost a quarter of an hour."""
    monkeypatch.setattr(under_test, "SOON_S", 0.0)
    monkeypatch.setattr(under_test, "AGAIN_S", 0.0)
    path = tmp_path / "later" / "learnt.json"
    async with open_memory(path) as memory, asyncio.timeout(30):
        memory.part("link").learn("refused", [7])
        assert not await memory.write()
        path.parent.mkdir()
        while not path.exists():  # noqa: ASYNC110  # a file has no event
            await asyncio.sleep(0)


async def test_between_two_attempts_is_a_pause(tmp_path, monkeypatch):
    """A card that cannot be written is not asked all the time."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            raise asyncio.CancelledError

    memory = MemoryFile(tmp_path / "nowhere" / "learnt.json")
    memory.part("link").learn("refused", [7])
    monkeypatch.setattr(under_test.asyncio, "sleep", pause)
    with pytest.raises(asyncio.CancelledError):
        await memory.keep()
    assert pauses == [under_test.SOON_S, under_test.AGAIN_S] * 2


def test_without_a_path_nothing_is_written():
    """For commands that open a link by themselves."""
    memory = MemoryFile()
    memory.part("link").learn("refused", [7])
    assert memory.part("link").recall("refused") == [7]
