"""How this process reaches S3: credentials, region and endpoint by AWS's own chain, connections made once and kept."""

import os
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from threading import Lock
from typing import Any

import boto3
import botocore.session
from botocore import handlers
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.store import S3Store

from pipeline.errors import InputError
from pipeline.settings import MOST_FETCHES
from pipeline.storage import retries

DEFAULT_REGION = "us-east-1"
# A small picture takes milliseconds: a GET that has said nothing for this long is tried again.
SILENCE_SECONDS = 20.0
ATTEMPTS = 8
METADATA_SECONDS = 2
METADATA_ATTEMPTS = 5
# How long obstore keeps what boto3 gave it, which looks after their expiry: unless told, 30 minutes, whatever that is.
CREDENTIALS_KEPT = timedelta(minutes=1)
_renewing = Lock()


@lru_cache(maxsize=1)
def session() -> Any:
    """The boto3 session. AWS_REGION comes first, as in AWS's other tools; boto3 reads AWS_DEFAULT_REGION alone."""
    made = botocore.session.get_session()
    # Nobody reads the times of a list, and parsing them takes two thirds of its time. The AWS CLI does the same.
    made.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    # A busy instance may not hear from its metadata within boto3's one second and one attempt.
    made.set_config_variable("metadata_service_timeout", METADATA_SECONDS)
    made.set_config_variable("metadata_service_num_attempts", METADATA_ATTEMPTS)
    return boto3.Session(botocore_session=made, region_name=os.environ.get("AWS_REGION") or None)


@lru_cache(maxsize=2)
def client(attempts: int = ATTEMPTS) -> Any:
    """The boto3 client, which tries again by itself, with jittered pauses; each further attempt is counted."""
    return _made_client(attempts)


def _made_client(attempts: int) -> Any:
    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=10,
        read_timeout=SILENCE_SECONDS,
        max_pool_connections=MOST_FETCHES,
    )
    made = session().client("s3", region_name=session().region_name or DEFAULT_REGION, config=config)
    made.meta.events.register("request-created.s3", _count_retry)
    return made


@lru_cache(maxsize=1)
def lister(before_parsing: Callable[..., None]) -> Any:
    """As `client`, for long lists: `before_parsing` is called with each answer before botocore reads it.

    It has to look for an error in a 200 itself: botocore's own look at it parses the whole list once more.
    """
    made = _made_client(ATTEMPTS)
    made.meta.events.unregister("before-parse.s3.*", handlers._handle_200_error)
    made.meta.events.register("before-parse.s3.ListObjectsV2", before_parsing)
    return made


def _count_retry(request: Any, **_: Any) -> None:
    if request.context.get("retries", {}).get("attempt", 1) > 1:
        retries.add()


@lru_cache(maxsize=8)
def store(bucket: str) -> Any:
    """The obstore store for this bucket. It tries once: see `s3_errors.trying`. Raises NoCredentialsError."""
    if session().get_credentials() is None:
        raise NoCredentialsError
    endpoint = client().meta.endpoint_url
    own = {} if endpoint.endswith(".amazonaws.com") else {"endpoint": endpoint}
    return S3Store(
        bucket,
        **own,
        region=session().region_name or bucket_region(bucket) or DEFAULT_REGION,
        virtual_hosted_style_request=False,
        credential_provider=Boto3CredentialProvider(session(), ttl=CREDENTIALS_KEPT),
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": "10s",
            "read_timeout": f"{SILENCE_SECONDS}s",
            "timeout": "600s",
        },
        retry_config={"max_retries": 0},
    )


def renew(refused: Any) -> None:
    """Find credentials anew where this session's were refused, unless another thread has done so since.

    An instance's role has new ones five minutes before the old ones end, and boto3 may ask later than that.
    """
    with _renewing:
        if session() is refused:
            for kept in (session, client, lister, store):
                kept.cache_clear()


@lru_cache(maxsize=8)
def bucket_region(bucket: str) -> str | None:
    """The region that the server gives for the bucket, if it gives one. Raises what boto3 raises."""
    try:
        region: str | None = client().head_bucket(Bucket=bucket).get("BucketRegion")
    except ClientError:
        # A refused HEAD has no body, and so no cause: the same question as a GET is refused in words.
        client().list_objects_v2(Bucket=bucket, MaxKeys=1)
        return None
    return region


def check_region(bucket: str) -> None:
    """Raise InputError where the region that is set is not the bucket's: obstore does not follow to another one."""
    asked, actual = session().region_name, bucket_region(bucket)
    if asked and actual and asked != actual:
        raise InputError(f"The bucket {bucket} lies in {actual}, not in {asked}; set AWS_REGION={actual}.")
