"""kill -9 many times over, and the power with it."""

from __future__ import annotations

import pytest

from tests.emulators.killing import kill_and_compare
from tests.emulators.small_disk import ext4_disk

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


async def test_forty_kills_lose_nothing(tmp_path):
    """Whatever the process was doing, what it had accepted is there, and every number is one reading's."""
    assert await kill_and_compare(tmp_path, rounds=40, seed=2) > 1000


async def test_ten_power_cuts_lose_nothing(tmp_path):
    """What was accepted was on the medium: it is there although nothing that was not synced survived."""
    with ext4_disk(tmp_path / "card", 64 * 2**20) as card:

        def mend() -> None:
            card.unmount()
            card.mount()

        folder = card.path / "buffer"
        assert await kill_and_compare(folder, rounds=10, seed=3, cut=card.die, mend=mend) > 100
