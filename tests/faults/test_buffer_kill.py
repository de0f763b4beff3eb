"""kill -9 many times over."""

from __future__ import annotations

import pytest

from tests.emulators.killing import kill_and_compare


@pytest.mark.faults
@pytest.mark.timeout(900)
async def test_forty_kills_lose_nothing(tmp_path):
    """Whatever the process was doing, what it had accepted is there, and every number is one reading's."""
    assert await kill_and_compare(tmp_path, rounds=40, seed=2) > 1000
