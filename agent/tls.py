"""TLS to whatever speaks it: what certificates are checked against, and what is wrong, in words for a person."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from agent.aside import aside
from agent.interfaces import Misconfigured, Unavailable


async def trust_in(
    ca_file: Path | None, certificate_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """What certificates are checked against, and our own, if we have one.

    Raises `Misconfigured` when a file does not hold what it should, `Unavailable` when it is not there: it may lie on
    a file system that is mounted later.
    """

    def load() -> ssl.SSLContext:
        with _words("ca_file", ca_file, "certificates"):
            context = ssl.create_default_context(cafile=ca_file)
        if certificate_file:
            with _words("certificate_file", certificate_file, "a certificate and its key"):
                # Without a password to ask for: OpenSSL would stop and ask the terminal.
                context.load_cert_chain(certificate_file, key_file, password="")
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    return await aside(load, "load certificates")


@contextlib.contextmanager
def _words(setting: str, file: Path | None, holds: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise Misconfigured(f"tls.{setting}: {file} does not hold {holds} in PEM form") from error
    except OSError as error:
        raise Unavailable(f"tls.{setting}: {file}: {(error.strerror or str(error)).lower()}") from error


# Numbers of X509_verify_cert (OpenSSL, x509_vfy.h).
_NOT_YET_VALID = 9
_EXPIRED = 10
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_OTHER_NAME = {62, 64}


def tls_words(error: ssl.SSLError, now: datetime) -> str:
    """What is wrong between us and the other end, in one line, and what to look at."""
    if isinstance(error, ssl.SSLCertVerificationError):
        clock = f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC; is it right?"
        if error.verify_code == _NOT_YET_VALID:
            return f"its certificate is not valid yet: {clock}"
        if error.verify_code == _EXPIRED:
            return f"its certificate has expired: {clock}"
        if error.verify_code in _UNKNOWN_AUTHORITY:
            return f"its certificate comes from an authority that is not trusted; set `tls.ca_file` ({error.verify_message})"
        if error.verify_code in _OTHER_NAME:
            return f"its certificate is for another name: {error.verify_message.lower().rstrip('.')}"
        return f"its certificate is not accepted: {error.verify_message}"
    if error.reason == "WRONG_VERSION_NUMBER":
        return "it does not speak TLS on this port"
    return f"TLS failed: {(error.reason or str(error)).lower().replace('_', ' ')}"
