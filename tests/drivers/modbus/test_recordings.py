"""Every recording of a line under tests/cases/recordings gives the readings that stand beside it.

A case is what `record` wrote, the configuration that it was recorded under, and what `replay` printed of it once a person
had looked at it. A fault from a boiler room becomes one by copying its file.
"""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent import log
from agent.cli import exits, main

CASES = Path(__file__).parents[2] / "cases" / "recordings"
NAMES = sorted(path.name for path in CASES.iterdir())


def test_there_are_recordings():
    """An empty folder would pass."""
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_gives_its_readings(name, monkeypatch, capsys):
    """The driver itself reads from somebody who answers as it was recorded."""
    monkeypatch.setattr(log, "configure", lambda _: None)  # it is the whole process's
    case = CASES / name
    with capture_logs():
        code = main(["replay", str(case / "recording.ndjson"), "--config", str(case / "gateway.yaml")])
    assert code == exits.FINE
    assert capsys.readouterr().out == (case / "readings.txt").read_text(encoding="utf-8")
