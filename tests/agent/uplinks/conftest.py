"""What the tests of uplinks share: who speaks, what is sent, and that no library complains behind our back."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest

from agent.fields import Place
from agent.interfaces import Gateway


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(id="gw-1", place=Place(), version="0")


@pytest.fixture(autouse=True)
def _quiet_libraries(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Neither asyncio ("exception was never retrieved") nor aiomqtt or paho logs anything of weight."""
    yield
    gc.collect()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
