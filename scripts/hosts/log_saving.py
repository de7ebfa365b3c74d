"""The hosts' logs into the bucket, before the hosts go. A host puts its own there, past this machine."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from scripts import console
from scripts.cluster import Cluster, Host
from scripts.errors import OperatorError
from scripts.hosts.ssh import Hosts

PROGRAM = Path(__file__).parent / "on_host" / "save_logs.py"
PYTHON = "/opt/orchard/venv/bin/python"
SECONDS = 120
CONNECT_SECONDS = 8


def save_logs(cluster: Cluster, under_way: console.Phase) -> None:
    """Save what can be had; a host that cannot be reached is named and left."""
    prefix = f"logs/{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    with ThreadPoolExecutor(len(cluster.hosts)) as pool:
        failures = list(pool.map(lambda host: _save(cluster, host, f"{prefix}/{host.name}"), cluster.hosts))
    lost = {host.name: why for host, why in zip(cluster.hosts, failures, strict=True) if why}
    for name, why in lost.items():
        under_way.note(f"the logs of {name} were not saved: {why}")
    saved = len(cluster.hosts) - len(lost)
    under_way.result = (
        f"{saved} of {len(cluster.hosts)} hosts, in s3://{cluster.bucket}/{prefix}/" if saved else "none saved"
    )


def _save(cluster: Cluster, host: Host, prefix: str) -> str:
    """Why the host's logs were not saved; empty when they were."""
    run = (
        "sudo systemd-run --quiet --pipe --wait --collect --property=EnvironmentFile=/etc/orchard/environment "
        # boto3 gives the metadata service one second, once: too little for a host that is busy.
        "--setenv=AWS_METADATA_SERVICE_TIMEOUT=5 --setenv=AWS_METADATA_SERVICE_NUM_ATTEMPTS=4 "
        f"{PYTHON} - {cluster.bucket} {prefix}"
    )
    with Hosts(cluster, connect_seconds=CONNECT_SECONDS) as hosts:
        try:
            if hosts.run(host, f"test -x {PYTHON} -a -e /etc/orchard/environment", check=False).code:
                return "nothing was installed there yet"
            hosts.run(host, run, timeout=SECONDS, text=PROGRAM.read_text())
        except OperatorError as error:
            return error.reason
    return ""
