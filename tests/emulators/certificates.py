"""Certificates for one test, made by the openssl command: an authority, and servers that it vouches for."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path


class Authority:
    """Signs certificates of servers; `file` is what a client is told to trust."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.file = folder / "ca.pem"
        self._key = folder / "ca.key"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", self._key, "-out", self.file, "-subj", "/CN=test authority", "-days", "2"),
            *("-addext", "keyUsage=critical,keyCertSign"),
        )

    def server(self, name: str, *, days: tuple[int, int] = (-1, 1)) -> tuple[Path, Path]:
        """Certificate and key of a server of this name (`DNS:localhost`, `IP:127.0.0.1`), valid between these days."""
        stem = f"{re.sub('[^A-Za-z0-9]', '-', name)}{days[0]}{days[1]}"
        key, request, certificate, extensions = (
            self._folder / f"{stem}.{end}" for end in ("key", "csr", "pem", "ext")
        )
        extensions.write_text(f"subjectAltName={name}\n", encoding="ascii")
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", key, "-out", request, "-subj", "/CN=server"),
        )
        first, last = (_day(day) for day in days)
        (self._folder / "index.txt").write_text("", encoding="ascii")
        settings = self._folder / "ca.cnf"
        settings.write_text(_CA_SETTINGS.format(folder=self._folder), encoding="utf-8")
        _openssl(
            *(
                "ca",
                "-batch",
                "-config",
                settings,
                "-in",
                request,
                "-out",
                certificate,
                "-extfile",
                extensions,
            ),
            *("-startdate", first, "-enddate", last, "-notext"),
        )
        return certificate, key


_CA_SETTINGS = """
[ca]
default_ca = test
[test]
database = {folder}/index.txt
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
policy = any
unique_subject = no
rand_serial = yes
[any]
commonName = supplied
"""


def _day(offset: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=offset):%Y%m%d%H%M%SZ}"


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)
