"""The ledger finds every sum that does not come out."""

from __future__ import annotations

import pytest

from agent.buffer import Ledger, UplinkLedger
from agent.buffer.ledger import Drop


def ledger(**changes: int) -> Ledger:
    """One that balances, with one count changed."""
    counts = {"stored": 100, "acknowledged": 50, "waiting": 20, "filtered": 15, "refused": 5, "lost": 10}
    counts |= {"read": 103, "all_stored": 100, "malformed": 3} | changes
    uplink = UplinkLedger(
        **{name: counts[name] for name in ("stored", "acknowledged", "waiting", "filtered", "refused")},
        dropped={Drop.LOST: counts["lost"]},
    )
    return Ledger(
        read=counts["read"],
        stored=counts["all_stored"],
        dropped={Drop.MALFORMED: counts["malformed"]},
        uplinks={"city": uplink},
    )


def test_a_ledger_in_which_every_reading_is_accounted_for_has_no_problem():
    """Read is stored and dropped; stored is acknowledged, waiting, filtered, refused and dropped."""
    assert ledger().problems() == []
    assert ledger().document()["problems"] == []
    assert ledger().document()["uplinks"]["city"]["dropped"] == {"lost": 10}


@pytest.mark.parametrize(
    "name",
    ["read", "all_stored", "malformed", "stored", "acknowledged", "waiting", "filtered", "refused", "lost"],
)
def test_one_reading_too_many_anywhere_is_found(name):
    """Whichever count is wrong by one, a sum says so in words."""
    right = {"read": 103, "all_stored": 100, "malformed": 3, "stored": 100, "acknowledged": 50}
    right |= {"waiting": 20, "filtered": 15, "refused": 5, "lost": 10}
    (problem,) = ledger(**{name: right[name] + 1}).problems()
    assert " is not " in problem
