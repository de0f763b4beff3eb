"""What `simulate` serves, by name, and what is said to whoever types while it runs: `meter-3 late 2s`, `list`, `help`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from agent.faults import explained, order
from agent.interfaces import Emulation

LANGUAGE: Final = f"""what a device, or a link with all its devices, can do wrong; faults add up until it is good again:
{explained()}"""


class Stage:
    """All that is served, by the names that orders may have."""

    def __init__(self) -> None:
        self._by_name: dict[str, Emulation] = {}
        self._all: list[Emulation] = []

    def add(self, link: str, devices: Iterable[str], served: Emulation) -> None:
        """A link is served."""
        self._all.append(served)
        self._by_name |= dict.fromkeys([*devices, link], served)

    def told(self, line: str) -> str:
        """Do what was typed; what is to be said to it."""
        match line.strip():
            case "":
                return ""
            case "help":
                return f"{LANGUAGE}such as: meter-3 late 2s   meter-3 good; list shows what is wrong now"
            case "list":
                return self._listed()
        try:
            return self.inflict(line)
        except ValueError as error:
            return str(error)

    def inflict(self, words: str) -> str:
        """Give a device or link what the words say; what it has by then. Raises `ValueError`."""
        name, fault = order(words)
        served = self._by_name.get(name)
        if served is None:
            raise ValueError(f"there is no {name} here; there are {', '.join(self._by_name)}")
        served.inflict(name, fault)
        return f"{name}: {self._words(name, served)}"

    def _listed(self) -> str:
        faulty = [f"{name}: {self._words(name, served)}" for served in self._all for name in served.faults]
        return "\n".join(faulty) or "all are good"

    def _words(self, name: str, served: Emulation) -> str:
        return ", ".join(map(str, served.faults.get(name, ()))) or "good"
