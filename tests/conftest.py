"""What every test may use: the missing-part rule and the data that lies beside the checkout."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.doubles.s3_server import S3Server
from tests.pictures import encoded

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

Need = Callable[[object, str], None]


@pytest.fixture(scope="session")
def need() -> Need:
    """Skip a test whose part is missing; where CI=true, fail it: there, everything is to be there."""

    def check(present: object, reason: str) -> None:
        if present:
            return
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have this: {reason}")
        pytest.skip(reason)

    return check


@pytest.fixture(scope="session")
def fruits(need: Need) -> Path:
    """The folder of real Fruits-360 pictures, `<split>/<class>/<name>.jpg`."""
    folder = SHARED_DATA / "fruits-360-sample"
    need(folder.is_dir(), "the Fruits-360 sample is not beside the checkout")
    return folder


@pytest.fixture(scope="session")
def imagenet_weights(need: Need) -> Path:
    """Real ImageNet weights of MobileNetV2 without the classifier, as Keras HDF5."""
    file = SHARED_DATA / "weights" / "mobilenet_v2_1.0_224_imagenet_no_top_bn_folded.h5"
    need(file.is_file(), "the ImageNet weights are not beside the checkout")
    return file


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server on loopback; take a bucket of your own with `s3_server.bucket()`."""
    with S3Server() as server:
        yield server


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with three pictures of one class."""
    folder = tmp_path / "images" / "Apple"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(encoded())
    return folder.parent
