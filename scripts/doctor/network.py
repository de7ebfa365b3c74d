"""The way out: certificates, proxies, the clock, and the address by which others see this machine."""

import platform
import ssl
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from scripts import processes
from scripts.access import certificates, errors
from scripts.access.proxy import named_proxy
from scripts.aws import own_address
from scripts.doctor import environment
from scripts.errors import InputError, MissingError, OperatorError

# AWS takes signatures that are up to 15 minutes old, S3 as well; beyond 5 it is a matter of time.
SKEW_SECONDS = 300
SECONDS = 5
# Any small package that every index has.
ASKED_FOR = "pip"


def way_out() -> str:
    """Ask AWS's own service for this machine's address, by whatever proxy there is. Raises an OperatorError."""
    service = own_address.asked()
    try:
        with urllib.request.urlopen(service, timeout=SECONDS, context=certificates.context()) as answer:  # noqa: S310  the person's own variable
            date = answer.headers.get("Date", "")
    except ssl.SSLError as error:
        raise _untrusted(service, error) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):
            raise _untrusted(service, error.reason) from None
        raise InputError(f"{service} cannot be reached ({error.reason}): check the network{_and_proxy()}.") from None
    except OSError as error:
        raise InputError(f"{service} cannot be reached ({error}): check the network{_and_proxy()}.") from None
    if date and abs((parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()) > SKEW_SECONDS:
        raise MissingError(errors.wrong_clock(date))
    return f"HTTPS{_by_proxy()} works, and the clock is right"


def packages() -> str:
    """Have uv look a package up where it gets all of them, as `make setup` does. Raises InputError with its words."""
    bounds = {"UV_HTTP_TIMEOUT": str(SECONDS), "UV_HTTP_RETRIES": "0"}
    asked = ["pip", "install", "-q", "--dry-run", "--no-deps", "--refresh-package", ASKED_FOR, "--reinstall", ASKED_FOR]
    uv = Path(sys.executable).with_name("uv")
    done = processes.capture([uv, *asked, "--python", sys.executable], env={**bounds, **environment.for_uv()})
    if done.code == 0:
        return "Python's can be had"
    said = [line.strip() for line in done.err.splitlines() if line.strip()] or ["uv said nothing"]
    first, last = said[0].removeprefix("error: "), said[-1].removeprefix("cause: ")
    raise InputError(
        f"Python's cannot be had ({first}; {last}): export HTTPS_PROXY, PIP_CERT or PIP_INDEX_URL as your company says."
    )


def proxy() -> str:
    """What a proxy is good for, where there is one. Raises nothing: where ssh can go is seen when it goes."""
    if not (named := named_proxy()):
        return "none"
    return (
        f"{named}: Terraform, AWS and packages go by it; ssh does not: where port 22 is closed to you, set "
        "ssh_proxy_jump in terraform.tfvars"
    )


def address(region: str, cluster_name: str) -> str:
    """From where this machine comes, where a cluster lets it in. Raises InputError where it does not."""
    if sentence := own_address.shut_out(region, cluster_name):
        raise InputError(sentence)
    try:
        return own_address.own_address()
    except OperatorError as error:
        raise InputError(str(error)) from None


def _untrusted(service: str, error: ssl.SSLError) -> InputError:
    why = getattr(error, "verify_message", "") or error.reason or str(error)
    if platform.system() == "Darwin" and not ssl.get_default_verify_paths().cafile and not certificates.bundle():
        program = f"/Applications/Python {'.'.join(platform.python_version_tuple()[:2])}/Install Certificates.command"
        return InputError(f"This Python has no certificates ({why}): run '{program}'.")
    return InputError(
        f"The certificate that {service} shows is not trusted here ({why}): where a proxy of your company's opens TLS, "
        "name its certificate: export AWS_CA_BUNDLE=/path/to/its/certificate.pem."
    )


def _by_proxy() -> str:
    return " by the proxy" if named_proxy() else ""


def _and_proxy() -> str:
    named = named_proxy()
    return f", and {named}" if named else ", or export HTTPS_PROXY where your company has one"
