"""The metadata service of an instance with a role: it wants a token first, as IMDSv2 does."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

from tests.doubles.s3.serving import serving

ROLE = "orchard-node"
# More than the second that boto3 waits unless told.
LATE_SECONDS = 1.4
TOKEN = "token-of-the-test"
CREDENTIALS_PATH = "/latest/meta-data/iam/security-credentials/"


@dataclass
class Role:
    """The keys that the role has at this moment, and how long they say that they last."""

    access_key: str
    secret_key: str
    lasting: timedelta = timedelta(hours=6)

    def credentials(self) -> str:
        """As the service gives them."""
        now = datetime.now(UTC)
        return json.dumps(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "LastUpdated": _iso(now),
                "AccessKeyId": self.access_key,
                "SecretAccessKey": self.secret_key,
                "Token": "session",
                "Expiration": _iso(now + self.lasting),
            }
        )


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def instance_metadata(role: Role, late: int = 0) -> Iterator[str]:
    """The endpoint of a service of an instance with this role; its first `late` answers come `LATE_SECONDS` late."""
    waits = [LATE_SECONDS] * late

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._answer(TOKEN if self.path == "/latest/api/token" else None)

        def do_GET(self) -> None:
            answers = {CREDENTIALS_PATH: ROLE, CREDENTIALS_PATH + ROLE: role.credentials()}
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
