"""The person's login to AWS: one session for all that a command asks, so that a code is asked for once.

Terraform is a process of its own. It knows no codes, and what it was given at its start may end before it does: so it
fetches from here, and again when it has to.
"""

import json
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from botocore.credentials import RefreshableCredentials
from botocore.utils import JSONFileCache

from scripts import console
from scripts.access.errors import aws_errors_as_sentences

LOOPBACK = "127.0.0.1"
# Where the AWS CLI keeps the roles that it has assumed, for the next command within their hour.
CLI_CACHE = Path("~/.aws/cli/cache")
# By these, and by these files, AWS's libraries would look elsewhere first.
OTHER_SOURCES = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
# boto3 makes clients of a session in one thread at a time.
making = threading.Lock()


@cache
def session() -> Any:
    """The session. Raises MissingError for a profile that is none, or a file of settings that is none."""
    with aws_errors_as_sentences("say whose credentials these are"):
        made = boto3.session.Session()
        assuming = made._session.get_component("credential_provider").get_provider("assume-role")
    assuming._prompter = console.enquire_secret
    if (kept := CLI_CACHE.expanduser()).is_dir():
        assuming.cache = JSONFileCache(str(kept))
    return made


def region() -> str | None:
    """The region that AWS's own tools would take: AWS_REGION, AWS_DEFAULT_REGION, the profile's."""
    return os.environ.get("AWS_REGION") or session().region_name


@contextmanager
def lent() -> Iterator[dict[str, str | None]]:
    """What leads a child to this login, for the time of the block; nothing where keys that do not end lie open to it.

    Environment variables as `processes` takes them. A server on this machine's own address answers whoever has the
    token in them, as ECS answers containers (AWS SDKs and Tools Reference Guide, "Container credential provider").
    """
    with aws_errors_as_sentences("say whose credentials these are"):
        credentials = session().get_credentials()
    if not isinstance(credentials, RefreshableCredentials):
        yield {}
        return
    token, failed = secrets.token_urlsafe(32), list[Exception]()
    with ThreadingHTTPServer((LOOPBACK, 0), _answering(credentials, token, failed)) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield {
                **dict.fromkeys(OTHER_SOURCES),
                **dict.fromkeys(FILES, os.devnull),
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{LOOPBACK}:{server.server_port}/",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
            }
        finally:
            server.shutdown()
    if failed:
        # The child knows that it got none, and not why.
        with aws_errors_as_sentences("renew the login"):
            raise failed[0]


def _answering(
    credentials: RefreshableCredentials, token: str, failed: list[Exception]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not secrets.compare_digest(self.headers.get("Authorization", ""), token):
                self.send_error(403)
                return
            try:
                answer, code = _in_words(credentials), 200
            except Exception as error:  # this thread has nobody to tell: who lends the login raises it
                failed.append(error)
                answer, code = {"code": "Expired", "message": str(error)}, 500
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: what is asked here is asked with a secret."""

    return Handler


def _in_words(credentials: RefreshableCredentials) -> dict[str, str]:
    """What is in force now, renewed where its end is near."""
    frozen = credentials.get_frozen_credentials()
    return {
        "AccessKeyId": frozen.access_key,
        "SecretAccessKey": frozen.secret_key,
        "Token": frozen.token,
        "Expiration": credentials._expiry_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
