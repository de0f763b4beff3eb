"""docs/operations.md is what people read at night: what it says of events and exit codes is what the code does."""

import re
from pathlib import Path

from agent.cli import exits

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
LOUD = re.compile(r'\.(?:warning|error|critical|exception)\(\s*f?"([a-z{}._]+)"')
KINDS = ("link", "device", "uplink", "lease")


def events_of_the_code():
    """Every event that is written at warning or above; those of the supervisor for each kind of thing."""
    found = set()
    for folder in ("agent", "drivers"):
        for file in (ROOT / folder).rglob("*.py"):
            for event in LOUD.findall(file.read_text(encoding="utf-8")):
                name = event.removeprefix("{self._kind}")
                found |= {event} if name == event else {f"{kind}{name}" for kind in KINDS}
    # A device hands the loss of its link upwards; a lease that a person must mend is `lease.abandoned`.
    return found - {"device.unavailable", "lease.misconfigured"}


def test_every_loud_event_is_explained():
    """Whoever is woken by an event finds it in the table; nobody has to read the code at night."""
    unexplained = {event for event in events_of_the_code() if f"`{event}`" not in TEXT}
    assert unexplained == set()


def test_every_explained_event_exists():
    """The table keeps no event that the code forgot."""
    code = "\n".join(
        file.read_text(encoding="utf-8")
        for folder in ("agent", "drivers")
        for file in (ROOT / folder).rglob("*.py")
    )
    explained = re.findall(r"`([a-z]+\.[a-z_]+)`", TEXT.partition("## Events")[2].partition("## Exit")[0])
    assert len(explained) > 20
    gone = {
        event
        for event in explained
        if f'"{event}"' not in code
        and not (event.partition(".")[0] in KINDS and f'{{self._kind}}.{event.partition(".")[2]}"' in code)
    }
    assert gone == set()


def test_every_exit_code_is_explained():
    """The codes are the program's."""
    section = TEXT.partition("## Exit codes")[2].partition("##")[0]
    codes = {int(code) for code in re.findall(r"\b(\d+)\b", section)}
    assert codes >= {exits.FINE, exits.FAILED, exits.USAGE, exits.UNAVAILABLE, exits.CONFIGURATION}
