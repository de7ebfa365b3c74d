"""The bucket of made-up keys lists as S3 does, to boto3 and to obstore, also where pages end at a folder's border."""

import io
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.session
import obstore
import pytest
from botocore.exceptions import ClientError
from obstore.store import S3Store
from PIL import Image

from tests.doubles.s3.many import REGION, ManyS3, many_s3
from tests.doubles.s3.many_keys import BUCKET, ROOT, ManyKeys

# 7 loose ones, 4 folders of 100 in 2 groups, of which the last has 250.
KEYS = ManyKeys(550, 4, largest=0.4546, groups=2, loose=7)
ALL = [KEYS.key_at(place) for place in range(KEYS.total)]


@pytest.fixture(scope="module")
def server() -> Iterator[ManyS3]:
    with many_s3(KEYS, processes=2) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: ManyS3) -> Any:
    session = botocore.session.get_session()
    # As the job has it: nobody reads the times of a list.
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    return boto3.Session(botocore_session=session).client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=REGION,
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )


@pytest.fixture(scope="module")
def store(server: ManyS3) -> Any:
    return S3Store(
        BUCKET,
        endpoint=server.endpoint_url,
        region=REGION,
        access_key_id="any",
        secret_access_key="any",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def by_rule(prefix: str, delimiter: str, start_after: str = "") -> list[str]:
    """What S3's rules make of all keys, one by one: keys and common prefixes, in their order."""
    found: dict[str, None] = {}
    for key in ALL:
        if not key.startswith(prefix) or key <= start_after:
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = key if cut < 0 else key[: cut + len(delimiter)]
        if cut < 0 or entry > start_after:
            found[entry] = None
    return list(found)


def listed(client: Any, page: int, **words: str) -> list[str]:
    """Keys and common prefixes of all pages, sorted; no page is larger than asked for, none but the last is empty."""
    entries: list[str] = []
    lister = client.get_paginator("list_objects_v2")
    pages = list(lister.paginate(Bucket=BUCKET, PaginationConfig={"PageSize": page}, **words))
    for number, answer in enumerate(pages):
        names = [entry["Key"] for entry in answer.get("Contents", ())]
        names += [entry["Prefix"] for entry in answer.get("CommonPrefixes", ())]
        assert answer["KeyCount"] == len(names) <= page
        assert answer["IsTruncated"] == (number < len(pages) - 1)
        assert names or not answer["IsTruncated"]
        entries += names
    return sorted(entries)


def test_keys_are_in_the_order_of_their_bytes_and_no_two_are_the_same() -> None:
    assert sorted(set(ALL), key=lambda key: key.encode()) == ALL
    assert len({KEYS.folder_at(place) for place in range(KEYS.total)}) == 5
    assert [KEYS.place_of(key) for key in ALL[::7]] == list(range(KEYS.total))[::7]


@pytest.mark.parametrize("page", [100, 99, 7])
@pytest.mark.parametrize(
    ("prefix", "delimiter", "start_after"),
    [
        ("", "", ""),
        (ROOT, "/", ""),
        (ROOT, "", ""),
        (f"{ROOT}group+0 & more/", "/", ""),
        (f"{ROOT}group+0 & more/class 00001/", "/", ""),
        (f"{ROOT}group+1 & more/class 00004/", "", ""),
        (f"{ROOT}group+0 & more/cl", "/", ""),
        (f"{ROOT}0", "/", ""),
        ("pictures", "/", ""),
        ("nothing", "/", ""),
        (ROOT, "/", f"{ROOT}000000003.jpg"),
        (ROOT, "/", f"{ROOT}group+0 & more/"),
        (ROOT, "/", f"{ROOT}group+0 & more/class 00001/000000005.jpg"),
        (ROOT, "", f"{ROOT}group+0 & more/class 00001/000000099.jpg"),
        (f"{ROOT}group+0 & more/", "", f"{ROOT}group+0 & more/class 00002/0000000"),
        (ROOT, "", "z"),
    ],
)
def test_boto3_lists_what_s3_would(client: Any, page: int, prefix: str, delimiter: str, start_after: str) -> None:
    words = {"Prefix": prefix, "Delimiter": delimiter, "StartAfter": start_after}
    given = {name: value for name, value in words.items() if value}
    assert listed(client, page, **given) == sorted(by_rule(prefix, delimiter, start_after))


def test_a_page_that_ends_at_a_folders_border_goes_on_with_the_next_folder(client: Any) -> None:
    first = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{ROOT}group+0 & more/", MaxKeys=100)
    assert first["Contents"][-1]["Key"] == f"{ROOT}group+0 & more/class 00001/000000099.jpg"
    token = first["NextContinuationToken"]
    second = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{ROOT}group+0 & more/", MaxKeys=1, ContinuationToken=token)
    assert second["Contents"][0]["Key"] == f"{ROOT}group+0 & more/class 00002/000000000.jpg"


def test_boto3_is_given_the_size_and_the_etag_that_the_object_has(client: Any) -> None:
    for key in (ALL[0], ALL[107], ALL[-1]):
        entry = client.list_objects_v2(Bucket=BUCKET, Prefix=key)["Contents"][0]
        answer = client.get_object(Bucket=BUCKET, Key=key)
        folder, number = KEYS.find(key) or pytest.fail(key)
        assert entry["Size"] == answer["ContentLength"] == len(answer["Body"].read()) == folder.size(number)
        assert entry["ETag"] == answer["ETag"] == f'"{folder.etag(number)}"'
        assert client.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == entry["Size"]


def test_sizes_vary_and_every_eighth_folder_has_larger_pictures() -> None:
    many = ManyKeys(80_000, 8)
    sizes = [[folder.size(number) for number in range(1000)] for folder in many.all_folders]
    assert [min(of) // 1000 for of in sizes] == [1, 1, 1, 1, 1, 1, 10, 1]
    assert all(len(set(of)) > 500 for of in sizes)


def test_obstore_lists_all_keys_and_a_folders_by_delimiter(store: Any) -> None:
    found = [entry["path"] for batch in obstore.list(store, "pictures", chunk_size=100) for entry in batch]
    assert found == ALL
    below = obstore.list_with_delimiter(store, "pictures")
    assert list(below["common_prefixes"]) == ["pictures/group+0 & more", "pictures/group+1 & more"]
    assert [entry["path"] for entry in below["objects"]] == ALL[:7]


def test_obstore_goes_on_after_a_key(store: Any) -> None:
    after = ALL[300]
    found = [entry["path"] for batch in obstore.list(store, "pictures", offset=after) for entry in batch]
    assert found == ALL[301:]


def test_obstore_reads_whole_pictures_and_ranges_of_them(store: Any) -> None:
    key = ALL[200]
    data = bytes(obstore.get(store, key).bytes())
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "JPEG"
        assert picture.convert("RGB").size == (8, 8)
    assert obstore.head(store, key)["size"] == len(data)
    assert bytes(obstore.get_range(store, key, start=10, length=20)) == data[10:30]


def test_what_is_not_there_is_refused_in_s3s_words(client: Any) -> None:
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=BUCKET, Key=f"{ROOT}group+0 & more/class 00001/000000100.jpg")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.list_objects_v2(Bucket="other")
    with pytest.raises(ClientError, match="MethodNotAllowed"):
        client.put_object(Bucket=BUCKET, Key="new", Body=b"")
    assert client.head_bucket(Bucket=BUCKET)["BucketRegion"] == REGION
    assert client.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == REGION


def test_a_bucket_of_fifty_million_keys_takes_no_memory_for_them() -> None:
    many = ManyKeys(50_000_000, 8)
    place = 49_999_999
    assert many.place_of(many.key_at(place)) == place
    assert many.page(ROOT, "/", 0, 1000).count == 8
    assert many.page(ROOT, "", 12_345_678, 1000).entries == (range(12_345_678, 12_346_678),)
