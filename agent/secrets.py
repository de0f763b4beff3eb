"""Where secrets are kept: systemd credentials, files beside the configuration, the environment. Nowhere else.

A secret is looked up each time that it is needed and never kept, so that one that was exchanged serves at the next
connection. No error, no `repr` and no log line has more of it than its name.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.fields import Secret
from agent.interfaces import Misconfigured

CREDENTIAL_PREFIX: Final = "diaccess-agent."
"""The unit loads `diaccess-agent.<name>`: the system's credential store is shared by all services."""

STORE: Final = Path("/etc/credstore")
"""Where the unit's credentials come from: read directly where systemd is not between, as by root's `check`."""

FOLDER: Final = "secrets"
"""Beside the configuration file."""

VARIABLE_PREFIX: Final = "DIACCESS_SECRET_"

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Becomes part of a file name: no slash, no leading dot."""

LONGEST: Final = 64 * 1024
"""Bytes; a private key has some thousands."""


class Secrets:
    """The places in which one configuration's secrets are looked for, in this order."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str] | None = None, store: Path = STORE
    ) -> None:
        """`folder` is the one that the configuration file is in; `environment` the process's own if left out."""
        self._folder = folder / FOLDER
        self._store = store
        self._environment = os.environ if environment is None else environment

    def reveal(self, secret: Secret) -> str:
        """The text of a secret, without the line end it may have. Raises `Misconfigured` naming the places looked in."""
        return self.look_up(secret.name)

    def look_up(self, name: str) -> str:
        """The same by name."""
        for path in self._files(name):
            try:
                return _text(name, path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if path.parent == self._store:
                    continue  # for root only; the service never looks here
                raise Misconfigured(f"secret {name}: {path} cannot be read: {error.strerror}") from None
        text = self._environment.get(self._variable(name))
        if text:
            return text
        raise Misconfigured(
            f"secret {name}: not found; expected as the systemd credential {CREDENTIAL_PREFIX}{name} "
            f"(in {self._store}, where only root can look), in the file {self._folder / name}, or in the environment as {self._variable(name)}"
        )

    def exposed(self, name: str) -> Path | None:
        """The file that a secret would be read from, if every user of the machine may read it."""
        path = self._folder / name
        try:
            return path if path.stat().st_mode & stat.S_IROTH else None
        except OSError:
            return None

    def _files(self, name: str) -> list[Path]:
        folder = self._environment.get("CREDENTIALS_DIRECTORY")
        own = f"{CREDENTIAL_PREFIX}{name}"
        credentials = [Path(folder, own), Path(folder, name)] if folder else [self._store / own]
        return [*credentials, self._folder / name]

    @staticmethod
    def _variable(name: str) -> str:
        return VARIABLE_PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())


def _text(name: str, path: Path) -> str:
    # Opened so that a pipe left there cannot stop the start.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123  a descriptor
        octets = file.read(LONGEST + 1)
    if len(octets) > LONGEST:
        raise Misconfigured(f"secret {name}: {path} is longer than {LONGEST} bytes")
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise Misconfigured(f"secret {name}: {path} is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise Misconfigured(f"secret {name}: {path} is empty")
    return text
