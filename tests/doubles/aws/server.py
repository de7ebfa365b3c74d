"""moto's server with faults on demand: what `AwsDouble` runs in a process of its own."""

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from io import BytesIO
from random import random
from time import sleep
from typing import Any
from urllib.parse import parse_qs

from tests.doubles.aws import answers, lateness, moto_patches, scheduler
from tests.doubles.aws.paths import CHECKIP_PATH, FIRED_PATH, KEEPER, LATENESS_PATH, RECLAIM_PATH, SCHEDULER

StartResponse = Callable[..., Any]
EVERY_ADDRESS, LOOPBACK = "0.0.0.0", "127.0.0.1"  # noqa: S104


@dataclass
class Fault:
    """An answer the double gives in place of moto's.

    `action` is a pattern of a call's name as `calls()` shows it (`ec2:RunInstances`, `s3:PUT /bucket/key`). Of the
    calls that match it, hold `match` in their body and are about the availability zone `zone`, the first `after` go
    through and the next `times` fail, each with the probability `rate`. A fault without `code` only waits `delay`
    seconds, or, with `held`, stands at a gate until the test opens it and is then told to ask again.
    """

    action: str
    code: str = ""
    message: str = "injected by the test"
    status: int = 400
    match: str = ""
    zone: str = ""
    rate: float = 1.0
    after: int = 0
    times: int = 1
    delay: float = 0.0
    held: bool = False

    def strikes(self, call: str, body: bytes) -> bool:
        """Whether this call is to fail; counts it."""
        if not self.times or not fnmatchcase(call, self.action) or self.match.encode() not in body:
            return False
        if (self.zone and self.zone != _zone_of(body)) or random() >= self.rate:
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True


class FaultyApplication:
    """A WSGI application that notes each call and lets the faults strike before moto sees it."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._faults: list[Fault] = []
        self._calls: list[str] = []
        self._lock = threading.Lock()
        self._gate = threading.Event()
        self._waiting = 0
        self.scheduler: scheduler.Scheduler | None = None

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        body = _read_whole(environ)
        if environ["PATH_INFO"].startswith("/_"):
            return self._answer_the_test(environ, body, start_response)
        if KEEPER in environ.get("HTTP_AUTHORIZATION", "") or SCHEDULER in environ.get("HTTP_USER_AGENT", ""):
            return self._application(environ, start_response)
        service, call = name_of_call(environ, body)
        with self._lock:
            self._calls.append(call)
            # What fails does not come to a gate; what is only late does.
            faults = sorted(self._faults, key=lambda f: (not f.code, not f.held))
            fault = next((f for f in faults if f.strikes(call, body)), None)
        if fault and fault.held:
            self._wait_at(self._gate)
            # Who has gone away meanwhile has asked for nothing; who is still there asks again.
            return _error(service, Fault(fault.action, "SlowDown", status=503), start_response)
        if fault:
            sleep(fault.delay)
            if fault.code:
                return _error(service, fault, start_response)
        if unknown := lateness.lateness.unknown(call, body):
            return _error(service, Fault(call, unknown, "it is not described yet"), start_response)
        if call == "pricing:GetProducts":
            return _give(start_response, answers.get_products(json.loads(body)), "application/x-amz-json-1.1")
        if call == "freetier:GetAccountPlanState":
            return _give(start_response, answers.get_account_plan_state(), "application/x-amz-json-1.0")
        if service != "ec2":
            return self._application(environ, start_response)
        return self._ask_ec2(call, environ, start_response)

    def _ask_ec2(self, call: str, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        begun: list[tuple[str, list[tuple[str, str]]]] = []
        answer = b"".join(self._application(environ, lambda status, headers, *_: begun.append((status, headers))))
        lateness.lateness.note(call, answer)
        answer = lateness.lateness.without_young(call, answer)
        [(status, headers)] = begun
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(answer)))])
        return [answer]

    def _wait_at(self, gate: threading.Event) -> None:
        with self._lock:
            self._waiting += 1
        gate.wait()

    def _open_gate(self) -> None:
        """Let who waits ask again; what comes from now on goes through."""
        self._faults = [fault for fault in self._faults if not fault.held]
        self._gate.set()
        self._gate, self._waiting = threading.Event(), 0

    def _answer_the_test(self, environ: dict[str, Any], body: bytes, start_response: StartResponse) -> Iterable[bytes]:
        """What the tests, or a person, ask of the double itself; and the caller's address, which is no AWS API."""
        path = environ["PATH_INFO"]
        if path == CHECKIP_PATH:
            return _give(start_response, f"{environ['REMOTE_ADDR']}\n".encode(), "text/plain")
        if path == FIRED_PATH:
            fired = self.scheduler.fired if self.scheduler else []
            return _give(start_response, json.dumps(fired).encode(), "application/json")
        if path == LATENESS_PATH:
            lateness.lateness.set(**json.loads(body))
        elif path == RECLAIM_PATH:
            moto_patches.reclaim(body.decode())
        else:
            self._change_faults(environ["REQUEST_METHOD"], body)
        with self._lock:
            faults = [asdict(fault) for fault in self._faults]
            state = {"faults": faults, "calls": self._calls, "waiting": self._waiting}
            return _give(start_response, json.dumps(state).encode(), "application/json")

    def _change_faults(self, method: str, body: bytes) -> None:
        with self._lock:
            if method == "POST":
                self._faults.append(Fault(**json.loads(body)))
            elif method == "PUT":
                self._faults = [fault for fault in self._faults if fault.held]
            elif method == "PATCH":
                self._open_gate()
            elif method == "DELETE":
                self._open_gate()
                self._faults.clear()
                self._calls.clear()


