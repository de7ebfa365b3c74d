"""An S3 server that misbehaves on purpose: a proxy in front of the real one that spoils chosen requests."""

import http.client
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.doubles.aws.double import AwsDouble
from tests.doubles.s3.server import S3Server

ERROR_BODY = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code} on purpose</Message>'
    "<RequestId>0</RequestId></Error>"
)
SLOW_PIECE, SLOW_BYTES_PER_SECOND = 100_000, 10_000_000
# How long a test waits for what it has set up to happen, and how often it looks whether the process still lives.
PATIENCE_SECONDS, LOOK_SECONDS = 120, 0.1
HOP_HEADERS = {"connection", "transfer-encoding", "keep-alive"}
_Answer = tuple[int, list[tuple[str, str]], bytes]
# A part of a multipart upload, its beginning and its end are told apart by what stands after the question mark.
OPERATIONS = {"uploads": "CREATE", "partNumber": "PART", "uploadId": "UPLOAD", "list-type": "LIST"}


@dataclass(frozen=True)
class Seen:
    """A request that came: its method, the object's key (empty for the bucket itself) and the answer's status.

    Status 0 stands for no answer, or not a whole one.
    """

    operation: str
    key: str
    status: int


@dataclass
class Fault:
    """What is done to the next `times` requests of this operation whose key holds `key`, but for the first `after`.

    `kind` is one of: `status` (answer with `status` and `code`), `stall` (say nothing until the client leaves),
    `reset` (break the connection in mid-body), `truncate` (end the connection in good order, half the body missing),
    `unmeasured` (half the body, and no length given at all), `half` (take half of the request's body, pass it on,
    break off), `lost` (do what is asked and break off before the answer), `untrue` (do what is asked, then answer with
    `status` and `code`), `short` (half the body, and a length that agrees with it), `stale` (a list as it was asked for
    before the fault), `slow` (take the request's body at 10 MB/s and say that all is well).
    """

    kind: str
    operation: str = "GET"
    key: str = ""
    times: int = 1
    status: int = 503
    code: str = "SlowDown"
    after: int = 0
    applied: int = field(default=0)

    def takes(self, operation: str, key: str) -> bool:
        """Whether this request is the fault's; counts it where it is."""
        if self.applied >= self.times or operation != self.operation or self.key not in key:
            return False
        if self.after:
            self.after -= 1
            return False
        self.applied += 1
        return True


@dataclass
class Gate:
    """Holds requests of this operation whose key holds `key`, but for the first `after`, without an answer.

    `open` lets those held, and all later ones, through to the server. Requests still held when the gate's block ends
    are broken off, so that nothing that a killed process had sent is done behind the test's back.
    """

    proxy: "FaultyS3"
    operation: str
    key: str
    after: int = 0
    held: int = field(default=0)
    is_open: bool = field(default=False)
    is_gone: bool = field(default=False)

    def holds(self, operation: str, key: str) -> bool:
        """Whether this request has to wait here; counts it where it has."""
        if self.is_open or operation != self.operation or self.key not in key:
            return False
        if self.after:
            self.after -= 1
            return False
        self.held += 1
        return True

    def open(self) -> None:
        """Let everything through from now on."""
        self.is_open = True

    def wait_until_reached(self, process: subprocess.Popen[Any] | None = None, requests: int = 1) -> None:
        """Until so many requests are held. Raises AssertionError where the process ends before."""
        self.proxy.wait_until(lambda: self.held >= requests, process)


