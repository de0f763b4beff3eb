"""The record of commands is on the disk, bounded, and survives what a disk does to it."""

from __future__ import annotations

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from agent.commands import Audit
from agent.commands import audit as under_test


@pytest.fixture
def path(tmp_path):
    return tmp_path / "commands.ndjson"


def numbers(path):
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


async def test_one_line_each(path):
    """Whatever stands in it; at once when several are added at once."""
    audit = Audit(path)
    await audit.add({"n": 0, "value": 'a "text"\nof two lines'})
    await asyncio.gather(*(audit.add({"n": number}) for number in range(1, 20)))
    assert sorted(numbers(path)) == list(range(20))
    assert path.stat().st_mode & 0o007 == 0


async def test_bounded(path, monkeypatch):
    """Old files are dropped, the newest is the one without a number, and no line is lost between them."""
    monkeypatch.setattr(under_test, "MOST_BYTES", 50)
    audit = Audit(path)
    for number in range(100):
        await audit.add({"n": number})
    files = [path.with_name(f"{path.name}.{number}") for number in (4, 3, 2, 1)] + [path]
    kept = [number for file in files for number in numbers(file)]
    assert kept == list(range(kept[0], 100))
    assert sorted(file.name for file in path.parent.iterdir()) == sorted(file.name for file in files)


async def test_half_a_line(path):
    """What a power cut left half is ended, and the next line stands by itself."""
    path.write_bytes(b'{"n":0}\n{"n":')
    audit = Audit(path)
    await audit.add({"n": 2})
    assert path.read_bytes() == b'{"n":0}\n{"n":\n{"n":2}\n'


async def test_a_disk_that_fails(tmp_path):
    """It is said aloud once, and once that it is over; nothing else stops."""
    folder = tmp_path / "gone"
    audit = Audit(folder / "commands.ndjson")
    with capture_logs() as logs:
        await audit.add({"n": 0})
        await audit.add({"n": 1})
        folder.mkdir()
        await audit.add({"n": 2})
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("audit.not_written", "error"),
        ("audit.not_written", "debug"),
        ("audit.written", "info"),
    ]
    assert numbers(folder / "commands.ndjson") == [2]
