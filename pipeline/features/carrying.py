"""The network on its way to Spark's workers: bytes that are sent once, and unpacked once a process."""

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.network.keras_model import Network


@dataclass(frozen=True)
class Parcel:
    """A network as bytes, and their SHA-256: its name on the way."""

    name: str
    data: bytes


def pack(network: Network) -> Parcel:
    """The network as bytes: PySpark's broadcast of arrays cannot be encrypted, of bytes it can."""
    data = pickle.dumps(network)
    return Parcel(hashlib.sha256(data).hexdigest(), data)


# The one that this process has unpacked last.
_unpacked: dict[str, Network] = {}


def unpack(name: str, read: Callable[[], bytes]) -> Network:
    """The network of this name, the same object for every task of a process; only the first one reads it."""
    if name not in _unpacked:
        _unpacked.clear()
        _unpacked[name] = pickle.loads(read())  # noqa: S301  our own driver's
    return _unpacked[name]