def _read_whole(environ: dict[str, Any]) -> bytes:
    """The request's body, which stays to be read; one in chunks, as boto3 sends files by TLS, is whole from now on."""
    if environ.pop("HTTP_TRANSFER_ENCODING", ""):
        body = environ["wsgi.input"].read()
        environ["CONTENT_LENGTH"] = str(len(body))
    else:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    return bytes(body)


def _give(start_response: StartResponse, answer: bytes, kind: str) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(answer)))])
    return [answer]


def _zone_of(body: bytes) -> str:
    """The availability zone that a call is about, by its subnet; empty where it names none."""
    asked = parse_qs(body.decode(errors="replace"))
    subnets = [values[0] for name, values in asked.items() if name.endswith("SubnetId")]
    return moto_patches.zone_of(subnets[0]) if subnets else ""


def name_of_call(environ: dict[str, Any], body: bytes) -> tuple[str, str]:
    """Service and name of a call, the service as its signature says it."""
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0].split("/")
    service = scope[3] if len(scope) > 3 else "unsigned"
    target = environ.get("HTTP_X_AMZ_TARGET", "").split(".")[-1]
    if not target and service != "s3":
        target = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    return service, f"{service}:{target or environ['REQUEST_METHOD'] + ' ' + environ['PATH_INFO']}"


def _error(service: str, fault: Fault, start_response: StartResponse) -> Iterable[bytes]:
    """The fault in the service's own shape; clients retry or report by its code."""
    error = f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
    shapes = {
        "ec2": f"<Response><Errors>{error}</Errors><RequestID>fault</RequestID></Response>",
        "s3": error,
        "iam": f"<ErrorResponse>{error}<RequestId>fault</RequestId></ErrorResponse>",
        "sts": f"<ErrorResponse>{error}<RequestId>fault</RequestId></ErrorResponse>",
    }
    answer = shapes.get(service) or json.dumps({"__type": fault.code, "message": fault.message})
    start_response(f"{fault.status} Fault", [("Content-Type", "text/xml" if service in shapes else "application/json")])
    return [answer.encode()]


def serve(host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until the process ends; `ready` is called with the port once connections are taken."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    moto_patches.apply()
    application = FaultyApplication(DomainDispatcherApplication(create_backend_app))
    server = make_server(host, port, application, threaded=True, request_handler=MotoRequestHandler)
    application.scheduler = scheduler.start(
        f"http://{LOOPBACK if host == EVERY_ADDRESS else host}:{server.server_port}"
    )
    threading.Thread(target=ready, args=(server.server_port,), daemon=True).start()
    server.serve_forever()
