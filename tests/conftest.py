"""What every test may use: the missing-part rule, drawn pictures, and the data that lies beside the checkout."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.pictures.demo_pictures import draw_pictures
from tests.doubles.s3.server import S3Server
from tests.pictures import encoded

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
DRAWN_PER_CLASS = 12

Need = Callable[[object, str], None]


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell that starts the tests in the background has them ignore Ctrl-C, and so would what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def need() -> Need:
    """Skip a test whose part is missing.

    Where ORCHARD_NEED_ALL=1, as on the project's own machine, fail it: there, everything is to be there. Elsewhere (a
    bare clone, a fork's CI) real pictures, real weights or a program may be missing, and the rest is still tested.
    """

    def check(present: object, reason: str) -> None:
        if present:
            return
        if os.environ.get("ORCHARD_NEED_ALL") == "1":
            pytest.fail(f"ORCHARD_NEED_ALL=1, and {reason}")
        pytest.skip(reason)

    return check


@pytest.fixture(scope="session")
def fruits(need: Need) -> Path:
    """The folder of real Fruits-360 pictures, `<split>/<class>/<name>.jpg`: for tests whose point is the numbers."""
    folder = SHARED_DATA / "fruits-360-sample"
    need(folder.is_dir(), "the Fruits-360 sample is not beside the checkout")
    return folder


@pytest.fixture(scope="session")
def imagenet_weights(need: Need) -> Path:
    """Real ImageNet weights of MobileNetV2 without the classifier, as Keras HDF5: where numbers are the point."""
    file = SHARED_DATA / "weights" / "mobilenet_v2_1.0_224_imagenet_no_top_bn_folded.h5"
    need(file.is_file(), "the ImageNet weights are not beside the checkout")
    return file


@pytest.fixture(scope="session")
def drawn_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that every clone has, `<class>/<number>.jpg`: DRAWN_PER_CLASS of each class that the demo draws."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_pictures(folder, DRAWN_PER_CLASS)
    return folder


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
