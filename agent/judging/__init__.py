"""Judging: what makes a decoded value trustworthy, for every driver, between source and collector.

    source --sample--> judge --sample--> collector
                         |
                         +--> a second reading, at once, where a counter does what counters do not

What is demanded of a point is said in its settings (`agent.points`); `rules` reads them, `judge` holds each sample
against them, `counter` knows what a total may do.
"""

from __future__ import annotations

from typing import Any

from agent.interfaces import Driver
from agent.judging.judge import Judge, Judged
from agent.judging.marking import News
from agent.judging.rules import event_point, has_rules, points, problems, settings_of

__all__ = ["Judge", "Judged", "News", "event_point", "judge", "points", "problems", "settings_of"]


def judge(driver: Driver, device: Any) -> Judge | None:
    """The judge of a device; none, if its points have no rules."""
    settings = settings_of(driver, device)
    return Judge(settings, driver.points(device)) if any(map(has_rules, settings)) else None
