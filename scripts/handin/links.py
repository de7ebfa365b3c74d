"""Links to objects of the bucket that need no account and expire: SigV4, no longer than the credentials that sign."""

import math
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.config import Config

from scripts.access import login
from scripts.access.errors import aws_errors_as_sentences, no_credentials
from scripts.aws import clients
from scripts.aws.bucket import Bucket
from scripts.errors import AwsError, InputError

DEFAULT_HOURS = "24"
LONGEST_HOURS = 168.0  # of a signature, in S3 (Signature Version 4)
LEAST_SECONDS = 60
SECONDS = 15
# Regional addresses, which S3 leads nowhere else.
SIGNING = Config(signature_version="s3v4", s3={"addressing_style": "virtual"}, connect_timeout=10, read_timeout=60)
# As a browser is to take them; whatever else lies there is downloaded.
SHOWN = {".html": "text/html; charset=utf-8", ".json": "application/json"}
PICTURES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
}


@dataclass(frozen=True)
class Signer:
    """Who signs links to a bucket, and until when they work.

    `is_cut` says that the credentials end before what was asked for; `may_end_earlier` that they are temporary and
    nothing here tells when they end.
    """

    bucket: Bucket
    client: Any
    arn: str
    until: datetime
    is_cut: bool
    may_end_earlier: bool

    def link(self, key: str, name: str = "") -> str:
        """A link to an object, which a browser shows, or else saves as `name`. Raises AwsError or MissingError."""
        suffix = PurePosixPath(key).suffix.lower()
        shown = SHOWN | PICTURES
        asked = {"ResponseContentType": shown.get(suffix, "application/octet-stream")}
        saved = quote(name or PurePosixPath(key).name, safe="")
        kind = "inline" if suffix in shown else "attachment"
        asked["ResponseContentDisposition"] = f"{kind}; filename*=UTF-8''{saved}"
        seconds = int((self.until - datetime.now(UTC)).total_seconds())
        with aws_errors_as_sentences(f"sign a link to {self.bucket.uri(key)}"):
            signed = self.client.generate_presigned_url(
                "get_object", Params={"Bucket": self.bucket.name, "Key": key, **asked}, ExpiresIn=max(seconds, 1)
            )
        return str(signed)


def hours_of(given: str) -> float:
    """HOURS as a number. Raises InputError for what is none, or longer than a link may live."""
    try:
        hours = float(given)
    except ValueError:
        hours = math.nan
    if not LEAST_SECONDS / 3600 <= hours <= LONGEST_HOURS:
        raise InputError(
            f"HOURS={given} is no time for links to work: give hours from 0.02 (a minute) up to {LONGEST_HOURS:.0f} "
            "(AWS signs for seven days at most)."
        )
    return hours


def signer(bucket: Bucket, hours: float) -> Signer:
    """The person's own credentials as a signer for so many hours. Raises AwsError or MissingError."""
    with aws_errors_as_sentences("let links be signed"):
        arn = str(clients.client("sts", bucket.region).get_caller_identity()["Arn"])
        client = clients.client("s3", bucket.region, SIGNING)
        credentials = login.session().get_credentials()
        if credentials is None:
            raise no_credentials()
        # Whatever can be renewed is, before the links are bound to it.
        is_temporary = credentials.get_frozen_credentials().token is not None
    asked = datetime.now(UTC) + timedelta(hours=hours)
    ends = ends_at(credentials)
    if ends and ends < datetime.now(UTC) + timedelta(seconds=LEAST_SECONDS):
        raise AwsError("Your AWS credentials end within a minute, and links with them: log in again, then try again.")
    return Signer(
        bucket=bucket,
        client=client,
        arn=arn,
        until=min(asked, ends) if ends else asked,
        is_cut=ends is not None and ends < asked,
        may_end_earlier=is_temporary and ends is None,
    )


def ends_at(credentials: Any) -> datetime | None:
    """When credentials end; None for those that do not, or do not say."""
    # botocore tells nobody but by this attribute of what it renews.
    found = getattr(credentials, "_expiry_time", None)
    return found.astimezone(UTC) if isinstance(found, datetime) else None


def check(signed: str) -> None:
    """See that a link works, and that the same address without its signature does not. Raises AwsError."""
    answered = _status(signed)
    if answered != 200:
        raise AwsError(
            f"A link that was just signed is answered with {answered}: your credentials may not read the bucket, or "
            "this machine's clock is wrong."
        )
    if (without := _status(urlsplit(signed)._replace(query="").geturl())) == 200:
        raise AwsError(
            f"The bucket gives its objects to anybody who asks ({without} without a signature): `make evidence` says "
            "why, `make up` closes it."
        )


def _status(address: str) -> int:
    """The status of an answer, whose content is left."""
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:  # noqa: S310  an address that botocore made
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise AwsError(f"The bucket cannot be reached to try a link ({reason}): check the network.") from None
