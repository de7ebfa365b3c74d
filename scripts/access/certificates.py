"""Whose certificates are trusted besides the usual ones: a company's, where a proxy opens TLS on the way."""

import os
import ssl

# Of whichever of these the person has set, the first: what one tool was told holds for all.
VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "PIP_CERT")


def bundle() -> str | None:
    """The file of certificates that the person has named; None without one."""
    return next((os.environ[name] for name in VARIABLES if os.environ.get(name)), None)


def context() -> ssl.SSLContext:
    """For Python's own HTTPS: the system's certificates and the person's. Raises OSError for a file that is none."""
    made = ssl.create_default_context()
    if named := bundle():
        made.load_verify_locations(named)
    return made


def environment() -> dict[str, str | None]:
    """What tells a child: Terraform's registry, and the job, go by one variable, AWS's libraries by another."""
    named = bundle()
    return {name: os.environ.get(name) or named for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE")} if named else {}
