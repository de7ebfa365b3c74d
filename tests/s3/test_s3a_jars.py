"""The jars of s3a in a real bucket, where hosts leave them for one another."""

import hashlib
import secrets

import pytest

from s3a_jars import InBucket, JarsError
from tests.doubles.s3.server import S3Server

ID = hashlib.sha256(b"a lock").hexdigest()[:16]


def test_what_one_host_leaves_another_finds_under_the_lock_s_name(s3_server: S3Server) -> None:
    with s3_server.bucket() as bucket:
        InBucket(s3_server.client(), bucket, ID).put("a.jar", b"content")
        assert InBucket(s3_server.client(), bucket, ID).get("a.jar") == b"content"
        assert InBucket(s3_server.client(), bucket, "another").get("a.jar") is None
        [found] = s3_server.client().list_objects_v2(Bucket=bucket)["Contents"]
        assert found["Key"] == f"jars/{ID}/a.jar"


def test_a_bucket_that_is_not_there_is_named(s3_server: S3Server) -> None:
    nowhere = InBucket(s3_server.client(), f"none-{secrets.token_hex(4)}", ID)
    with pytest.raises(JarsError, match=r"cannot be kept in s3://none-.* see that the bucket is there"):
        nowhere.put("a.jar", b"content")
    with pytest.raises(JarsError, match=r"cannot be kept in s3://none-"):
        nowhere.get("a.jar")
