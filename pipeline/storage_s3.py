"""Pictures and results in an S3 bucket. boto3 lists and says what is wrong; obstore moves the bytes.

obstore, because it read this project's small pictures 1.7 times as fast as pyarrow's file system and 3.5 times as
fast as boto3, from the same server on the same cores (benchmarks/s3_clients.md).
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any, TypeVar

import boto3
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from pipeline import retries
from pipeline.errors import InputError
from pipeline.storage import LISTING_SCHEMA

DEFAULT_REGION = "us-east-1"
# A small picture takes milliseconds: a GET that has said nothing for this long is tried again.
SILENCE_SECONDS = float(os.environ.get("ORCHARD_S3_SILENCE_SECONDS", "20"))
ATTEMPTS = 8
LONGEST_PAUSE_SECONDS = 10.0
CHUNK_BYTES = 16 * 1024 * 1024

Result = TypeVar("Result")


class TransientError(OSError):
    """The server or the way to it failed; the request may be tried again."""


@dataclass(frozen=True)
class S3Storage:
    """A key prefix in a bucket. Credentials and endpoint are found where it is used, by AWS's own chain."""

    bucket: str
    prefix: str

    @classmethod
    def at(cls, uri: str) -> "S3Storage":
        """The prefix named by `s3://bucket/prefix`; everything after the bucket is taken as it stands."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if not bucket:
            raise InputError(f"{uri} names no bucket; write s3://bucket/prefix.")
        return cls(bucket, prefix.strip("/"))

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def list(self, prefix: str = "") -> Iterator[pa.RecordBatch]:
        """One batch a page of 1,000 keys. The prefix's own 0-byte "folder" object is left out."""
        with told(self.bucket):
            _check_region(self.bucket)
            base = self._key("")
            pages = _client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=base + prefix)
            for page in pages:
                rows = [(entry["Key"][len(base) :], entry["Size"]) for entry in page.get("Contents", ())]
                paths, sizes = [path for path, _ in rows if path], [size for path, size in rows if path]
                yield pa.RecordBatch.from_pydict({"path": paths, "bytes": sizes}, schema=LISTING_SCHEMA)

    def list_objects(self) -> Iterator[tuple[str, int, str]]:
        """Key, size and ETag of every object, for comparing them with files."""
        with told(self.bucket):
            _check_region(self.bucket)
            base = self._key("")
            for page in _client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=base):
                for entry in page.get("Contents", ()):
                    if not entry["Key"].endswith("/"):
                        yield entry["Key"][len(base) :], entry["Size"], entry["ETag"].strip('"')

    def read(self, key: str) -> bytes:
        return _trying(lambda: _get(self.bucket, self._key(key)))

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """A piece of an object."""
        return _trying(lambda: bytes(_store(self.bucket).get_range(self._key(key), start=start, length=length)))

    def size(self, key: str) -> int:
        """Bytes of an object."""
        return _trying(lambda: int(_store(self.bucket).head(self._key(key))["size"]))

    def metadata(self, key: str) -> dict[str, str]:
        """The user metadata of an object."""
        with told(self.bucket):
            found: dict[str, str] = _client().head_object(Bucket=self.bucket, Key=self._key(key))["Metadata"]
            return found

    def write(self, key: str, data: bytes, attributes: dict[str, str] | None = None) -> None:
        """One PUT: S3 shows the object when all of it has come, or not at all."""
        attributes = attributes or {}
        _trying(lambda: _store(self.bucket).put(self._key(key), data, attributes=attributes, use_multipart=False))

    @contextmanager
    def writer(self, key: str) -> Iterator[IO[bytes]]:
        # Written to a local file first: an upload that is begun when the content is whole can be tried again, and a
        # multipart upload that fails is aborted by obstore.
        with tempfile.TemporaryFile() as spool:
            yield spool
            spool.flush()
            self.write_file(key, spool)

    def write_file(self, key: str, file: IO[bytes], attributes: dict[str, str] | None = None) -> None:
        """A file as one PUT, or as one multipart upload where it is larger than a chunk."""
        attributes = attributes or {}

        def put() -> None:
            file.seek(0)
            _store(self.bucket).put(self._key(key), file, attributes=attributes, chunk_size=CHUNK_BYTES)

        _trying(put)

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except FileNotFoundError:
            return False
        return True

    def check_writable(self) -> None:
        probe = self._key(".orchard-write-check")
        with told(self.bucket, "written"):
            _check_region(self.bucket)
            _client().put_object(Bucket=self.bucket, Key=probe, Body=b"")
            _client().delete_object(Bucket=self.bucket, Key=probe)

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key


