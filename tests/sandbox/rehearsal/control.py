"""How a person's `fault` reaches the cloud that is up: one line of JSON each way, over a socket in its folder."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import AF_UNIX, socket

from tests.sandbox.faults.catalogue import Faults
from tests.sandbox.machine import SandboxError

SOCKET = "control"
SECONDS = 120  # for one fault; a reboot that hangs takes the longest


@contextmanager
def listening(folder: Path, faults: Faults) -> Iterator[None]:
    """Strike what comes over the socket, for the time of the block. Only the folder's owner gets at it."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            words = json.loads(self.rfile.readline())
            try:
                answer = {"done": faults.clear() if words == ["clear"] else faults.strike(*words)}
            except SandboxError as error:
                answer = {"error": str(error)}
            # Whatever it is: who asked is at the other end and reads no log.
            except Exception as error:
                answer = {"error": f"It went wrong in a way that nobody thought of ({type(error).__name__}: {error})."}
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    # One at a time: faults of one host are in each other's way.
    with socketserver.UnixStreamServer(str(folder / SOCKET), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


def ask(folder: Path, words: list[str]) -> str:
    """Have the cloud in this folder do it; gives what was done. Raises SandboxError with its sentence."""
    with socket(AF_UNIX) as link:
        link.settimeout(SECONDS)
        try:
            link.connect(str(folder / SOCKET))
        except (FileNotFoundError, ConnectionRefusedError):
            raise SandboxError("No cloud is up here: `make sandbox-cloud` boots one.") from None
        link.sendall(json.dumps(words).encode() + b"\n")
        with link.makefile() as answers:
            answer = json.loads(answers.readline())
    if "error" in answer:
        raise SandboxError(answer["error"])
    return str(answer["done"])
