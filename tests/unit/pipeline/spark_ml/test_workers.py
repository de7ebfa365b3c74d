"""pipeline.spark_ml.workers: how the network gets to the workers, without Spark."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkAttributeError
from pyspark.serializers import CloudPickleSerializer

from pipeline.features.carrying import Parcel
from pipeline.spark_ml.workers import featurizing, key_of, share

PARCEL = Parcel("0f" * 32, b"a network")


@dataclass
class RemoteSession:
    """As much of a session through Spark Connect as is used."""

    session_id: str = "one"
    artifacts: dict[str, bytes] = field(default_factory=dict)

    @property
    def sparkContext(self) -> Any:  # noqa: N802
        raise PySparkAttributeError("[JVM_ATTRIBUTE_NOT_SUPPORTED] not through Spark Connect")

    def addArtifacts(self, path: str, file: bool) -> None:  # noqa: N802
        assert file
        self.artifacts[Path(path).name] = Path(path).read_bytes()


def test_through_spark_connect_the_network_is_a_file_of_the_session_under_its_own_name() -> None:
    session = RemoteSession()
    share(session, PARCEL)
    assert session.artifacts == {f"orchard-network-{PARCEL.name}": PARCEL.data}
    assert key_of(session) == "one"


def test_what_is_sent_to_a_worker_names_nothing_that_it_could_not_find_yet() -> None:
    sent = CloudPickleSerializer().dumps(featurizing("name", share(RemoteSession(), PARCEL), 2, ("f", "e"), "keep"))
    # A Python without the checkout unpickles it; what it would do then is the job tests' to see.
    words = "import sys, pickle; print(callable(pickle.loads(sys.stdin.buffer.read())), 'pipeline' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", words], input=sent, capture_output=True, check=True)
    assert done.stdout.split() == [b"True", b"False"]
    assert len(sent) < 10_000