class FaultyS3:
    """The proxy, for the time of a `with` block. `bucket_region`: the only region that signatures may name.

    `expired` are access keys that are refused, `asked_with` those that came, each once and in that order.
    """

    def __init__(self, upstream: S3Server | AwsDouble, bucket_region: str | None = None) -> None:
        self.upstream = upstream
        self.bucket_region = bucket_region
        self.seen: list[Seen] = []
        self.expired: set[str] = set()
        self.asked_with: list[str] = []
        self._lists: dict[str, _Answer] = {}
        self._faults: list[Fault] = []
        self._gates: list[Gate] = []
        self._changed = threading.Condition()
        self.closing = threading.Event()
        self._server = _Server(self)

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """As `S3Server.environment`, through the proxy."""
        return {**self.upstream.environment(), "AWS_ENDPOINT_URL_S3": self.endpoint_url}

    @contextmanager
    def spoiling(self, *faults: Fault) -> Iterator[None]:
        """These faults, for the block."""
        with self._changed:
            self._faults = list(faults)
        try:
            yield
        finally:
            with self._changed:
                self._faults = []

    @contextmanager
    def gate(self, operation: str, key: str, after: int = 0) -> Iterator[Gate]:
        """A closed `Gate`, for the block."""
        gate = Gate(self, operation, key, after)
        with self._changed:
            self._gates.append(gate)
        try:
            yield gate
        finally:
            with self._changed:
                self._gates.remove(gate)
            gate.is_gone = True

    def wait_until(self, reached: Callable[[], bool], process: subprocess.Popen[Any] | None = None) -> None:
        """Until this holds of the requests. Raises AssertionError where the process ends or too long passes before."""
        for _ in range(int(PATIENCE_SECONDS / LOOK_SECONDS)):
            with self._changed:
                if self._changed.wait_for(reached, LOOK_SECONDS):
                    return
            assert process is None or process.poll() is None, f"The process has ended: {process.communicate()}"
        raise AssertionError(f"What was waited for has not come within {PATIENCE_SECONDS} s; {self.seen[-9:]}")

    def note(self, seen: Seen) -> None:
        """Keep what came, and tell who waits for it."""
        with self._changed:
            self.seen.append(seen)
            self._changed.notify_all()

    def gate_for(self, operation: str, key: str) -> Gate | None:
        """The gate at which this request has to wait; noted there without an answer, and again when it has one."""
        with self._changed:
            found = next((gate for gate in self._gates if gate.holds(operation, key)), None)
            if found:
                self.seen.append(Seen(operation, key, 0))
                self._changed.notify_all()
        return found

    def is_refused(self, authorization: str) -> bool:
        """Whether the access key that signed has expired."""
        found = re.search(r"Credential=([^/]+)/", authorization)
        key = found[1] if found else ""
        with self._changed:
            if key not in self.asked_with:
                self.asked_with.append(key)
        return key in self.expired

    def earlier_list(self, path: str) -> "_Answer | None":
        """What was last answered to this list, if it was asked for."""
        return self._lists.get(path)

    def keep_list(self, path: str, answer: "_Answer") -> None:
        """Remember an answer for a list that is to be stale."""
        self._lists[path] = answer

    def count(self, operation: str, key: str = "") -> int:
        """Requests of this operation whose key holds `key`."""
        return sum(seen.operation == operation and key in seen.key for seen in self.seen)

    def fault_for(self, operation: str, key: str) -> Fault | None:
        with self._changed:
            return next((fault for fault in self._faults if fault.takes(operation, key)), None)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: FaultyS3) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is what this server is for: nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  # the names that http.server asks for

    def log_message(self, *_: object) -> None:
        """Nothing: `seen` tells what came."""

    def _answer(self) -> None:
        proxy = self.server.proxy
        operation, key = self._what()
        fault = proxy.fault_for(operation, key)
        length = int(self.headers.get("Content-Length", 0))
        # Noted before it is answered: whoever has the answer may look at once.
        if fault and fault.kind == "half":
            self._note(operation, key, 0)
            return self._pass_half_on(length)
        if fault and fault.kind == "slow":
            self._take_slowly(length)
            self._note(operation, key, 200)
            return self._send(200, [("ETag", '"none"')], b"", 0)
        body = self.rfile.read(length)
        if (gate := proxy.gate_for(operation, key)) and not self._is_let_through(gate):
            return self._break_off()
        if fault and fault.kind == "status":
            self._note(operation, key, fault.status)
            return self._refuse(fault.status, fault.code)
        if fault and fault.kind == "stall":
            self._note(operation, key, 0)
            return self._say_nothing()
        if refusal := self._refusal():
            self._note(operation, key, refusal[0])
            return self._refuse(*refusal)
        return self._pass_on(operation, key, body, fault)

    def _refusal(self) -> tuple[int, str] | None:
        """Why whoever asks would be refused by a bucket that is well."""
        proxy, signed = self.server.proxy, self.headers.get("Authorization", "")
        if proxy.bucket_region and f"/{proxy.bucket_region}/s3/" not in signed:
            return 301, "PermanentRedirect"
        return (400, "ExpiredToken") if proxy.is_refused(signed) else None

    def _pass_on(self, operation: str, key: str, body: bytes, fault: Fault | None) -> None:
        proxy = self.server.proxy
        if fault and fault.kind == "stale" and (kept := proxy.earlier_list(self.path)):
            self._note(operation, key, kept[0])
            return self._send(*kept, len(kept[2]))
        status, headers, answer = self._ask_upstream(body)
        if operation == "LIST":
            proxy.keep_list(self.path, (status, headers, answer))
        if fault and fault.kind == "untrue":
            self._note(operation, key, fault.status)
            return self._refuse(fault.status, fault.code)
        self._note(operation, key, 0 if fault else status)
        if fault and fault.kind != "stale":
            return self._spoil(fault.kind, status, headers, answer)
        return self._send(status, headers, answer, len(answer))

    def _take_slowly(self, length: int) -> None:
        for start in range(0, length, SLOW_PIECE):
            time.sleep(SLOW_PIECE / SLOW_BYTES_PER_SECOND)
            self.rfile.read(min(SLOW_PIECE, length - start))

    def _what(self) -> tuple[str, str]:
        address = urlsplit(self.path)
        query = parse_qs(address.query, keep_blank_values=True)
        key = unquote(address.path).lstrip("/").partition("/")[2]
        special = next((name for word, name in OPERATIONS.items() if word in query), None)
        return (f"{self.command} {special}" if special == "UPLOAD" else special or self.command), key

    def _note(self, operation: str, key: str, status: int) -> None:
        self.server.proxy.note(Seen(operation, key, status))

    def _ask_upstream(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream.port, timeout=60)
        try:
            # The Host header is the client's, because it is signed.
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_HEADERS | {"expect"}:
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            response = upstream.getresponse()
            headers = [(name, value) for name, value in response.getheaders() if name.lower() not in HOP_HEADERS]
            return response.status, headers, response.read()
        finally:
            upstream.close()

    def _pass_half_on(self, length: int) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream.port, timeout=60)
        with suppress(OSError):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_HEADERS | {"expect"}:
                    upstream.putheader(name, value)
            upstream.endheaders(self.rfile.read(length // 2))
        upstream.close()
        self._break_off()

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes, length: int | None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        proxy = self.server.proxy
        if proxy.bucket_region:
            self.send_header("x-amz-bucket-region", proxy.bucket_region)
        given = next((value for name, value in headers if name.lower() == "content-length"), None)
        if length is not None:
            self.send_header("Content-Length", given if self.command == "HEAD" and given else str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.wfile.flush()

    def _refuse(self, status: int, code: str) -> None:
        body = ERROR_BODY.format(code=code).encode()
        self._send(status, [("Content-Type", "application/xml")], body, len(body))

    def _spoil(self, kind: str, status: int, headers: list[tuple[str, str]], answer: bytes) -> None:
        half = answer[: len(answer) // 2]
        if kind == "lost":
            return self._break_off()
        if kind == "short":
            return self._send(status, headers, half, len(half))
        if kind == "unmeasured":
            self._send(status, headers, half, None)
            self.close_connection = True
            return None
        self._send(status, headers, half, len(answer))
        if kind == "reset":
            return self._break_off()
        self.close_connection = True
        return None

    def _break_off(self) -> None:
        # Lingering for no time makes the kernel send a reset instead of an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _is_let_through(self, gate: Gate) -> bool:
        """Waits at the gate; False where the client leaves or the gate goes without having been opened."""
        stayed = self._client_stays_while(lambda: not gate.is_open and not gate.is_gone)
        return stayed and gate.is_open

    def _say_nothing(self) -> None:
        """Until the client hangs up or the server ends."""
        self._client_stays_while(lambda: True)
        self.close_connection = True

    def _client_stays_while(self, closed: Callable[[], bool]) -> bool:
        """Waits while this holds; False where the client hangs up before."""
        self.connection.settimeout(LOOK_SECONDS)
        while closed() and not self.server.proxy.closing.is_set():
            with suppress(TimeoutError):
                if not self.connection.recv(1):
                    return False
        self.connection.settimeout(None)
        return True
