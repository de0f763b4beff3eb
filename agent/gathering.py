"""All links of the gateway, a task for each; and what happens to them when the configuration changes.

A change is a difference: a link whose settings are as they were stays open, and its devices miss nothing; also where no
more has changed than which devices are in service. One that is new is opened, one that is gone is closed, and one that
changed is both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from agent.gatherer import Gatherer
from agent.interfaces import LinkBase

log = structlog.get_logger()

CLOSE_S = 5.0
"""How long a link may take to close before its successor is opened all the same."""


class Gathering:
    """The gatherers of all links, at work."""

    def __init__(self, links: Iterable[LinkBase], make: Callable[[LinkBase], Gatherer]) -> None:
        """`make` gives the gatherer of a link; it is called for each link, and again for one that changed."""
        self._make = make
        self._gatherers = {link.id: make(link) for link in links}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group = asyncio.TaskGroup()

    @property
    def gatherers(self) -> Sequence[Gatherer]:
        """One for each link, in the order of the configuration."""
        return tuple(self._gatherers.values())

    async def run(self, started: Callable[[], None]) -> None:
        """Gather until cancelled: links that a person must mend do not end it. `started` is called when all have begun."""
        async with self._group:
            for gatherer in self._gatherers.values():
                self._begin(gatherer)
            await asyncio.sleep(0)  # one turn of the loop: every one has begun
            started()
            await asyncio.Event().wait()

    async def change(self, links: Sequence[LinkBase]) -> list[str]:
        """Have these links from now on; the ids of those that are new, gone, or not as they were."""
        wanted = {link.id: link for link in links}
        same = {name for name, gatherer in self._gatherers.items() if wanted.get(name) == gatherer.settings}
        kept = {
            name
            for name, gatherer in self._gatherers.items()
            if name in wanted and gatherer.adopt(wanted[name])
        }
        closing = [self._tasks.pop(name) for name in self._gatherers if name not in kept]
        for task in closing:
            task.cancel()
        if closing:
            _, stuck = await asyncio.wait(closing, timeout=CLOSE_S)
            for task in stuck:
                log.warning("link.not_closed", link=task.get_name(), error=f"not closed within {CLOSE_S:g} s")
        changed = [name for name in [*self._gatherers, *wanted] if name not in same]
        self._gatherers = {
            name: self._gatherers[name] if name in kept else self._make(link) for name, link in wanted.items()
        }
        for name, gatherer in self._gatherers.items():
            if name not in kept:
                self._begin(gatherer)
        return list(dict.fromkeys(changed))

    def _begin(self, gatherer: Gatherer) -> None:
        name = gatherer.settings.id
        self._tasks[name] = self._group.create_task(gatherer.run(), name=name)
