"""The whole agent in this process: what opens and closes in which order."""

import asyncio
import threading
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from agent import app, control
from agent.buffer import BufferSettings
from agent.buffer.store import Store
from agent.interfaces import Unavailable
from agent.service import Notify
from agent.settings import GatewaySettings, Root
from drivers.simulated import DeviceSettings, LinkSettings, Model

LIMIT_S = 30


def settings(folder):
    device = DeviceSettings(id="room-1", model=Model.ROOM, interval=timedelta(milliseconds=100))
    return Root(
        gateway=GatewaySettings(id="gw-1"),
        buffer=BufferSettings(folder=folder / "buffer", commit_interval=timedelta(0)),
        links=(LinkSettings(id="try-out", driver="simulated", devices=(device,)),),
    )


def never():
    """Nobody asks for the configuration to be read again."""
    return app.Reread(asyncio.Event(), lambda: None)


@asynccontextmanager
async def serving(folder):
    """An agent that answers on folder/control; cancelled at the end."""
    task = asyncio.create_task(app.serve(settings(folder), folder / "control", Notify(), never()))
    try:
        async with asyncio.timeout(LIMIT_S):
            while not task.done():
                try:
                    await asyncio.to_thread(control.ask, folder / "control", "status")
                    break
                except control.NotAnswered:
                    await asyncio.sleep(0.02)
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_disk_that_hangs_does_not_hold_up_stopping(tmp_path, monkeypatch):
    """A card that does not answer is given up in time: the agent has five seconds to stop."""
    begun, go_on = threading.Event(), threading.Event()
    commit = Store.commit

    def hang(store, change):
        begun.set()
        assert go_on.wait(60)
        return commit(store, change)

    loop = asyncio.get_running_loop()
    try:
        with capture_logs() as logs:
            async with serving(tmp_path) as task:
                monkeypatch.setattr(Store, "commit", hang)
                assert await asyncio.to_thread(begun.wait, LIMIT_S)
                begun_s = loop.time()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert loop.time() - begun_s < 8  # it gives up after four; a busy machine has room
        assert "agent.stopped_uncounted" in [entry["event"] for entry in logs]
    finally:
        go_on.set()


async def test_a_second_agent_is_refused_before_it_touches_the_store(tmp_path):
    """It says that another one runs, and nothing about a disk that fails."""
    async with serving(tmp_path):
        with capture_logs() as logs, pytest.raises(Unavailable, match="another agent"):
            await app.serve(settings(tmp_path), tmp_path / "control", Notify(), never())
        assert [entry["event"] for entry in logs if entry["event"].startswith(("buffer", "agent"))] == []


async def test_the_last_words_add_up(tmp_path):
    """What was read is what was stored, and the store is closed behind it."""
    with capture_logs() as logs:
        async with serving(tmp_path) as task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    (last,) = [entry for entry in logs if entry["event"] == "agent.stopped"]
    assert last["read"] == last["stored"] > 0
    assert not [entry for entry in logs if entry["event"] == "ledger.unbalanced"]
