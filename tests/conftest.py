"""What tests of every part may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.emulators.broker import Broker


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A real mosquitto on loopback."""
    async with Broker(tmp_path / "mosquitto") as broker:
        yield broker
