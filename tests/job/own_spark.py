"""Spark as people's own programs have it on a cluster: settings, and the environment that leads to a server here."""

import os
import sys
from functools import cache
from pathlib import Path

from benchmarks import s3a
from s3a_jars import JarsError
from tests.conftest import Need
from tests.doubles.s3.server import REGION, S3Server


def environment(folder: Path, server: S3Server, need: Need, **settings: str) -> dict[str, str]:
    """What such a program is started with; its settings, and these, are written into the folder."""
    lacking = _why_no_jars()
    need(not lacking, lacking)
    s3a.configure(folder, REGION, server.endpoint_url)
    with (folder / "spark-defaults.conf").open("a") as file:
        file.writelines(f"{name} {value}\n" for name, value in settings.items())
    return {
        **os.environ,
        **server.environment(),
        "SPARK_CONF_DIR": str(folder),
        "SPARK_LOCAL_DIRS": str(folder),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
    }


@cache
def _why_no_jars() -> str:
    """Nothing where the jars are there. Asked once: a network that drops everything takes its minutes to say so."""
    try:
        s3a.jars()
    except JarsError as error:
        return str(error)
    return ""
