"""Lines for a person: of a configuration, ready to be pasted, and of prose, as wide as the terminal."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections.abc import Mapping
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./:-]*")
"""A text that means itself in YAML without quotes, in a flow mapping too."""
WIDEST: Final = 100
"""Columns of prose: longer lines are hard to read, however wide the terminal."""


def flow(settings: Mapping[str, Any]) -> str:
    """One line of YAML: `{id: unit-1, unit_id: 1}`."""
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in settings.items()) + "}"


def block(settings: Mapping[str, Any], indent: str) -> str:
    """An item of a YAML list, a line for each setting."""
    lines = [f"{key}: {_scalar(value)}" for key, value in settings.items()]
    return "\n".join(f"{indent}{'- ' if number == 0 else '  '}{line}" for number, line in enumerate(lines))


def columns() -> int:
    """How wide the terminal is; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def prose(words: str, indent: str = "") -> str:
    """Break words into lines."""
    return textwrap.fill(
        words,
        width=min(columns(), WIDEST),
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _scalar(value: Any) -> str:
    if isinstance(value, Mapping):
        return flow(value)
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
