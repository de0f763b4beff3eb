"""Every folder of tests/cases/configuration: a gateway.yaml, and what `check` prints about it, word for word."""

import re
from pathlib import Path

import pytest

from agent.cli import main

FOLDER = Path(__file__).parents[1] / "cases" / "configuration"
CASES = sorted(path.name for path in FOLDER.iterdir())
NOTE = re.compile(r"  |[a-z-]+: time on the line")
"""What check tells of a line; it has no place in the file."""
PROBLEM = re.compile(r"[\w./-]+\.yaml:[1-9]\d*:[1-9]\d*: \S.*")


@pytest.fixture(params=CASES)
def case(request, monkeypatch):
    monkeypatch.chdir(FOLDER / request.param)
    for name in ("CREDENTIALS_DIRECTORY", "DIACCESS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return FOLDER / request.param


def test_check_prints_what_the_case_says(case, capsys):
    """The messages are part of the product: a change of one is seen, and decided."""
    code = main(["check", "--config", "gateway.yaml"])
    said = capsys.readouterr()
    assert f"{said.out}{said.err}exit code {code}\n" == (case / "printed.txt").read_text(encoding="utf-8")


def test_every_line_has_its_place_and_none_is_a_stack_trace(case, capsys):
    """Each problem names file, line and column; the last line counts them."""
    code = main(["check", "--config", "gateway.yaml"])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    *problems, last = (said.err if code else said.out).splitlines()
    assert all(PROBLEM.fullmatch(line) for line in problems if not NOTE.match(line))
    assert code in {0, 78}
    if code:
        assert last.startswith(f"diaccess-agent: {len(problems)} problem")


def test_ten_mistakes_give_ten_messages(monkeypatch, capsys):
    """All problems at once, each at the line of its mistake."""
    monkeypatch.chdir(FOLDER / "ten-mistakes")
    lines = Path("gateway.yaml").read_text(encoding="utf-8").splitlines()
    marked = [number for number, line in enumerate(lines, 1) if re.search(r" # \d+: ", line)]
    assert main(["check", "--config", "gateway.yaml"]) == 78
    problems = capsys.readouterr().err.splitlines()[:-1]
    assert len(problems) == len(marked) == 10
    assert [int(problem.split(":")[1]) for problem in problems] == marked
