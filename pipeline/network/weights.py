"""The network's weights: where they come from and what they are, without importing TensorFlow where a file is given."""

import hashlib
import re
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.errors import InputError
from pipeline.network.imagenet import IMAGENET, imagenet_file
from pipeline.settings import RANDOM
from pipeline.storage.base import is_local, split_parent
from pipeline.storage.local import LocalStorage
from pipeline.storage.opening import open_storage

RANDOM_SEED = 20
# A folder of this name says what is in the files below it.
_DIGEST = re.compile(r"/([0-9a-f]{64})$")


@dataclass(frozen=True)
class Weights:
    """A weight file on this machine (None: drawn at random from RANDOM_SEED) and the SHA-256 of its content."""

    name: str
    file: Path | None
    sha256: str


def find_weights(given: str) -> Weights:
    """The weights for `--weights`: a file, an object, `imagenet` or `random`. Raises InputError."""
    if given == RANDOM:
        return Weights(RANDOM, None, hashlib.sha256(f"random {RANDOM_SEED}".encode()).hexdigest())
    if given == IMAGENET:
        return _of_file(IMAGENET, imagenet_file())
    if is_local(given):
        is_uri = given.startswith("file://")
        return _of_file(given, LocalStorage.at(given).root if is_uri else Path(given).expanduser())
    # As Spark calls the same place.
    address = f"s3://{given.removeprefix('s3a://')}" if given.startswith("s3a://") else given
    parent, name = split_parent(address)
    try:
        data = open_storage(parent).read(name)
    except OSError as error:
        raise InputError(f"The weights {given} cannot be read ({error}); check the name given as weights.") from None
    if (told := _DIGEST.search(parent)) and told[1] != hashlib.sha256(data).hexdigest():
        raise InputError(f"The weights {given} are not those that their address tells; put the right file there again.")
    return _of_file(given, _copy(data, Path(name).suffix))


def _copy(data: bytes, suffix: str) -> Path:
    """The file of this content, for as long as this process lives: Keras reads files of this machine alone."""
    folder = Path(_copies().name)
    file = folder / f"{hashlib.sha256(data).hexdigest()}{suffix}"
    if not file.is_file():
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
            part.write(data)
        Path(part.name).rename(file)
    return file


@cache
def _copies() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="orchard-weights-")


def _of_file(name: str, file: Path) -> Weights:
    try:
        with file.open("rb") as stream:
            return Weights(name, file, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        raise InputError(
            f"The weights file {file} cannot be read ({error.strerror}); check the path given as weights."
        ) from None
