"""Keras's own ImageNet weights: downloaded once, known by what they answer, and kept in the cluster's bucket.

Keras checks no hash of them and names none. So they are known by what the network answers with them, which is pinned
here, the copy in the bucket by the SHA-256 that is its name, and the file in the cache by the one noted beside it.
"""

import hashlib
import os
import re
import ssl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.network.frameworks import import_keras
from pipeline.settings import IMAGENET_PIXELS
from pipeline.storage.base import Storage, join
from pipeline.storage.opening import open_storage

IMAGENET = "imagenet"
# The name under which Keras keeps MobileNetV2 1.0 without the classifier.
KERAS_FILE = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{IMAGENET_PIXELS}_no_top.h5"
# An address of the cluster's own, where hosts keep what they have downloaded for the next.
KEPT = "ORCHARD_WEIGHTS_KEPT"
# Where a person has named a company's certificates for other tools, and for Python's own HTTPS.
CERTIFICATES, PYTHONS = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"), "SSL_CERT_FILE"
_KEPT_KEY = re.compile(r"([0-9a-f]{64})\.h5")
# Eight sums over the features of `_pattern`, each feature with other weights; made with the same network, its batch
# normalisation folded, which agrees with Keras's file to rounding.
ANSWER = (438.2433, -45.7261, 17.5261, -7.7093, -1.6408, 13.8369, -3.5592, 56.4526)
# All features together are 438: a ten thousandth of that, where other weights differ by tens.
TOLERANCE = 0.05


def imagenet_file() -> Path:
    """The weights' file in Keras's cache on this machine, from the cluster's bucket or from Keras where it has none.

    Raises InputError where they are not to be had, or are not ImageNet's.
    """
    cached = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / KERAS_FILE
    if _is_known(cached):
        return cached
    copies = open_storage(join(address, IMAGENET)) if (address := os.environ.get(KEPT)) else None
    if copies and (kept := _kept(copies)):
        _place(kept, cached)
        return cached
    data = _downloaded(cached)
    _place(data, cached)
    if copies:
        # Without the right to write there, or without S3, the next host downloads them again.
        with suppress(OSError, InputError):
            copies.write(f"{_sha256(data)}.h5", data)
    return cached


def _is_known(cached: Path) -> bool:
    """Whether ImageNet's weights lie there whole: as is noted beside them, or by their answer, which is noted then.

    Keras itself leaves half a file where it is killed, and takes one that another process is at.
    """
    try:
        digest = _sha256(cached.read_bytes())
    except OSError:
        return False
    with suppress(OSError):
        if _note(cached).read_text("ascii", "replace") == digest:
            return True
    if not _answers(cached):
        return False
    # Where nothing can be noted, the network is asked each time.
    with suppress(OSError):
        _note(cached).write_text(digest)
    return True


def _kept(copies: Storage) -> bytes | None:
    """The copy in the bucket; None where there is none or S3 does not answer. Raises InputError for a forged one."""
    try:
        names = sorted(path for batch in copies.list() for path in batch["path"].to_pylist())
        named = [(found[1], name) for name in names if (found := _KEPT_KEY.fullmatch(name))]
        if not named:
            return None
        digest, name = named[0]
        data = copies.read(name)
    except (OSError, InputError):
        return None
    if _sha256(data) != digest:
        raise InputError(f"{join(copies.uri, name)} is not what its name tells; delete it, and start again.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / KERAS_FILE
        file.write_bytes(data)
        if not _answers(file):
            raise InputError(f"{join(copies.uri, name)} does not hold ImageNet's weights; delete it, and start again.")
    return data


def _place(data: bytes, cached: Path) -> None:
    """Have the file there, whole or not at all, and its SHA-256 beside it."""
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cached.parent, delete=False) as part:
        part.write(data)
    Path(part.name).rename(cached)
    _note(cached).write_text(_sha256(data))


def _note(cached: Path) -> Path:
    return cached.with_name(f"{cached.name}.sha256")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _downloaded(cached: Path) -> bytes:
    """What Keras's server has. Raises InputError where it cannot be had, or is something else."""
    keras = import_keras()
    # Keras writes its files in place: in its own cache a half one would be found there.
    with tempfile.TemporaryDirectory() as folder:
        try:
            with _trusting_the_company():
                file = Path(keras.utils.get_file(KERAS_FILE, _origin(), cache_dir=folder))
        except Exception as error:  # Keras raises a bare Exception for a failed download
            raise InputError(
                "Keras's ImageNet weights are neither in its cache nor to be downloaded from here "
                f"({_why(error)}); give a file as weights, or put it at {cached}."
            ) from error
        if not _answers(file):
            raise InputError(
                "What came as Keras's ImageNet weights is something else, and is not kept; start again, or give a file "
                "as weights."
            )
        return file.read_bytes()


@contextmanager
def _trusting_the_company() -> Iterator[None]:
    """Python's own HTTPS goes by the certificates that AWS's tools, pip or curl were told of, where it has none."""
    named = next((os.environ[name] for name in CERTIFICATES if os.environ.get(name)), "")
    if not named or os.environ.get(PYTHONS):
        yield
        return
    os.environ[PYTHONS] = named
    try:
        yield
    finally:
        del os.environ[PYTHONS]


def _why(error: Exception) -> str:
    """Why a download failed, and what to do where it is for a certificate."""
    said = " ".join(str(error).split()).rstrip(". ") or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" not in said:
        return said
    if sys.platform == "darwin" and not ssl.get_default_verify_paths().cafile:
        return "this Python has no certificates: run its 'Install Certificates.command' in /Applications"
    return f"{said}: a company's certificate is named by AWS_CA_BUNDLE=/path/to/certificate.pem"


def _origin() -> str:
    from keras.src.applications.mobilenet_v2 import BASE_WEIGHT_PATH

    return f"{BASE_WEIGHT_PATH}{KERAS_FILE}"


def _answers(file: Path) -> bool:
    """Whether the network answers with these weights as with ImageNet's."""
    shape = (IMAGENET_PIXELS, IMAGENET_PIXELS, 3)
    model = import_keras().applications.MobileNetV2(include_top=False, pooling="avg", input_shape=shape, weights=None)
    try:
        model.load_weights(str(file))
    except Exception:  # h5py and Keras raise OSError, ValueError, KeyError and more for a wrong file
        return False
    return bool(np.allclose(answer_of(model), ANSWER, rtol=0, atol=TOLERANCE))


def answer_of(model: Any) -> NDArray[np.float64]:
    """What a Keras model of MobileNetV2 answers: float64 (8,), in which each of its 1,280 features has a part."""
    features = np.asarray(model(_pattern()[None], training=False), np.float64)[0]
    places = np.arange(len(features))
    return np.stack([features @ np.cos(places * turn) for turn in range(8)])


def _pattern() -> NDArray[np.float32]:
    """Stripes of all colours: float32 (224, 224, 3) in -1..1."""
    row, column, channel = np.indices((IMAGENET_PIXELS, IMAGENET_PIXELS, 3))
    return np.asarray((row * 7 + column * 13 + channel * 101) % 256 / 127.5 - 1, np.float32)
