"""A company's proxy: the only way out, and it opens TLS. It shows certificates by a CA of its own."""

import datetime
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PIECE = 65536
SECONDS = 60
GOODBYE_SECONDS = 1


class Authority:
    """A CA, and certificates by it, made when they are asked for. `folder` has `ca.pem` for whoever is to trust it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._signed("Company", self._key, is_authority=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self._contexts: dict[str, ssl.SSLContext] = {}

    def context(self, host: str) -> ssl.SSLContext:
        """A server's side of TLS that shows itself as this host."""
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = self._made(host)
            return self._contexts[host]

    def _made(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        file = self._folder / "host.pem"
        plain = serialization.NoEncryption()
        file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
            + self._signed(host, key).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, is_authority: bool = False) -> x509.Certificate:
        of = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(of)
            .issuer_name(of if is_authority else self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_general(name)]), critical=False)
        )
        return made.sign(self._key, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@contextmanager
def serving(
    listener: socket.socket, authority: Authority, plain: Mapping[str, tuple[str, int]] = MappingProxyType({})
) -> Iterator[list[str]]:
    """Serve CONNECT on this socket for the time of the block; gives the hosts that were asked for, as they are.

    A host in `plain` is a server without TLS at this address and port, which can be had so by this proxy alone.
    """
    asked: list[str] = []
    threading.Thread(target=_accept, args=(listener, authority, plain, asked), daemon=True).start()
    try:
        yield asked
    finally:
        listener.close()


def _accept(
    listener: socket.socket, authority: Authority, plain: Mapping[str, tuple[str, int]], asked: list[str]
) -> None:
    with suppress(OSError):  # so a listener says that it was closed
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, authority, plain, asked), daemon=True).start()


def _serve(client: socket.socket, authority: Authority, plain: Mapping[str, tuple[str, int]], asked: list[str]) -> None:
    with suppress(OSError), client:
        client.settimeout(SECONDS)
        head = b""
        while b"\r\n\r\n" not in head:
            if not (piece := client.recv(PIECE)):
                return
            head += piece
        method, target, *_ = head.split(None, 2)
        host, _, port = target.decode().partition(":")
        asked.append(host)
        if method != b"CONNECT":
            client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        try:
            there = socket.create_connection(plain.get(host, (host, int(port))), SECONDS)
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        known = there if host in plain else ssl.create_default_context().wrap_socket(there, server_hostname=host)
        with authority.context(host).wrap_socket(client, server_side=True) as ours, known as theirs:
            _pass_on(ours, theirs)
            # The end in TLS's own words, as a proxy says it: without them it would be somebody's cut.
            ours.settimeout(GOODBYE_SECONDS)
            ours.unwrap()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    to = {one: other, other: one}
    while True:
        # What TLS has read already no select sees.
        ready = [end for end in to if isinstance(end, ssl.SSLSocket) and end.pending()] or select.select(
            list(to), [], [], SECONDS
        )[0]
        if not ready:
            return
        for end in ready:
            if not (piece := end.recv(PIECE)):
                return
            to[end].sendall(piece)
