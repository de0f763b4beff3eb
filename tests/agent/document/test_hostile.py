"""Whatever the files hold: settings, or problems with places. Never an exception, never for long."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings

from agent import settings
from agent.document import Problems

CONFIG = Path(__file__).parents[3] / "config"
EXAMPLE = (CONFIG / "gateway.yaml").read_text(encoding="utf-8")
ROOF = (CONFIG / "links" / "roof.yaml").read_bytes()
LINES = EXAMPLE.splitlines(keepends=True)
PIECES = strategies.sampled_from(
    [
        *(
            "\t",
            "\n",
            " ",
            "  ",
            ": ",
            "- ",
            "? ",
            "| ",
            "> ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "#",
            "'",
            '"',
            "&a ",
            "*a",
            "<<: ",
        ),
        *(
            "!secret ",
            "!include ",
            "!include links/roof.yaml",
            "!include gateway.yaml",
            "!!map ",
            "---\n",
            "...\n",
            "%YAML 9\n",
        ),
        *(
            "null",
            "~",
            "true",
            "0100",
            "-1",
            "1e999",
            "9" * 40,
            "nan",
            "\0",
            "\x07",
            "\ufeff",
            "\x85",
            "ä",
            "\U0001f600",
            "\\",
        ),
    ]
)
FUZZ = hypothesis_settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "roof.yaml").write_bytes(ROOF)
    return tmp_path


def held(folder, octets):
    """Read these bytes as a configuration; hold whatever comes to the promise."""
    (folder / "gateway.yaml").write_bytes(octets)
    try:
        settings.read(Path("gateway.yaml"), secrets=True)
    except Problems as error:
        problems = error.problems
    else:
        return ()
    assert problems
    for mark, message in problems:
        assert mark.file
        assert mark.line >= 1
        assert mark.column >= 1
        assert message
        assert "\n" not in message
    assert len(problems) <= 1100
    return problems


@given(strategies.binary(max_size=200))
@FUZZ
def test_any_bytes(folder, octets):
    """Bytes of any kind are problems: no configuration is that short."""
    assert held(folder, octets)


@given(
    strategies.lists(
        strategies.tuples(strategies.integers(0, len(EXAMPLE)), strategies.integers(0, 20), PIECES),
        min_size=1,
        max_size=6,
    )
)
@FUZZ
def test_the_example_with_pieces_exchanged(folder, cuts):
    """Slips of the keyboard, and worse."""
    text = EXAMPLE
    for start, length, piece in cuts:
        text = text[:start] + piece + text[start + length :]
    held(folder, text.encode())


@given(strategies.permutations(range(len(LINES))).map(lambda order: order[:40]), strategies.integers(-4, 4))
@FUZZ
def test_the_example_with_lines_moved(folder, moved, indent):
    """Lines deleted, doubled, and at the wrong depth."""
    lines = [*LINES]
    for source, target in zip(moved[::2], moved[1::2], strict=True):
        line = lines[source]
        lines[target] = (
            " " * indent + line if indent > 0 else line[min(-indent, len(line) - len(line.lstrip())) :]
        )
    held(folder, "".join(lines).encode())


@given(
    strategies.recursive(
        strategies.sampled_from(
            [
                "a",
                "1",
                "10s",
                "modbus",
                "json",
                "simulated",
                "!secret a",
                "!include links/roof.yaml",
                "~",
                '""',
            ]
        ),
        lambda inner: (
            strategies.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]")
            | strategies.dictionaries(
                strategies.sampled_from(
                    "gateway id place log level buffer size links driver devices profile points unit uplinks kind host format filter classes password tls".split()  # noqa: SIM905
                ),
                inner,
                max_size=5,
            ).map(lambda each: "{" + ", ".join(f"{key}: {value}" for key, value in each.items()) + "}")
        ),
        max_leaves=30,
    )
)
@FUZZ
def test_any_shape_of_known_words(folder, text):
    """Sections where words are wanted, and words where sections are."""
    held(folder, text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "{" * 100_000,
        "- " * 200_000,
        "a: [" + "[], " * 200_000 + "]",
        "a: " + "x" * 5_000_000,
        "".join(f"key{n}: {n}\n" for n in range(100_000)),
        "gateway: {id: a}\nlinks: [" + "{id: a, driver: simulated, devices: []}, " * 20_000 + "]",
        "gateway: {id: a}\nlinks: [" + "!include gateway.yaml, " * 50_000 + "]",
        '"' + "\\x41" * 500_000 + '"',
        "a: " + "!" * 500_000,
        "? " * 20_000,
        "#" * 5_000_000,
        "gateway: {id: a}\nuplinks: [{id: a, kind: mqtt, host: a, format: json, filter: {points: ['"
        + "*a" * 5_000
        + "b']}}]",
    ],
    ids=range(12),
)
def test_long_ones_end_soon(folder, text):
    """In time about in proportion to their length, with problems."""
    begun = time.process_time()
    assert held(folder, text.encode()) or "filter" in text or "#" in text
    assert (
        time.process_time() - begun < 60
    )  # each takes less than 3 s; one that grew with the square would take hours
