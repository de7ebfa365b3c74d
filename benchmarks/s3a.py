"""The settings by which people's own programs on a cluster read and write s3a://, for a Spark on this machine.

They are Ansible's, word for word, but for the keys: here the environment has them, and no role of a host.
"""

from pathlib import Path

import yaml
from jinja2 import Environment

import s3a_jars

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "jars.txt"
KEPT = ROOT / ".orchard" / "jars"
CREDENTIALS = "spark.hadoop.fs.s3a.aws.credentials.provider"


def jars() -> Path:
    """The folder of the locked jars, fetched once. Raises JarsError."""
    text = LOCK.read_text()
    folder = KEPT / s3a_jars.lock_id(text)
    s3a_jars.provide(s3a_jars.read(text), folder)
    return folder


def settings(folder: Path, region: str, endpoint: str) -> dict[str, str]:
    """Spark's settings with the jars in this folder, for an S3 at this endpoint."""
    variables = yaml.safe_load((ROOT / "ansible" / "roles" / "orchard" / "vars" / "main.yml").read_text())
    facts = {
        "orchard_s3a": str(folder),
        "cluster_region": region,
        "spark_environment": {"AWS_ENDPOINT_URL_S3": endpoint},
    }
    chosen = variables["orchard_s3a_settings"] | variables["orchard_s3a_elsewhere"]
    filled = {name: Environment(autoescape=False).from_string(value).render(facts) for name, value in chosen.items()}  # noqa: S701  no page
    return filled | {CREDENTIALS: "software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider"}


def configure(folder: Path, region: str, endpoint: str) -> Path:
    """Make the folder one that SPARK_CONF_DIR may name; gives it back. Raises JarsError."""
    lines = [f"{name} {value}\n" for name, value in settings(jars(), region, endpoint).items()]
    (folder / "spark-defaults.conf").write_text("".join(lines))
    return folder