def _get(bucket: str, key: str) -> bytes:
    try:
        return bytes(_store(bucket).get(key).bytes())
    except ValueError:
        # obstore takes no key with `//` or `..` in it; S3 does.
        return bytes(_client().get_object(Bucket=bucket, Key=key)["Body"].read())


def _trying(request: Callable[[], Result]) -> Result:
    """The request's result, tried again with jittered exponential pauses where the server or the network fails.

    Raises FileNotFoundError, PermissionError, or TransientError when the last attempt has failed, too.
    """

    def attempt() -> Result:
        try:
            return request()
        except (NotFoundError, FileNotFoundError) as error:
            raise FileNotFoundError(2, "no such object") from error
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
            raise PermissionError(13, "access denied by the bucket") from error
        except ClientError as error:
            raise PermissionError(13, f"refused by the bucket ({error.response['Error']['Code']})") from error
        except (BaseError, BotoCoreError, OSError) as error:
            raise TransientError(5, f"S3 did not answer well in {ATTEMPTS} attempts: {_brief(error)}") from error

    trying = Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(multiplier=0.2, max=LONGEST_PAUSE_SECONDS),
        stop=stop_after_attempt(ATTEMPTS),
        before_sleep=lambda _: retries.add(),
        reraise=True,
    )
    return trying(attempt)


def _brief(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


@lru_cache(maxsize=1)
def _session() -> Any:
    return boto3.Session()


@lru_cache(maxsize=1)
def _client() -> Any:
    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=10,
        read_timeout=SILENCE_SECONDS,
        max_pool_connections=64,
    )
    return _session().client("s3", region_name=_session().region_name or DEFAULT_REGION, config=config)


@lru_cache(maxsize=8)
def _store(bucket: str) -> Any:
    session, endpoint = _session(), _client().meta.endpoint_url
    own = {} if endpoint.endswith(".amazonaws.com") else {"endpoint": endpoint}
    return S3Store(
        bucket,
        **own,
        region=session.region_name or _bucket_region(bucket) or DEFAULT_REGION,
        virtual_hosted_style_request=False,
        credential_provider=Boto3CredentialProvider(session),
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": "10s",
            "read_timeout": f"{SILENCE_SECONDS}s",
            "timeout": "600s",
        },
        # Retries are counted, so they are done by `_trying`.
        retry_config={"max_retries": 0},
    )


@lru_cache(maxsize=8)
def _bucket_region(bucket: str) -> str | None:
    region: str | None = _client().head_bucket(Bucket=bucket).get("BucketRegion")
    return region


def _check_region(bucket: str) -> None:
    asked, actual = _session().region_name, _bucket_region(bucket)
    if asked and actual and asked != actual:
        raise InputError(f"The bucket {bucket} lies in {actual}, not in {asked}; set AWS_REGION={actual}.")


_CAUSES = {
    "NoSuchBucket": "there is no such bucket; check the name",
    "404": "there is no such bucket; check the name",
    "AccessDenied": "access is denied; check that these credentials may use it",
    "403": "access is denied; check that these credentials may use it",
    "InvalidAccessKeyId": "the access key is not known there; check AWS_PROFILE or the keys in the environment",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_PROFILE or the keys in the environment",
    "ExpiredToken": "the credentials have expired; get new ones",
    "PermanentRedirect": "it lies in another region; set AWS_REGION to the bucket's",
    "301": "it lies in another region; set AWS_REGION to the bucket's",
    "AuthorizationHeaderMalformed": "it lies in another region; set AWS_REGION to the bucket's",
    "400": "the request was refused; check AWS_REGION and that the credentials have not expired",
}


@contextmanager
def told(bucket: str, verb: str = "used") -> Iterator[None]:
    """Turns what boto3 raises in the block into an InputError that names bucket and cause."""
    try:
        yield
    except NoCredentialsError:
        raise InputError(
            f"The bucket {bucket} cannot be {verb}: there are no AWS credentials here; "
            "set AWS_PROFILE or run aws configure."
        ) from None
    except ClientError as error:
        code = error.response["Error"]["Code"]
        cause = _CAUSES.get(code, f"the server answered {code}; try again later")
        raise InputError(f"The bucket {bucket} cannot be {verb}: {cause}.") from error
    except BotoCoreError as error:
        raise InputError(
            f"The bucket {bucket} cannot be {verb}: {_brief(error).rstrip('.')}; "
            "check AWS_ENDPOINT_URL and the network."
        ) from error
