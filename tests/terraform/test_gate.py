"""The AWS double's gate: a call waits until the test lets it through."""

from concurrent.futures import ThreadPoolExecutor

from tests.doubles.aws.double import AwsDouble
from tests.waiting import wait_until


def test_calls_wait_at_the_gate_until_it_is_opened(aws: AwsDouble) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="gate", CreateBucketConfiguration={"LocationConstraint": aws.region})
    with ThreadPoolExecutor(3) as pool:
        with aws.gate("s3:PUT /gate/*", after=1) as waiting:
            puts = [pool.submit(s3.put_object, Bucket="gate", Key=f"{number}", Body=b"") for number in range(3)]
            wait_until(lambda: waiting() == 2, "two calls to wait at the gate")
            assert len(s3.list_objects_v2(Bucket="gate")["Contents"]) == 1
        assert all(put.result()["ETag"] for put in puts)
    assert len(s3.list_objects_v2(Bucket="gate")["Contents"]) == 3
