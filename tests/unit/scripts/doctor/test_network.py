"""scripts.doctor.network: the way out, against servers of this process."""

import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest

from scripts.access import certificates, proxy
from scripts.aws import own_address
from scripts.doctor import network
from scripts.errors import InputError, MissingError


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that nobody has told anything."""
    for name in (*proxy.PROXIES, *certificates.VARIABLES):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], tls: Path | None) -> Iterator[str]:
    """A server of this process, by TLS where there is a certificate; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, minutes: int = 0, tls: Path | None = None) -> Iterator[None]:
    """A service that tells an address, whose clock is so many minutes ahead; with a certificate, by TLS."""
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", date)
            self.end_headers()
            self.wfile.write(b"203.0.113.7\n")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with serving(Handler, tls) as address:
        monkeypatch.setenv(own_address.OTHER_ENDPOINT, address)
        yield


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody has signed, with its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=company"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    files = ["-keyout", folder / "key", "-out", folder / "certificate"]
    subprocess.run(["openssl", *words, *files], check=True, capture_output=True)
    (folder / "both").write_bytes((folder / "certificate").read_bytes() + (folder / "key").read_bytes())
    return folder / "both"


def test_the_way_out_and_the_clock_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(monkeypatch):
        assert network.way_out() == "HTTPS works, and the clock is right"


def test_a_clock_that_is_wrong_by_ten_minutes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(monkeypatch, minutes=10), pytest.raises(MissingError, match=r"wrong by 10 minutes \(slow\)"):
        network.way_out()


@pytest.mark.parametrize("variable", certificates.VARIABLES)
def test_a_certificate_of_the_companys_is_taken_once_it_is_named(
    variable: str, own_certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(monkeypatch, tls=own_certificate):
        with pytest.raises(InputError, match=r"is not trusted here \(self.signed certificate\).*export AWS_CA_BUNDLE="):
            network.way_out()
        monkeypatch.setenv(variable, str(own_certificate.with_name("certificate")))
        assert network.way_out() == "HTTPS works, and the clock is right"
        assert own_address.own_address() == "203.0.113.7"


def test_on_a_mac_whose_python_has_no_certificates_that_is_told(
    own_certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network.platform, "system", lambda: "Darwin")
    paths = ssl.get_default_verify_paths()._replace(cafile=None)
    monkeypatch.setattr(network.ssl, "get_default_verify_paths", lambda: paths)
    with (
        served(monkeypatch, tls=own_certificate),
        pytest.raises(InputError, match=r"Install Certificates\.command'\.$"),
    ):
        network.way_out()


def test_nobody_there_is_told_with_the_proxy_that_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(own_address.OTHER_ENDPOINT, "http://127.0.0.1:1")
    with pytest.raises(InputError, match=r"cannot be reached \(.*refused\): check the network, or export HTTPS_PROXY"):
        network.way_out()
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:secret@proxy:3128")
    with pytest.raises(InputError, match=r"check the network, and HTTPS_PROXY=http://proxy:3128\.$"):
        network.way_out()


def test_what_a_proxy_is_not_good_for_is_told_and_its_password_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert network.proxy() == "none"
    monkeypatch.setenv("https_proxy", "http://ada:secret@proxy:3128")
    assert network.proxy() == (
        "https_proxy=http://proxy:3128: Terraform, AWS and packages go by it; ssh does not: where port 22 is closed to "
        "you, set ssh_proxy_jump in terraform.tfvars"
    )


@contextmanager
def an_index(monkeypatch: pytest.MonkeyPatch, tls: Path | None = None) -> Iterator[list[str]]:
    """An index of packages that has one, which uv is told of; gives the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            wheel = f"{network.ASKED_FOR}-1.0-py3-none-any.whl"
            is_page = self.path == f"/simple/{network.ASKED_FOR}/"
            body = f"Metadata-Version: 2.1\nName: {network.ASKED_FOR}\nVersion: 1.0\n"
            if is_page:
                body = f'<a href="/{wheel}#sha256={"0" * 64}" data-core-metadata="true">{wheel}</a>'
            self.send_response_only(200 if is_page or self.path == f"/{wheel}.metadata" else 404)
            self.send_header("Content-Type", "text/html" if is_page else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with serving(Handler, tls) as address, tempfile.TemporaryDirectory() as cache:
        monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
        monkeypatch.setenv("UV_CACHE_DIR", cache)
        yield asked


def test_where_packages_come_from_is_asked_by_pip_s_settings_and_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = metadata.version(network.ASKED_FOR)
    with an_index(monkeypatch) as asked:
        assert network.packages() == "Python's can be had"
    assert asked[0] == f"/simple/{network.ASKED_FOR}/"
    assert metadata.version(network.ASKED_FOR) == before


def test_packages_behind_a_certificate_that_nobody_knows_are_told_with_what_to_export(
    own_certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with an_index(monkeypatch, tls=own_certificate):
        with pytest.raises(InputError, match=r"^Python's cannot be had \(.*certificate.*\): export .*PIP_CERT"):
            network.packages()
        monkeypatch.setenv("PIP_CERT", str(own_certificate.with_name("certificate")))
        assert network.packages() == "Python's can be had"
