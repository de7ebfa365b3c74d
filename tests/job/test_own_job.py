"""A person's own program on Spark, as the launcher runs it: what executors find. Hosts run two examples of the docs."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.job.java import find_java_home
from scripts.jobs import package
from tests.doubles.s3.server import S3Server
from tests.job.conftest import JAVA_OPTIONS

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "ansible" / "roles" / "common" / "files" / "own_job.py"
# On executors of their own, processes apart from the driver's: what they import came to them by Spark.
CLUSTER = "local-cluster[2,1,1024]"
FINDS = """
import json, os, sys
from pyspark.sql import SparkSession
import beside

def found(_):
    import beside, fruit
    from pathlib import Path
    yield beside.NAME, fruit.NAME, (Path(beside.__file__).parent / "table.json").read_text(), os.getcwd()

spark = SparkSession.builder.getOrCreate()
name = spark.sparkContext.appName
seen = spark.sparkContext.parallelize(range(2), 2).mapPartitions(found).collect()
spark.stop()
print(json.dumps([name, beside.NAME, [row[:3] for row in seen]]))
assert all("/work" in row[3] for row in seen), "executors work in folders of their own"
raise SystemExit(7)
"""


@dataclass(frozen=True)
class Master:
    """What the launcher is given on a master: a bucket, a home, Spark's settings."""

    server: S3Server
    bucket: str
    folder: Path
    spark_master: str

    def environment(self) -> dict[str, str]:
        settings = self.folder / "conf"
        settings.mkdir(exist_ok=True)
        (settings / "spark-defaults.conf").write_text(
            f"spark.master {self.spark_master}\nspark.executor.memory 512m\nspark.ui.enabled false\n"
            "spark.sql.shuffle.partitions 4\n"
            f"spark.local.dir {self.folder / 'local'}\n"
        )
        own = {"HOME": str(self.folder), "SPARK_CONF_DIR": str(settings), "ORCHARD_BUCKET": self.bucket}
        spark = {"JAVA_HOME": find_java_home(), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
        return os.environ | self.server.environment() | JAVA_OPTIONS | own | spark

    def put(self, key: str, content: bytes) -> str:
        self.server.client().put_object(Bucket=self.bucket, Key=key, Body=content)
        return hashlib.sha256(content).hexdigest()

    def submit(self, name: str, code: package.Code, *words: str) -> tuple[int, str]:
        """Send the code as `make submit` does, and run it; gives exit code and output."""
        digest = package.write(code, self.folder / "code.zip")
        self.put(f"jobs/{name}/code.zip", (self.folder / "code.zip").read_bytes())
        launcher = [sys.executable, "-I", str(PROGRAM), "run", name, f"--main={code.main}", f"--code={digest}"]
        done = subprocess.run(
            [*launcher, *words],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout


@pytest.fixture
def master(s3_server: S3Server, tmp_path: Path) -> Iterator[Master]:
    with s3_server.bucket() as bucket:
        yield Master(s3_server, bucket, tmp_path, CLUSTER)


def test_modules_files_and_packages_reach_the_executors(master: Master, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    for name, content in {"my.py": FINDS, "beside.py": "NAME = 'beside'", "table.json": "[1]"}.items():
        (tmp_path / "code" / name).write_text(content)
    made, content = io.BytesIO(), b"NAME = 'fruit'"
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        entry = tarfile.TarInfo("fruit.py")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    digest = hashlib.sha256(made.getvalue()).hexdigest()
    master.put(f"environments/{digest}.tar.gz", made.getvalue())
    beside = f"{tmp_path / 'code' / 'beside.py'} {tmp_path / 'code' / 'table.json'}"
    code, said = master.submit(
        "finds", package.collect(str(tmp_path / "code" / "my.py"), beside), f"--environment={digest}"
    )
    assert code == 7, said
    [line] = [line for line in said.splitlines() if line.startswith('["')]
    assert json.loads(line) == ["finds", "beside", [["beside", "fruit", "[1]"]] * 2]
