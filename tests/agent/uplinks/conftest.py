"""What the tests of uplinks share: no library may complain behind our back."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _quiet_libraries(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Neither asyncio ("exception was never retrieved") nor aiomqtt or paho logs anything of weight."""
    yield
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
