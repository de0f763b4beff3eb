"""`make install`, staged below a folder: what it puts where, and that it harms nothing. Needs the network, or WHEELS."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "systemd" / "install.sh"

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def script(what: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPT), what],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation below a folder."""
    folder = tmp_path_factory.mktemp("stage")
    done = script("install", DESTDIR=str(folder))
    assert done.returncode == 0, done.stderr
    assert "nothing was done to this system" in done.stdout
    return folder


@pytest.fixture
def copy(staged: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(staged, tmp_path / "stage", symlinks=True))


def agent(staged: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed command, by its own interpreter, from a folder where there is no checkout."""
    python = staged / "opt/diaccess-agent/bin/python"
    launcher = staged / "opt/diaccess-agent/bin/diaccess-agent"
    return subprocess.run(
        [python, "-I", launcher, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd="/"
    )


def test_everything_is_in_its_place(staged):
    """Unit, user, folders, command and first configuration are where systemd and people look for them."""
    for path in (
        "usr/local/lib/systemd/system/diaccess-agent.service",
        "usr/local/lib/sysusers.d/diaccess-agent.conf",
        "usr/local/lib/tmpfiles.d/diaccess-agent.conf",
        "opt/diaccess-agent/share/doc/README.md",
    ):
        assert stat.S_IMODE((staged / path).stat().st_mode) == 0o644, path
    assert (staged / "usr/local/bin/diaccess-agent").readlink() == Path(
        "/opt/diaccess-agent/bin/diaccess-agent"
    )
    launcher = (staged / "opt/diaccess-agent/bin/diaccess-agent").read_text(encoding="utf-8")
    assert launcher.startswith("#!/opt/diaccess-agent/bin/python -I\n")
    assert stat.S_IMODE((staged / "etc/diaccess-agent/gateway.yaml").stat().st_mode) == 0o640


def test_the_tree_knows_nothing_of_where_it_was_built(staged):
    """Neither scripts nor byte code name the staging folder or the checkout."""
    for path in files(staged):
        if (staged / path).is_symlink():
            continue
        content = (staged / path).read_bytes()
        assert str(staged).encode() not in content, path
        assert str(ROOT).encode() not in content, path


def test_the_tree_is_readable_by_the_service(staged):
    """Everybody may read the agent's tree, nobody but root may change it; its interpreter is none of a home folder."""
    for path in (staged / "opt").rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o022 == 0, path
            assert path.stat().st_mode & 0o004, path
    assert not (staged / "opt/diaccess-agent/bin/python").resolve().is_relative_to("/root")


def test_the_installed_agent_runs(staged):
    """The installed tree is complete: the command works from it alone, and its first configuration passes `check`."""
    version = agent(staged, "--version")
    assert version.returncode == 0, version.stderr
    checked = agent(staged, "check", "--config", str(staged / "etc/diaccess-agent/gateway.yaml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_again_replaces_the_tree_and_keeps_the_configuration(copy):
    """A second installation brings the new tree, leaves the configuration as it is, and leaves no rubbish."""
    config = copy / "etc/diaccess-agent/gateway.yaml"
    config.write_text(config.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    stale = copy / "opt/diaccess-agent/stale"
    stale.touch()
    done = script("install", DESTDIR=str(copy))
    assert done.returncode == 0, done.stderr
    assert config.read_text(encoding="utf-8").endswith("# mine\n")
    assert not stale.exists()
    assert [path.name for path in (copy / "opt").iterdir()] == ["diaccess-agent"]


def test_a_failed_installation_changes_nothing(copy):
    """When the libraries cannot be had, or do not have their hash, the old tree stays as it was."""
    before = files(copy)
    failed = script("install", DESTDIR=str(copy), WHEELS=str(copy / "nothing"))
    assert failed.returncode != 0
    assert files(copy) == before


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PREFIX": "relative"}, "expected an absolute path"),
        ({"PREFIX": "/opt/two words"}, "expected a path of letters"),
        ({"PREFIX": "/usr/local"}, "expected nothing or an earlier installation at PREFIX"),
        ({"PYTHON": "/nowhere/python3"}, "there is no /nowhere/python3"),
    ],
)
def test_mistakes_are_refused_before_anything_is_done(tmp_path, variables, words):
    """A wrong place or interpreter is said, and nothing was touched: least of all a folder with other things in it."""
    (tmp_path / "usr/local/share").mkdir(parents=True)
    (tmp_path / "usr/local/share/precious").touch()
    before = files(tmp_path)
    refused = script("install", DESTDIR=str(tmp_path), **variables)
    assert refused.returncode != 0
    assert words in refused.stderr
    assert files(tmp_path) == before


def test_uninstall_refuses_a_strange_folder(tmp_path):
    """A folder at PREFIX that is not an installation is never removed."""
    (tmp_path / "usr/local").mkdir(parents=True)
    (tmp_path / "usr/local/precious").touch()
    assert script("uninstall", DESTDIR=str(tmp_path), PREFIX="/usr/local").returncode != 0
    assert (tmp_path / "usr/local/precious").exists()


def test_another_prefix(tmp_path):
    """With another PREFIX everything that names the tree names the new place."""
    done = script("install", DESTDIR=str(tmp_path), PREFIX="/srv/agent")
    assert done.returncode == 0, done.stderr
    unit = (tmp_path / "usr/local/lib/systemd/system/diaccess-agent.service").read_text(encoding="utf-8")
    assert "ExecStart=/srv/agent/bin/diaccess-agent run" in unit
    assert "/opt/" not in unit
    first = (tmp_path / "etc/diaccess-agent/gateway.yaml").read_text(encoding="utf-8")
    assert "/srv/agent/share/config" in first


def test_uninstall_leaves_what_is_the_operators(copy):
    """After uninstall only the configuration is left; with PURGE=1 nothing is."""
    (copy / "var/lib/diaccess-agent/buffer").mkdir(parents=True)
    (copy / "var/lib/diaccess-agent/buffer/store").touch()
    assert script("uninstall", DESTDIR=str(copy)).returncode == 0
    left = {Path("etc/diaccess-agent/gateway.yaml"), Path("var/lib/diaccess-agent/buffer/store")}
    assert files(copy) == left
    assert script("uninstall", DESTDIR=str(copy), PURGE="1").returncode == 0
    assert files(copy) == set()
