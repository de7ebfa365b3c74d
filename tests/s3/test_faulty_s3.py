"""The gate of the misbehaving server, on which tests rely that stop a command in the middle of its work."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.storage.s3 import S3Storage
from tests.doubles.faulty_s3 import FaultyS3


def test_a_request_waits_at_a_gate_until_it_is_opened(pictures: S3Storage, faulty_s3: FaultyS3) -> None:
    with faulty_s3.gate("PUT", "late", after=1) as gate, ThreadPoolExecutor() as pool:
        pictures.write("late-1", b"goes through")
        held = pool.submit(pictures.write, "late-2", b"is held")
        gate.wait_until_reached()
        with pytest.raises(TimeoutError):
            held.result(timeout=0.5)
        assert [seen.status for seen in faulty_s3.seen if seen.operation == "PUT"] == [200, 0]
        gate.open()
        held.result()
    assert pictures.read("late-2") == b"is held"


def test_a_request_that_is_still_held_when_the_gate_goes_is_broken_off(
    pictures: S3Storage, faulty_s3: FaultyS3
) -> None:
    with ThreadPoolExecutor() as pool:
        with faulty_s3.gate("PUT", "late") as gate:
            held = pool.submit(pictures.write, "late", b"is sent twice")
            gate.wait_until_reached()
        held.result()
    assert [seen.status for seen in faulty_s3.seen if seen.operation == "PUT"] == [0, 200]
