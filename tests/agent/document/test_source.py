"""The files of a configuration become one tree; includes are put in, and everything is bounded."""

import os

import pytest
from yaml.nodes import SequenceNode

from agent.document import source
from agent.document.nodes import mark_of
from agent.document.source import ABSENT, Files


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write files, and read the first; gives the node and the messages with their places."""
    monkeypatch.chdir(tmp_path)

    def _read(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        problems = []
        root = Files(lambda mark, message: problems.append(f"{mark}: {message}")).read(
            f"{next(iter(texts))}.yaml"
        )
        return root, problems

    return _read


def test_an_included_file_is_put_in(files):
    """Its nodes keep the places that they have in it."""
    root, problems = files(a="x: !include b.yaml\n", b="y: 1\n")
    assert not problems
    ((_, included),) = root.value
    assert str(mark_of(included)) == "b.yaml:1:1"


def test_an_included_list_is_spliced_into_a_list(files):
    """But one that is included in place of a list is that list."""
    root, _ = files(a="[1, !include b.yaml, 4]\n", b="[2, !include c.yaml]\n", c="[3]\n")
    assert [each.value for each in root.value] == ["1", "2", "3", "4"]
    root, _ = files(a="x: !include b.yaml\n", b="[2]\n")
    assert isinstance(root.value[0][1], SequenceNode)


def test_a_file_may_be_included_twice(files):
    """It is no cycle: two links of one kind, say."""
    _, problems = files(a="[!include b.yaml, !include b.yaml]\n", b="1\n")
    assert not problems


@pytest.mark.parametrize(
    "includes", ["!include a.yaml", "!include ./a.yaml", "!include b.yaml", "!include link.yaml"]
)
def test_a_cycle_is_found_whatever_it_is_called(files, tmp_path, includes):
    """Also through another file, another spelling or a symbolic link."""
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    root, problems = files(a=f"[{includes}]\n", b="[!include a.yaml]\n")
    assert len(problems) == 1
    assert "cannot include itself" in problems[0]
    assert [each.tag for each in root.value] == [ABSENT]


def test_files_that_multiply_each_other_come_to_an_end(files):
    """Eight files that each include the next ten times would be a hundred million."""
    texts = {
        name: f"[{', '.join([f'!include {after}.yaml'] * 10)}]\n"
        for name, after in zip("abcdefg", "bcdefgh", strict=True)
    }
    _, problems = files(**texts, h="[x]\n")
    assert any("at most 256 files" in problem for problem in problems)


def test_files_within_files_come_to_an_end(files):
    """More than eight levels is nobody's plan."""
    _, problems = files(**{f"f{n}": f"[!include f{n + 1}.yaml]\n" for n in range(12)}, f12="[x]\n")
    assert problems == ["f8.yaml:1:2: !include: expected at most 8 files within each other"]


def test_nesting_in_files_within_files_is_no_recursion_too_deep(files):
    """The deepest that each bound allows, all at once, and from a stack that is deep already."""
    deep = {f"f{n}": f"{'[' * 30}!include f{n + 1}.yaml{']' * 30}\n" for n in range(8)}

    def from_below(depth):
        return from_below(depth - 1) if depth else files(**deep, f8="[" * 31 + "]" * 31)

    _, problems = from_below(150)
    assert not problems


def test_bytes_are_bounded_over_all_files(files, monkeypatch):
    """No file can fill the memory."""
    monkeypatch.setattr(source, "BYTES", 1 << 20)
    _, problems = files(a="[!include b.yaml, !include b.yaml]\n", b="x" * 600_000)
    assert problems == ["a.yaml:1:19: 'b.yaml' cannot be read: expected at most 1 MiB in all files"]


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        (b"a: \xe4\n", "a.yaml:1:4: expected UTF-8 text, found the byte 0xE4: save the file as UTF-8"),
        (
            b"a: 1\n# \xc3\xa4\xff",
            "a.yaml:2:4: expected UTF-8 text, found the byte 0xFF: save the file as UTF-8",
        ),
        (
            "a: 1".encode("utf-16"),
            "a.yaml:1:1: expected UTF-8 text, found the byte 0xFF: save the file as UTF-8",
        ),
    ],
)
def test_other_encodings_say_where(files, octets, problem):
    """At the first byte that does not fit."""
    assert files(a=octets) == (None, [problem])


def test_a_byte_order_mark_is_no_text(files):
    """As Windows' editors write it; places count without it."""
    root, problems = files(a=b"\xef\xbb\xbfa: 1\n")
    assert not problems
    assert root.value[0][0].value == "a"
    assert str(mark_of(root.value[0][0])) == "a.yaml:1:1"


@pytest.mark.parametrize("name", ["nowhere.yaml", ".", "pipe", "/dev/zero", "a/b", '"\\0"', "x" * 300])
def test_what_is_no_file_is_said_and_never_waited_for(files, tmp_path, name):
    """A pipe that nobody writes to, a device without an end, a folder, nothing."""
    os.mkfifo(tmp_path / "pipe")
    root, problems = files(a=f"[!include {name}]\n")
    assert len(problems) == 1
    assert "cannot be read" in problems[0]
    assert [each.tag for each in root.value] == [ABSENT]


def test_a_misspelt_file_name_is_guessed(files):
    """Among those beside it."""
    _, problems = files(a="[!include rof.yaml]\n", roof="1\n")
    assert problems == [
        "a.yaml:1:2: 'rof.yaml' cannot be read: No such file or directory: did you mean roof.yaml?"
    ]
