"""The instance metadata service of one host (version 2 only): token, identity, role credentials, spot notice.

It listens inside the host's network namespace at the usual address, from a thread of the sandbox's own process.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from typing import Any

from tests.sandbox.kernel import network
from tests.sandbox.runs import Run

LONGEST_TOKEN = 21_600  # seconds, as Amazon's
Tree = dict[str, Any]


@dataclass(frozen=True)
class RoleCredentials:
    """What the instance's role gives out."""

    access_key_id: str
    secret_access_key: str
    token: str = ""


@dataclass(frozen=True)
class Identity:
    """What an instance may know of itself."""

    instance_id: str
    private_ip: str
    hostname: str
    public_ip: str = ""
    instance_type: str = "m6i.large"
    image_id: str = "ami-00000000000000000"
    region: str = "eu-west-1"
    zone: str = "eu-west-1a"
    account: str = "123456789012"
    authorized_keys: tuple[str, ...] = ()
    user_data: bytes = b""
    role: str = ""
    spot: bool = False
    launched: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def mac(self) -> str:
        """Of the first interface; the address makes it, and nothing compares it with the link's."""
        return ":".join(["02", "00", *(f"{byte:02x}" for byte in IPv4Address(self.private_ip).packed)])


class MetadataService:
    """Answers one host's questions about itself from `start` to `stop`."""

    def __init__(self, identity: Identity, credentials: Callable[[], RoleCredentials | None]) -> None:
        self.identity = identity
        self._credentials = credentials
        self._spot_notice: datetime | None = None
        self._rebalance: datetime | None = None
        self._tokens: dict[str, float] = {}
        self._server: ThreadingHTTPServer | None = None

    def start(self, run: Run, host: str) -> None:
        """Listen in the host's namespace."""
        with network.inside(run, host):
            self._server = ThreadingHTTPServer((network.METADATA_ADDRESS, 80), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Close the socket; a namespace with an open one does not go away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def announce_spot_interruption(self, seconds: int = 120) -> datetime:
        """From now on, say that the instance will be terminated in so many seconds. Gives that time."""
        self._spot_notice = datetime.now(UTC) + timedelta(seconds=seconds)
        return self._spot_notice

    def withdraw_spot_interruption(self) -> None:
        """Say so no more."""
        self._spot_notice = None

    def recommend_rebalance(self) -> datetime:
        """From now on, say that the instance is more likely to be taken than others. Gives when that was said first."""
        self._rebalance = datetime.now(UTC)
        return self._rebalance

    def withdraw_rebalance(self) -> None:
        """Say so no more."""
        self._rebalance = None

    def grant_token(self, seconds: int) -> str:
        token = secrets.token_urlsafe(40)
        self._tokens[token] = time.monotonic() + seconds
        return token

    def is_valid(self, token: str | None) -> bool:
        return token is not None and self._tokens.get(token, 0) > time.monotonic()

    def answer(self, path: str) -> bytes | None:
        """The body for a path without its version, None where there is nothing. A folder lists its entries."""
        node: Any = self._tree()
        for part in [part for part in path.split("/") if part]:
            if not isinstance(node, dict) or part not in node:
                return None
            node = node[part]
        if isinstance(node, dict):
            return "\n".join(f"{name}/" if isinstance(entry, dict) else name for name, entry in node.items()).encode()
        return node if isinstance(node, bytes) else str(node).encode()

    def _tree(self) -> Tree:
        me = self.identity
        metadata: Tree = {
            "ami-id": me.image_id,
            "hostname": me.hostname,
            "instance-action": "none",
            "instance-id": me.instance_id,
            "instance-life-cycle": "spot" if me.spot else "on-demand",
            "instance-type": me.instance_type,
            "local-hostname": me.hostname,
            "local-ipv4": me.private_ip,
            "network": {"interfaces": {"macs": {me.mac: {"device-number": "0", "local-ipv4s": me.private_ip}}}},
            "placement": {"availability-zone": me.zone, "region": me.region},
            "services": {"domain": "amazonaws.com", "partition": "aws"},
        }
        if me.public_ip:
            metadata["public-ipv4"] = me.public_ip
        if me.authorized_keys:
            # Amazon lists keys as `0=NAME` but answers under `0/`.
            metadata["public-keys"] = _Keys({"0": {"openssh-key": "\n".join(me.authorized_keys)}})
        if me.role:
            metadata["iam"] = self._role(me.role)
        if self._spot_notice:
            notice = {"action": "terminate", "time": _iso(self._spot_notice)}
            metadata["spot"] = {"instance-action": json.dumps(notice), "termination-time": notice["time"]}
        if self._rebalance:
            metadata["events"] = {"recommendations": {"rebalance": json.dumps({"noticeTime": _iso(self._rebalance)})}}
        tree: Tree = {"dynamic": {"instance-identity": {"document": self._document()}}, "meta-data": metadata}
        if me.user_data:
            tree["user-data"] = me.user_data
        return tree

    def _role(self, role: str) -> Tree:
        profile = f"arn:aws:iam::{self.identity.account}:instance-profile/{role}"
        tree: Tree = {
            "info": json.dumps({"Code": "Success", "InstanceProfileArn": profile}),
            "security-credentials": {},
        }
        credentials = self._credentials()
        if credentials is not None:
            now = datetime.now(UTC)
            tree["security-credentials"][role] = json.dumps(
                {
                    "Code": "Success",
                    "LastUpdated": _iso(now),
                    "Type": "AWS-HMAC",
                    "AccessKeyId": credentials.access_key_id,
                    "SecretAccessKey": credentials.secret_access_key,
                    "Token": credentials.token,
                    "Expiration": _iso(now + timedelta(hours=6)),
                }
            )
        return tree

    def _document(self) -> str:
        me = self.identity
        return json.dumps(
            {
                "accountId": me.account,
                "architecture": "x86_64",
                "availabilityZone": me.zone,
                "imageId": me.image_id,
                "instanceId": me.instance_id,
                "instanceType": me.instance_type,
                "pendingTime": _iso(me.launched),
                "privateIp": me.private_ip,
                "region": me.region,
                "version": "2017-09-30",
            },
            indent=2,
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                wanted = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
                if self.path != "/latest/api/token":
                    self._send(HTTPStatus.NOT_FOUND)
                elif not wanted.isdigit() or not 1 <= int(wanted) <= LONGEST_TOKEN:
                    self._send(HTTPStatus.BAD_REQUEST)
                else:
                    self._send(
                        HTTPStatus.OK,
                        service.grant_token(int(wanted)).encode(),
                        {"X-aws-ec2-metadata-token-ttl-seconds": wanted},
                    )

            def do_GET(self) -> None:
                if not service.is_valid(self.headers.get("X-aws-ec2-metadata-token")):
                    self._send(HTTPStatus.UNAUTHORIZED)
                    return
                _, _version, rest = (*self.path.split("/", 2), "")[:3]
                body = service.answer(rest)
                self._send(HTTPStatus.NOT_FOUND if body is None else HTTPStatus.OK, body or b"")

            def _send(self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """A host asks often; nobody reads it."""

        return Handler


class _Keys(Tree):
    """The one folder whose listing differs from what is below it."""

    def items(self) -> Any:
        return [(f"{index}=orchard", "") for index in self]


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
