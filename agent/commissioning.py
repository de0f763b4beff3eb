"""What a driver offers to a technician in front of the device: to search a line, to look at what nobody has described.

A driver that offers it has a function `commissioning()` that gives a `Commissioning`: a module, as a rule, imported
only then. The command line finds it through `plugins` and knows no protocol; the driver knows no terminal. What it
asks, it asks as a `Guest` of a link: one that the running agent has open, or one that was opened for nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import msgspec

from agent.interfaces import Context, Link
from agent.recording import Frame
from agent.sample import Sample


class Guest(Protocol):
    """Whoever may look around on a line beside its owner's schedule: a `GuestLink`, here or in the running agent."""

    async def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask one question, as `GuestLink.ask`."""


Visit: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Guest]]
"""Become a guest on the link with these `LinkSettings`; its devices, if it has any, are not polled for it. Raises `Unavailable`, `Misconfigured`."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A device that answers on a line."""

    where: str
    """Its address: `unit 12`."""
    answer_ms: float
    what: str
    """Which type it is, or how it answered."""
    device: Mapping[str, Any]
    """Its settings, as they would stand in the configuration."""
    ready: bool = False
    """Whether these are all that is needed to read it; its points are not known otherwise."""
    configured: str | None = None
    """Its id, if it is in the configuration already."""


class Search(Protocol):
    """Whoever wants to know how a search goes on: told in this order, again for each line that is searched."""

    def begins(self, line: str, words: str, longest_s: float) -> None:
        """On this line, in these words; it takes no longer than this."""

    def goes_on(self, words: str, done: int, of: int) -> None:
        """So many steps of so many are done; `words` say what comes next."""

    def found(self, link: Mapping[str, Any], found: Found) -> None:
        """A device answers; `link` are the settings of its line, as they would stand in the configuration."""

    def remarks(self, words: str) -> None:
        """Something that whoever searches should know."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest thing that can be read, as it came."""

    address: int
    hex: str
    unsigned: int
    signed: int
    bits: str
    text: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One way to read some of them."""

    address: str
    read_as: str
    """As it is written in the configuration: `int32 CDAB`."""
    raw: float | str | None
    scale: str
    value: float | str | None
    fit: int
    """0: cannot be; 1: rarely seen; 2: usual; 3: as expected."""
    best: bool
    """It is read as what is proposed."""


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What was read where nothing is configured, and what it could mean."""

    title: str
    words: Sequence[Word]
    candidates: Sequence[Candidate]
    """Best first."""
    remarks: Sequence[str]
    proposals: Sequence[Mapping[str, Any]]
    """The settings of points, as they would stand in the configuration."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A link with a recording at its other end."""

    link: Link
    devices: Sequence[str]
    """The configured devices of which something was recorded."""
    over: Callable[[str], bool]
    """Whether a device, by its id, was asked for more than was recorded of it: what it said last is a repetition."""
    remarks: Callable[[], Sequence[str]]
    """What was asked for and is not in the recording."""


class Commissioning(Protocol):
    """What a driver offers beside its links. Options are `argparse`'s; a wrong one is a `ValueError` in words."""

    def add_place(self, parser: argparse.ArgumentParser) -> None:
        """Add the options that say where a link leads that is in no configuration."""

    def places(self, arguments: argparse.Namespace) -> Sequence[Any]:
        """The `LinkSettings`, without devices, that those options speak of, likeliest first; none if none was given."""

    def add_scan(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of a search."""

    async def scan(
        self, arguments: argparse.Namespace, places: Sequence[Any], visit: Visit, search: Search
    ) -> None:
        """Search these lines, telling as it goes on. Only reads. Raises `Unavailable` when no line can be had."""

    def add_probe(self, parser: argparse.ArgumentParser) -> None:
        """Add the options that say what to read and what is known of it."""

    async def probe(self, arguments: argparse.Namespace, guest: Guest) -> Probed:
        """Read something once, and say in how many ways it can be read. Raises `Unavailable` when nothing comes."""

    async def raw(self, device: Any, guest: Guest, now_ns: Callable[[], int]) -> tuple[Sample, Sequence[str]]:
        """Read a configured device once: its sample, and for each of its points what it was made of."""

    def replay(
        self, link: Any, frames: Iterable[Frame], context: Context
    ) -> AbstractAsyncContextManager[Replay]:
        """Open a configured link on whose other end somebody answers as in a recording."""
