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
    return await aside(lambda: _load(ca_file, certificate_file, key_file), "load certificates")


def look(
    ca_file: Path | None, certificate_file: Path | None = None, key_file: Path | None = None
) -> Iterator[tuple[str, str]]:
    """What is wrong with these files: the name of the setting and the words, beginning with it."""
    for files in ((ca_file, None, None), (None, certificate_file, key_file)):
        try:
            _load(*files)
        except (Misconfigured, Unavailable) as error:
            words = str(error).removeprefix("tls.")
            yield words.partition(":")[0], words


def _load(ca_file: Path | None, certificate_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    with _in_words("ca_file", ca_file, "certificates in PEM form"):
        context = ssl.create_default_context(cafile=ca_file)
    if certificate_file:
        _readable("certificate_file", certificate_file)
        setting, file = ("key_file", key_file) if key_file else ("certificate_file", certificate_file)
        _readable(setting, file)
        with _in_words(setting, file, "the key of the certificate in PEM form, without a password"):
            # An empty password where one is wanted: OpenSSL would stop and ask the terminal.
            context.load_cert_chain(certificate_file, key_file, password="")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _readable(setting: str, file: Path) -> None:
    with _in_words(setting, file, ""):
        file.open("rb").close()  # OpenSSL does not say which of two files it could not open


@contextlib.contextmanager
def _in_words(setting: str, file: Path | None, holds: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise Misconfigured(f"tls.{setting}: expected {holds}; found none in {file}") from error
    except OSError as error:
        raise Unavailable(f"tls.{setting}: {file}: {(error.strerror or str(error)).lower()}") from error


# Numbers of X509_verify_cert (OpenSSL, x509_vfy.h).
_NOT_YET_VALID = 9
_EXPIRED = 10
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_OTHER_NAME = {62, 64}

_ALERTS = {
    "ALERT_CERTIFICATE_REQUIRED": "it asks for a certificate of ours, and there is none",
    "ALERT_HANDSHAKE_FAILURE": "it ends the handshake: it asks for a certificate of ours, or knows no cipher that is used here",
    "ALERT_UNKNOWN_CA": "it does not trust the authority that signed our certificate",
    "ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "ALERT_CERTIFICATE_EXPIRED": "it says that our certificate has expired: is its clock right?",
    "ALERT_ACCESS_DENIED": "it knows our certificate, and gives it no rights",
    "ALERT_PROTOCOL_VERSION": "it speaks only older versions of TLS than 1.2",
    "UNSUPPORTED_PROTOCOL": "it speaks only older versions of TLS than 1.2",
    "WRONG_VERSION_NUMBER": "it does not speak TLS on this port",
}
"""By what OpenSSL's names for what the other end says have in common (the alerts: RFC 8446, 6.2)."""


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
    reason = error.reason or str(error)
    for alert, words in _ALERTS.items():
        if reason.endswith(alert):
            return words
    return f"TLS failed: {reason.lower().replace('_', ' ')}"
