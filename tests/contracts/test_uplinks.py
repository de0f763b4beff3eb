"""Every upstream behind the seam is found here and held to `agent.upstream.Uplink` and `Connection`.

An uplink needs something to lead to: `UPSTREAMS` has, by its name, what to run and the settings that lead there. A
new uplink without an entry fails.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent import plugins
from agent.fields import Place
from agent.interfaces import Unavailable
from agent.upstream import Answer, Connection, FormatBase, Gateway, Message, Span, UplinkBase
from tests.emulators.broker import Broker
from tests.emulators.ports import free_port

UPLINKS = plugins.names("uplinks")
GATEWAY = Gateway(id="demo-01", place=Place(), version="0.1.0")
IN_TIME_S = 20.0


class Upstream:
    """Something to lead to, and how to make it go away."""

    def __init__(self, settings: dict[str, Any], vanish: Callable[[], Any]) -> None:
        self.settings = settings
        self.vanish = vanish


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[Upstream]:
    async with Broker(folder / "mosquitto") as broker:
        yield Upstream({"host": "127.0.0.1", "port": broker.port}, broker.kill)


UPSTREAMS: dict[str, Callable[[Path], AbstractAsyncContextManager[Upstream]]] = {"mqtt": mosquitto}
NOWHERE: dict[str, Callable[[], dict[str, Any]]] = {
    "mqtt": lambda: {"host": "127.0.0.1", "port": free_port()}
}


def connect(name: str, **settings: Any) -> AbstractAsyncContextManager[Connection]:
    type_ = plugins.settings_type("uplinks", name)
    made = type_(id="u", kind=name, format=FormatBase(kind="json"), **settings)
    return plugins.uplink(name).connect(made, GATEWAY, None, lambda topic, payload: None)


def covering(number: int, size: int = 0) -> Message:
    return Message("t/live", b"%d" % number + b"." * size, covers=(Span("5" * 32, number, number + 1),))


@pytest.fixture(params=UPLINKS)
async def upstream(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, Upstream]]:
    async with UPSTREAMS[request.param](tmp_path) as upstream:
        yield request.param, upstream


@pytest.mark.parametrize("name", UPLINKS)
def test_an_uplink_is_a_module_with_settings_and_connect(name: str) -> None:
    """Its settings derive from `UplinkBase`, and both it and they explain themselves."""
    module = plugins.find("uplinks", name)
    type_ = plugins.settings_type("uplinks", name)
    assert issubclass(type_, UplinkBase)
    assert inspect.getdoc(module)
    assert inspect.getdoc(type_)
    assert list(inspect.signature(module.connect).parameters) == ["settings", "gateway", "will", "received"]


async def test_a_window_of_messages_is_accepted(upstream: tuple[str, Upstream]) -> None:
    """As many as `window` at once, up to `limit` bytes each, and upstream answers for every one."""
    name, there = upstream
    async with asyncio.timeout(IN_TIME_S), connect(name, **there.settings) as session:
        assert session.window >= 1
        assert session.limit >= 1
        verdicts = await asyncio.gather(
            *(session.publish(covering(number)) for number in range(session.window)),
            session.publish(covering(0, session.limit - 1)),
        )
        assert {verdict.answer for verdict in verdicts} == {Answer.ACCEPTED}


async def test_a_message_beyond_the_limit_is_refused_and_nothing_else_happens(
    upstream: tuple[str, Upstream],
) -> None:
    """It is never sent to an upstream that it would offend: the session lives on."""
    name, there = upstream
    async with asyncio.timeout(IN_TIME_S), connect(name, **there.settings) as session:
        verdict = await session.publish(covering(1, 2 * session.limit))
        assert verdict.answer is Answer.REFUSED
        assert verdict.words
        assert (await session.publish(covering(2))).answer is Answer.ACCEPTED


async def test_a_lost_session_says_so(upstream: tuple[str, Upstream]) -> None:
    """When upstream vanishes, `lost` and every publish raise `Unavailable`, and leaving takes no time limit."""
    name, there = upstream
    async with asyncio.timeout(IN_TIME_S), connect(name, **there.settings) as session:
        await session.publish(covering(1))
        await there.vanish()
        with pytest.raises(Unavailable):
            await session.lost()
        with pytest.raises(Unavailable):
            await session.publish(covering(2))


async def test_one_session_after_the_other(upstream: tuple[str, Upstream]) -> None:
    """Each connects anew and knows nothing of the one before, whether that was left well, by error or cancelled."""
    name, there = upstream
    async with asyncio.timeout(IN_TIME_S):
        for end in (None, ZeroDivisionError, asyncio.CancelledError):
            try:
                async with connect(name, **there.settings) as session:
                    assert (await session.publish(covering(1))).answer is Answer.ACCEPTED
                    if end is not None:
                        raise end
            except (ZeroDivisionError, asyncio.CancelledError):
                assert end is not None


@pytest.mark.parametrize("name", UPLINKS)
async def test_an_upstream_that_is_not_there_is_unavailable(name: str) -> None:
    """In one line that begins with where it was looked for."""
    async with asyncio.timeout(IN_TIME_S):
        with pytest.raises(Unavailable) as caught:
            async with connect(name, **NOWHERE[name]()):
                pass
        assert str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_uplinks_are_found_and_can_be_tried() -> None:
    """Every uplink has something to lead to in this file."""
    assert "mqtt" in UPLINKS
    assert set(UPLINKS) == set(UPSTREAMS) == set(NOWHERE)
