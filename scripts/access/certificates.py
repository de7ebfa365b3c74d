"""Whose certificates are trusted besides the usual ones: a company's, where a proxy opens TLS on the way."""

import os
import ssl
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

# What one tool was told holds for all: on many machines one of these names the system's certificates, another the
# company's.
VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT")


def bundle() -> str | None:
    """A file with all certificates that the person has named; None where none are."""
    named = list(dict.fromkeys(filter(None, map(os.environ.get, VARIABLES))))
    return named[0] if len(named) == 1 else _joined(tuple(named)).name if named else None


@lru_cache
def _joined(files: tuple[str, ...]) -> IO[bytes]:
    """They all in one, which goes with this process; what cannot be read is missed where it is needed."""
    one = tempfile.NamedTemporaryFile(prefix="orchard-certificates-", suffix=".pem")  # noqa: SIM115  it goes with this process
    for file in files:
        with suppress(OSError):
            one.write(Path(file).read_bytes().rstrip() + b"\n")
    one.flush()
    return one


def context() -> ssl.SSLContext:
    """For Python's own HTTPS: the system's certificates and the person's. Raises OSError for a file that is none."""
    made = ssl.create_default_context()
    if named := bundle():
        made.load_verify_locations(named)
    return made


def environment() -> dict[str, str]:
    """What tells a child: Terraform's registry, and the job, go by one variable, AWS's libraries by another."""
    named = bundle()
    return dict.fromkeys(("SSL_CERT_FILE", "AWS_CA_BUNDLE"), named) if named else {}
