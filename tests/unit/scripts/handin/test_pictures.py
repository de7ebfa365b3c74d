"""Which pictures of a run are shown: evenly from its list, from its own bucket, and none that is not there."""

import io
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.aws.bucket import Bucket, inputs_key
from scripts.handin.pictures import some_of
from scripts.handin.run_facts import RunFacts, facts_of
from tests.unit.scripts.handin.conftest import BUCKET, RUN, listed, record

Aws = Callable[[str], Any]


def run(images: str = f"s3://{BUCKET}/pictures") -> RunFacts:
    found = facts_of(RUN, record(settings={"images": images}))
    assert found
    return found


@pytest.fixture
def all_there(bucket: Bucket, aws: Aws) -> None:
    """Every picture of the list is in the bucket."""
    for name in ("Apple", "Banana", "Cherry"):
        for number in range(100):
            aws("s3").put_object(Bucket=BUCKET, Key=f"pictures/{name}/{number}.jpg", Body=b"a picture")


def test_a_dozen_come_evenly_from_the_list(bucket: Bucket, all_there: None) -> None:
    found = some_of(bucket, run())
    assert Counter(picture.label for picture in found) == {"Apple": 4, "Banana": 4, "Cherry": 4}
    assert len({picture.key for picture in found}) == 12
    assert found[0].key == "pictures/Apple/12.jpg"


def test_a_short_list_is_shown_whole_and_each_picture_once(bucket: Bucket, aws: Aws, all_there: None) -> None:
    paths = ["Apple/1.jpg", "Banana/2.jpg"]
    aws("s3").put_object(Bucket=BUCKET, Key=inputs_key(RUN), Body=listed(paths))
    assert [picture.key for picture in some_of(bucket, run())] == [f"pictures/{path}" for path in paths]


def test_those_that_are_gone_or_that_no_browser_shows_are_left_out(bucket: Bucket, aws: Aws) -> None:
    paths = ["Apple/12.jpg", "Apple/gone.jpg", "Apple/a.tif", "Apple/b.html"]
    for path in ("Apple/a.tif", "Apple/b.html"):
        aws("s3").put_object(Bucket=BUCKET, Key=f"pictures/{path}", Body=b"")
    aws("s3").put_object(Bucket=BUCKET, Key=inputs_key(RUN), Body=listed(paths))
    assert [picture.key for picture in some_of(bucket, run())] == ["pictures/Apple/12.jpg"]


@pytest.mark.parametrize(
    "images",
    ["s3://somebody-elses/pictures", f"s3://{BUCKET}", f"s3://{BUCKET}/runs", f"s3://{BUCKET}-2/pictures", "/etc", ""],
)
def test_nothing_is_signed_that_a_record_names_elsewhere(bucket: Bucket, aws: Aws, images: str) -> None:
    # Whoever may write a record has not the right to read by the person's own.
    aws("s3").put_object(Bucket=BUCKET, Key=inputs_key(RUN), Body=listed(["pictures/Apple/12.jpg", "Apple/12.jpg"]))
    assert some_of(bucket, run(images)) == []


def no_utf8() -> bytes:
    """A list whose path is called a string and is none."""
    path = pa.array([b"Apple/\xff.jpg"]).view(pa.string())
    sink = io.BytesIO()
    pq.write_table(pa.table({"path": path, "label": pa.array(["Apple"])}), sink)
    return sink.getvalue()


@pytest.mark.parametrize("content", [b"", b"no parquet", b"PAR1" * 3, no_utf8()])
def test_a_list_that_is_none_shows_nothing(bucket: Bucket, aws: Aws, content: bytes) -> None:
    aws("s3").put_object(Bucket=BUCKET, Key=inputs_key(RUN), Body=content)
    assert some_of(bucket, run()) == []
    aws("s3").delete_object(Bucket=BUCKET, Key=inputs_key(RUN))
    assert some_of(bucket, run()) == []
