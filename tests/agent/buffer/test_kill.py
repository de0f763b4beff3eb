"""kill -9 at any moment loses nothing that was accepted; more rounds in tests/faults."""

from __future__ import annotations

from tests.emulators.killing import kill_and_compare


async def test_a_killed_agent_has_what_it_accepted_and_not_what_it_settled(tmp_path):
    """Accepted samples are there after SIGKILL, settled rows do not return, and no number is given twice."""
    assert await kill_and_compare(tmp_path, rounds=3, seed=1) > 0
