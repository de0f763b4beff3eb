"""How a command comes to a line as a guest: through the agent that has it open, else by opening it itself.

--link ID        of the running agent; without one, of the configuration
--host, ...      whatever the driver calls a place; where the running agent has that very line, it is asked
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from agent import control, plugins, settings
from agent.cli import asking, common
from agent.clock import Clock
from agent.commissioning import Commissioning, Guest
from agent.document import Problems
from agent.interfaces import Context, Misconfigured, Unavailable
from agent.memory import MemoryFile

SHARE = "a fifth"
"""What a driver lets its guests take of a line that is busy, as a person says it."""


def add_visit(parser: argparse.ArgumentParser) -> None:
    """Whom to ask, and which configuration."""
    asking.add_socket(parser)
    common.add_config(parser)


def tool(driver: str) -> Commissioning:
    """What this driver offers to a technician. Raises `Misconfigured` when there is nothing."""
    try:
        module = plugins.driver(driver)
    except LookupError as error:
        raise Misconfigured(str(error)) from error
    offered = getattr(module, "commissioning", None)
    if offered is None:
        raise Misconfigured(f"driver {driver}: has no commands for in front of the device; modbus has")
    found: Commissioning = offered()
    return found


@dataclass(slots=True)
class Visits:
    """Makes guests for one command."""

    driver: str
    socket: Path
    links: Sequence[Mapping[str, Any]] | None
    """Of the running agent; `None` when none runs."""

    @classmethod
    def of(cls, arguments: argparse.Namespace, driver: str) -> Visits:
        """Find out whether an agent runs. Raises `NotAnswered` when one does that does not answer."""
        return cls(driver, arguments.socket, running_links(arguments.socket))

    def host(self, place: Any) -> str | None:
        """The link of the running agent that has the line of this place, if one has."""
        owner = getattr(plugins.driver(self.driver), "owner", None)
        mine = owner(place) if owner else None
        return next(
            (
                str(link["id"])
                for link in self.links or ()
                if link["driver"] == self.driver and link["owner"] == mine and mine is not None
            ),
            None,
        )

    def remarks(self, places: Sequence[Any]) -> Sequence[str]:
        """What whoever visits these lines should know beforehand."""
        hosts = dict.fromkeys(host for place in places if (host := self.host(place)))
        return [
            f"The running agent has this line as its link {host}: it is asked as a guest, whose questions take at most "
            f"{SHARE} of the line while devices are due, so it may take up to five times as long."
            for host in hosts
        ]

    @asynccontextmanager
    async def visit(self, place: Any) -> AsyncIterator[Guest]:
        """See `agent.commissioning.Visit`."""
        if host := self.host(place):
            yield _Remote(self.socket, host)
            return
        context = Context(Clock(), MemoryFile().part(place.id))
        async with plugins.driver(self.driver).open(place, context) as link:
            if not hasattr(link, "ask"):
                raise Misconfigured(f"driver {self.driver}: answers no questions on its line")
            yield cast("Guest", link)


@dataclass(slots=True)
class _Remote:
    """A guest of a link that the running agent has open."""

    socket: Path
    link: str

    async def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = await asyncio.to_thread(
                control.ask, self.socket, "ask", link=self.link, request=dict(request)
            )
        except control.NotAnswered as error:
            raise Unavailable(str(error)) from error
        return answer


def running_links(socket: Path) -> Sequence[Mapping[str, Any]] | None:
    """The links of the running agent; `None` when none runs."""
    try:
        links: Sequence[Mapping[str, Any]] = control.ask(socket, "links")
    except control.NotRunning:
        return None
    return links


def configured(config: Path, link: str) -> Any:
    """The settings of a link of the configuration. Raises `Misconfigured`, with the known ones."""
    root = settings.load(config)
    for each in root.links:
        if each.id == link:
            return each
    known = ", ".join(each.id for each in root.links)
    raise Misconfigured(f"link {link}: not in {config}; expected one of {known}")


def places(arguments: argparse.Namespace, of: Commissioning, visits: Visits) -> Sequence[Any]:
    """The lines that the arguments speak of. Raises `Misused` when they speak of none, or of two at once."""
    try:
        given = of.places(arguments)
    except ValueError as error:
        raise common.Misused(str(error)) from error
    if arguments.link and given:
        raise common.Misused("expected a configured link or a place such as --host, found both")
    if arguments.link:
        return (configured(arguments.config, arguments.link),)
    if not given:
        known = ", ".join(str(link["id"]) for link in visits.links or () if link["driver"] == visits.driver)
        hint = f"; the running agent has {known}" if known else ""
        raise common.Misused(f"expected a configured link, or a place such as --host or --serial{hint}")
    if host := visits.host(given[0]):  # the line is as the running agent has it: there is nothing to try out
        return (_with_its_devices(arguments.config, host, given[0], visits),)
    return given


def _with_its_devices(config: Path, link: str, place: Any, visits: Visits) -> Any:
    """This place as the configuration has it, which knows its devices; the place itself where it does not."""
    try:
        known = configured(config, link)
    except (Problems, Misconfigured):  # the agent runs by another one
        return place
    return known if visits.host(known) == link else place
