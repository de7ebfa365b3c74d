"""The metadata service of an instance with a role: it wants a token first, as IMDSv2 does."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.doubles.s3.serving import serving

ROLE = "orchard-node"
# More than the second that boto3 waits unless told.
LATE_SECONDS = 1.4
TOKEN = "token-of-the-test"
CREDENTIALS_PATH = "/latest/meta-data/iam/security-credentials/"


@contextmanager
def instance_metadata(access_key: str, secret_key: str, late: int = 0) -> Iterator[str]:
    """The endpoint of a service whose role has these keys; its first `late` answers come `LATE_SECONDS` late."""
    waits = [LATE_SECONDS] * late
    credentials = {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": "2026-01-01T00:00:00Z",
        "AccessKeyId": access_key,
        "SecretAccessKey": secret_key,
        "Token": "session",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    answers = {CREDENTIALS_PATH: ROLE, CREDENTIALS_PATH + ROLE: json.dumps(credentials)}

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._answer(TOKEN if self.path == "/latest/api/token" else None)

        def do_GET(self) -> None:
            self._answer(answers.get(self.path) if self.headers.get("x-aws-ec2-metadata-token") == TOKEN else None)

        def _answer(self, body: str | None) -> None:
            if waits:
                # Being late is the fault itself: there is no condition to wait for.
                time.sleep(waits.pop())
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or "")))
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with serving(Handler) as endpoint:
        yield endpoint
