"""A bare host becomes the master of a cluster that guards itself; the cluster's life is test_operator_begin's to end's.

The tests share one cluster and run in this order. `ORCHARD_TEST_PREPARED=1` starts the master, too, from the prepared
layer: quicker, and no proof of the way from a bare host.
"""

import json
import os
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import pytest

import s3a_jars
from tests.cluster.cluster import PYTHON, ROOT, Cluster, Played
from tests.cluster.operator import MOST_EXPOSED
from tests.doubles.s3.server import S3Server
from tests.sandbox import handle
from tests.sandbox.host import Host
from tests.sandbox.images import layers
from tests.sandbox.kernel.container import OPEN_FILES
from tests.sandbox.metadata import RoleCredentials
from tests.sandbox.sandbox import Sandbox
from tests.waiting import wait_until

UNITS = {
    "master": {"spark-master", "spark-history", "jupyter", "orchard-keeper"},
    "worker": {"spark-worker", "orchard-keeper", "orchard-spot"},
}
# The master's timers start them each minute.
KEEPING = ("orchard-events", "orchard-notebooks")
SPARK_HOME = "/opt/orchard/venv/lib/python3.11/site-packages/pyspark"
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1"
REFUSED = "Failed to connect to master"

# A Spark client as somebody on the network would have it; its settings come as arguments and on its input.
CLIENT = """
import sys
from pyspark import SparkConf, SparkContext
conf = SparkConf(loadDefaults=False).setMaster(sys.argv[1]).setAppName(sys.argv[2]).set("spark.ui.enabled", "false")
for setting in sys.argv[3:] + sys.stdin.read().split():
    conf.set(*setting.split("=", 1))
with SparkContext(conf=conf) as context:
    print("counted", context.parallelize(range(10), 2).count())
"""


def started_from_bare() -> bool:
    return os.environ.get("ORCHARD_TEST_PREPARED") != "1"


@pytest.fixture(scope="module")
def s3(sandbox: Sandbox) -> Iterator[S3Server]:
    """An S3 server where hosts reach it as they reach Amazon's."""
    assert sandbox.run
    with S3Server(str(sandbox.run.gateway), 80) as server:
        yield server


@pytest.fixture(scope="module")
def bare(sandbox: Sandbox, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master, booted, with nothing on it yet, and a worker that has what the roles install on both."""
    folder = tmp_path_factory.mktemp("cluster") / "terraform"
    key = handle.make_key(folder)
    role = RoleCredentials(s3.keys.access_key_id, s3.keys.secret_access_key)
    prepared = layers.prepared()
    if not started_from_bare():
        sandbox.use_layers([prepared])
    hosts = sandbox.add_plain(["master"], key, credentials=lambda: role)
    sandbox.use_layers([prepared])
    hosts += sandbox.add_plain(["worker-1"], key, credentials=lambda: role)
    for host in hosts:
        host.wait_until_ready()
    with s3.bucket() as bucket:
        made = Cluster(
            sandbox, folder, hosts, bucket, {"AWS_ENDPOINT_URL_S3": s3.endpoint_url, "AWS_ALLOW_HTTP": "true"}
        )
        if started_from_bare():
            # The layer has the master's packages: what a worker has of its own is made anew, from the bucket.
            made.shell.must(made.workers[0], "sudo rm /opt/orchard/venv/.lock-*")
        yield made


@pytest.fixture(scope="module")
def first_play(bare: Cluster) -> Played:
    return bare.play()


@pytest.fixture(scope="module")
def cluster(bare: Cluster, first_play: Played) -> Cluster:
    """The cluster after `site.yml`."""
    assert first_play.code == 0, first_play.text[-3000:]
    return bare


def listening(cluster: Cluster, host: Host) -> dict[int, set[str]]:
    """Ports on which something listens on the host, with the addresses."""
    ports: dict[int, set[str]] = {}
    for line in cluster.shell.must(host, "ss -Hltn").splitlines():
        address, _, port = line.split()[3].rpartition(":")
        ports.setdefault(int(port), set()).add(address.strip("[]"))
    return ports


def answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


def units(cluster: Cluster, host: Host) -> set[str]:
    wanted = UNITS["master" if host is cluster.master else "worker"]
    states = cluster.shell.run(host, f"systemctl is-active {' '.join(sorted(wanted))}").stdout.split()
    return {name for name, state in zip(sorted(wanted), states, strict=True) if state == "active"}


def test_a_bare_host_becomes_the_master_of_a_verified_cluster(cluster: Cluster, first_play: Played) -> None:
    assert all(changed > 0 for changed in first_play.changed.values())
    assert cluster.alive() == cluster.wants()
    start = "bare" if started_from_bare() else "prepared"
    print(f"{start} master to verified cluster: {first_play.seconds:.0f} s")


def test_a_worker_has_what_tasks_import_and_has_it_from_the_bucket(
    cluster: Cluster, first_play: Played, s3: S3Server
) -> None:
    if not started_from_bare():
        pytest.skip("the master has left no wheels in the bucket")
    fetched = re.findall(
        r"^TASK \[environment : Fetch those from the registry.*\n((?:\w+: .*\n)*)", first_play.text, re.M
    )
    assert [line.split()[-1].strip("[]") for line in "".join(fetched).splitlines()] == ["sandbox-master"]
    keys = [found["Key"] for found in s3.client().list_objects_v2(Bucket=cluster.bucket, Prefix="wheels/")["Contents"]]
    assert any(key.endswith(f"/pyspark-{version('pyspark')}-py3-none-any.whl") for key in keys)
    there = "import importlib.util as u; print([name for name in {} if u.find_spec(name)])"
    names = ["tensorflow", "keras", "jupyterlab", "pyspark", "openvino"]
    for host, wanted in ((cluster.master, names), (cluster.workers[0], names[3:])):
        assert cluster.shell.must(host, f'{PYTHON} -c "{there.format(names)}"') == str(wanted)
        assert "wheels-taken" not in cluster.shell.must(host, "ls /opt/orchard")


def test_people_s_own_programs_write_and_read_s3a_by_jars_of_the_lock(cluster: Cluster, s3: S3Server) -> None:
    lock = (ROOT / "requirements" / "jars.txt").read_text()
    jars = {jar.file: jar.sha256 for jar in s3a_jars.read(lock)}
    folder = f"/opt/orchard/s3a/{s3a_jars.lock_id(lock)}"
    for host in cluster.hosts:
        sums = cluster.shell.must(host, f"cd {folder} && sha256sum *").splitlines()
        assert {name: sha256 for sha256, name in map(str.split, sums)} == jars
    # The verification has taken back what it wrote, with nothing begun and not ended; the jars are there for others.
    listed = s3.client().list_objects_v2(Bucket=cluster.bucket)["Contents"]
    keys = [found["Key"] for found in listed if not found["Key"].startswith("wheels/")]
    assert sorted(keys) == sorted(f"jars/{s3a_jars.lock_id(lock)}/{name}" for name in jars)
    assert "Uploads" not in s3.client().list_multipart_uploads(Bucket=cluster.bucket)
    # The job does without them.
    conf = cluster.shell.must(cluster.master, "sudo cat /etc/orchard/spark/spark-defaults.conf")
    assert "s3a" not in conf
    assert f"{folder}/*" in cluster.shell.must(
        cluster.master, "sudo cat /etc/orchard/jupyter-spark/spark-defaults.conf"
    )


def test_a_dry_run_on_a_configured_cluster_finds_nothing_to_do(cluster: Cluster) -> None:
    dry = cluster.play("--check", "--diff")
    assert dry.code == 0, dry.text[-3000:]
    assert set(dry.changed.values()) == {0}, dry.text


def test_every_unit_is_active_and_none_has_failed(cluster: Cluster) -> None:
    for host in cluster.hosts:
        assert units(cluster, host) == UNITS["master" if host is cluster.master else "worker"]
        assert cluster.shell.must(host, "systemctl --failed --no-legend --plain") == ""
    for name in KEEPING:
        cluster.shell.must(cluster.master, f"systemctl is-active {name}.timer")


def test_from_outside_only_ssh_answers(cluster: Cluster) -> None:
    for host in cluster.hosts:
        ports = listening(cluster, host)
        assert 22 in ports
        assert len(ports) > 2, "a Spark node listens on more than SSH"
        with ThreadPoolExecutor(len(ports)) as pool:
            answered = pool.map(answers, [host.metadata.identity.public_ip] * len(ports), ports)
            assert {port for port, answer in zip(ports, answered, strict=True) if answer} == {22}


def test_notebooks_listen_on_loopback_only_and_uis_on_the_private_address(cluster: Cluster) -> None:
    ports = listening(cluster, cluster.master)
    assert ports[8888] == {"127.0.0.1"}
    assert {address.removeprefix("::ffff:") for address in ports[8080]} == {str(cluster.master.address)}
    assert 6066 not in ports, "the REST submission server is off"


def test_a_worker_reaches_spark_on_the_master_and_not_its_notebooks(cluster: Cluster) -> None:
    ask = f"timeout 5 bash -c 'exec 3<>/dev/tcp/{cluster.master.address}/{{}}'"
    assert cluster.shell.run(cluster.workers[0], ask.format(7077)).returncode == 0
    assert "refused" in cluster.shell.run(cluster.workers[0], ask.format(8888)).stderr


def test_hosts_know_each_other_and_bound_their_logs_and_files(cluster: Cluster) -> None:
    for host in cluster.hosts:
        names = cluster.shell.must(host, f"getent ahostsv4 {' '.join(other.name for other in cluster.hosts)}")
        assert {str(other.address) for other in cluster.hosts if other is not host} <= set(names.split())
        assert cluster.shell.must(host, "getent passwd spark").endswith("/usr/sbin/nologin")
        # As journald itself says it, in bytes.
        limit = "journalctl --no-pager -t systemd-journald --output=verbose | grep -oP '(?<=MAX_USE=)[0-9]+' | tail -1"
        assert int(cluster.shell.must(host, f"sudo {limit}")) == 1 << 30
        daemon = "spark-master" if host is cluster.master else "spark-worker"
        files = f"sudo grep 'open files' /proc/$(systemctl show --property=MainPID --value {daemon})/limits"
        # As many as a sandbox's host can give; the unit asks for more.
        assert int(cluster.shell.must(host, files).split()[3]) >= OPEN_FILES


def test_who_lacks_the_secret_is_refused(cluster: Cluster) -> None:
    host, url = cluster.workers[0], f"spark://{cluster.master.address}:7077"
    secret = cluster.shell.must(cluster.master, "sudo cat /etc/orchard/spark.secret")
    crypto = "spark.authenticate=true spark.network.crypto.enabled=true spark.network.crypto.authEngineVersion=2"
    crypto += " spark.network.crypto.cipher=AES/GCM/NoPadding"
    cluster.shell.must(host, "cat > /var/tmp/client.py", text=CLIENT)
    client = f"{PYTHON} /var/tmp/client.py {url}"
    refused = {
        "without": f"{client} without",
        "wrong": f"{client} wrong {crypto} spark.authenticate.secret=guessed",
        "worker": f"{SPARK_HOME}/bin/spark-class org.apache.spark.deploy.worker.Worker --host {host.address} --cores 1 "
        f"--memory 512m --port 7999 --webui-port 7998 --work-dir /var/tmp/rogue {url}",
    }
    for name, command in refused.items():
        cluster.shell.must(host, stranger(command, f"--unit=stranger-{name}"))
    # By input: sudo writes arguments to the journal.
    key = f"spark.authenticate.secret={secret}"
    known = cluster.shell.run(host, stranger(f"{client} known {crypto}", "--pipe --wait"), 170, text=key)
    assert "counted 10" in known.stdout, known.stderr[-2000:]
    said = f"sudo journalctl --no-pager --output=cat --unit=stranger-{{}} | grep -E 'counted|{REFUSED}'"
    for name in refused:
        wait_until(lambda name=name: cluster.shell.run(host, said.format(name)).stdout, f"{name} to be refused", 60)
        assert "counted" not in cluster.shell.run(host, said.format(name)).stdout
    state = cluster.state()
    assert {app["name"] for app in state["completedapps"] + state["activeapps"]} & {"without", "wrong"} == set()
    assert 7999 not in {worker["port"] for worker in state["workers"]}
    assert cluster.alive() == cluster.wants()
    cluster.shell.run(host, "sudo systemctl stop 'stranger-*'; sudo systemctl reset-failed 'stranger-*'")


def stranger(command: str, how: str) -> str:
    """The command on a node as an ordinary user, who may not read the cluster's settings."""
    environment = f"SPARK_CONF_DIR=/var/tmp JDK_JAVA_OPTIONS={JAVA_OPTIONS}"
    words = f"sudo systemd-run --quiet --uid=admin --property=EnvironmentFile=/etc/orchard/environment {how}"
    return f"{words} env {environment} {command}"


# A program whose first task takes all memory at its first attempt; it says whether the executors stayed the same.
HUNGRY = """
import os
from pyspark import SparkConf, SparkContext, TaskContext
def executor():
    return int(open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1])
def work(number):
    eaten = []
    while number == 0 and TaskContext.get().attemptNumber() == 0:
        eaten.append(b"x" * (16 << 20))
    return executor(), open("/proc/self/oom_score_adj").read().strip(), TaskContext.get().attemptNumber()
with SparkContext(conf=SparkConf().setAppName("hungry").set("spark.ui.enabled", "false")) as context:
    calm = context.parallelize(range(1, 9), 8).map(work).collect()
    hungry = context.parallelize(range(8), 8).map(work).collect()
    print("attempts", hungry[0][2], "scores", *{score for _, score, _ in hungry})
    print("same executors", {pid for pid, _, _ in hungry} <= {pid for pid, _, _ in calm})
"""


def test_a_python_worker_that_takes_all_memory_ends_alone(cluster: Cluster) -> None:
    worker, asked = cluster.workers[0], "systemctl show --property=MainPID,NRestarts,OOMPolicy spark-worker"
    before = cluster.shell.must(worker, asked)
    assert "OOMPolicy=continue" in before
    run = "sudo systemd-run --quiet --pipe --wait --uid=spark --property=EnvironmentFile=/etc/orchard/environment"
    command = f"{run} --setenv=JDK_JAVA_OPTIONS={JAVA_OPTIONS} {PYTHON} -"
    done = cluster.shell.run(cluster.master, command, 170, text=HUNGRY)
    assert done.stdout.splitlines() == ["attempts 1 scores 500", "same executors True"], done.stderr[-2000:]
    assert cluster.shell.must(worker, asked) == before
    assert "OOMPolicy=continue" in cluster.shell.must(cluster.master, "systemctl show --property=OOMPolicy jupyter")


PLANTED = "import sys; sys.exit('planted')"


def test_every_unit_of_ours_is_as_little_exposed_as_promised(cluster: Cluster) -> None:
    for host in cluster.hosts:
        keeping = KEEPING if host is cluster.master else ()
        for unit in (
            *UNITS["master" if host is cluster.master else "worker"],
            "orchard-scratch",
            "orchard-host-keys",
            *keeping,
        ):
            said = cluster.shell.run(host, f"systemd-analyze security --no-pager --threshold={MOST_EXPOSED} {unit}")
            assert said.returncode == 0, said.stdout
            print(said.stdout.strip().splitlines()[-1])


def test_the_service_user_can_lead_root_nowhere(cluster: Cluster) -> None:
    host, state = cluster.workers[0], "/var/lib/spark"
    for name in ("local", "work", "home", "events"):
        planted = cluster.shell.run(
            host, f"sudo -u spark sh -c 'mv {state}/{name} {state}/away && ln -s /etc {state}/{name}'"
        )
        assert planted.returncode != 0
        assert "Permission denied" in planted.stderr
    cluster.shell.must(host, "sudo systemctl restart orchard-scratch")
    owners = cluster.shell.must(
        host, f"sudo stat --format='%n %U %a' /etc {state} {state}/local /run/orchard/scratch.env"
    )
    assert owners.splitlines() == [
        "/etc root 755",
        f"{state} root 750",
        f"{state}/local spark 700",
        "/run/orchard/scratch.env root 644",
    ]


# Programs in place of the system's: a local disk that is none, and a mount of memory where it would be.
A_LOCAL_DISK = {
    "lsblk": """echo '{"blockdevices": [{"path": "disk", "model": "Amazon EC2 NVMe Instance Storage", '"""
    """'"fstype": null, "mountpoint": null}]}'""",
    "mkfs.ext4": "true",
    "systemd-mount": 'for last; do :; done; exec /usr/bin/systemd-mount --quiet --type=tmpfs tmpfs "$last"',
}


def test_a_disk_that_the_bounded_unit_has_mounted_is_seen_by_everybody(cluster: Cluster) -> None:
    host, folder = cluster.workers[0], "/var/lib/spark/scratch/0"
    for name, does in A_LOCAL_DISK.items():
        cluster.shell.must(
            host, f"sudo tee /usr/local/bin/{name}; sudo chmod +x /usr/local/bin/{name}", text=f"#!/bin/sh\n{does}\n"
        )
    try:
        cluster.shell.must(host, "sudo systemctl restart orchard-scratch")
        assert cluster.shell.must(host, "cat /run/orchard/scratch.env") == f"SPARK_LOCAL_DIRS={folder}/spark"
        assert cluster.shell.must(host, f"findmnt --noheadings --output=FSTYPE {folder}") == "tmpfs"
        assert cluster.shell.must(host, f"sudo stat --format='%U %a' {folder}/spark") == "spark 700"
    finally:
        names = " ".join(f"/usr/local/bin/{name}" for name in A_LOCAL_DISK)
        cluster.shell.must(
            host, f"sudo rm {names}; sudo systemd-umount {folder}; sudo systemctl restart orchard-scratch"
        )


def test_a_module_that_a_job_plants_is_found_by_no_python_of_ours(cluster: Cluster) -> None:
    host, work = cluster.workers[0], "/var/lib/spark/work/planted"
    cluster.shell.must(host, f"sudo -u spark mkdir -p {work}/pipeline {work}/pyspark")
    for package in ("pipeline", "pyspark"):
        cluster.shell.must(host, f"sudo -u spark tee {work}/{package}/__init__.py", text=PLANTED)
    run = f"sudo systemd-run --quiet --pipe --wait --uid=spark --property=WorkingDirectory={work}"
    found = f"{PYTHON} -m pipeline --help"
    bare = cluster.shell.run(host, f"{run} {found}")
    assert "planted" in bare.stderr
    ours = cluster.shell.run(host, f"{run} --property=EnvironmentFile=/etc/orchard/environment {found}")
    assert "usage: python -m pipeline" in ours.stdout, ours.stderr
    cluster.shell.must(host, f"sudo rm -r {work}")


def test_logs_come_whatever_an_executor_plants_among_them(cluster: Cluster) -> None:
    host, work = cluster.workers[0], "/var/lib/spark/work/app-planted/0"
    plant = (
        f"mkdir -p {work} && cd {work} && echo said > stderr && ln -s /etc/shadow stdshadow && mkfifo stdpipe && "
        "ln -s / stdroot && truncate --size=10T stdhuge"
    )
    cluster.shell.must(host, f"sudo -u spark sh -c '{plant}'")
    parcel = json.loads(cluster.shell.must(host, "sudo orchard-run pack-logs"))["path"]
    inside = f"tar --extract --to-stdout --file={parcel} executors.tar.gz | tar --list --verbose --gzip"
    listed = cluster.shell.must(host, inside)
    assert f"{work.removeprefix('/var/lib/spark/')}/stderr" in listed
    assert all(line.startswith("-r") for line in listed.splitlines())
    left = cluster.shell.must(host, f"{inside.replace('--list --verbose', '--extract --to-stdout')} work/left-out.txt")
    assert left.splitlines()[0] == "4 left out"
    assert "stdhuge: 10995116277760 bytes" in left
    cluster.shell.must(host, f"rm {parcel}; sudo rm -r {work}")


def test_secrets_are_in_no_log_no_argument_and_no_readable_file(cluster: Cluster) -> None:
    master = cluster.master
    secrets = [
        cluster.shell.must(master, "sudo cat /etc/orchard/spark.secret"),
        cluster.shell.must(master, "sudo cat /etc/orchard/jupyter/token"),
        cluster.shell.must(master, "sudo cut -d= -f2 /etc/orchard/connect/token"),
    ]
    assert all(len(secret) >= 32 for secret in secrets)
    # The search finds what lies about.
    cluster.shell.must(master, f"echo token={secrets[1]} > /var/tmp/left-about")
    assert "/var/tmp/left-about" in leaks(cluster, master, secrets)
    cluster.shell.must(master, "rm /var/tmp/left-about")
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda host: leaks(cluster, host, secrets), cluster.hosts))
    assert found == ["" for _ in cluster.hosts]
    log = (cluster.folder / "ansible.log").read_text()
    assert not any(secret in log for secret in secrets)


# Looks for the words on its input: in files that this user can read, or below the folders that were named.
SEARCH = """
import os, sys
words = [word.encode() for word in sys.stdin.read().split()]
def say(place, content):
    if any(word in content for word in words):
        print(place)
for top in sys.argv[1:]:
    for folder, names, files in os.walk(top):
        names[:] = [n for n in names if os.path.join(folder, n) not in ("/proc", "/sys", "/opt/orchard/venv", "/dev")]
        for file in files:
            path = os.path.join(folder, file)
            try:
                if os.path.isfile(path) and os.path.getsize(path) < 64 << 20:
                    say(path, open(path, "rb").read())
            except OSError:
                pass
for pid in filter(str.isdigit, os.listdir("/proc")):
    for part in ("cmdline", "environ"):
        try:
            say(f"/proc/{pid}/{part}", open(f"/proc/{pid}/{part}", "rb").read())
        except OSError:
            pass
"""


def leaks(cluster: Cluster, host: Host, secrets: list[str]) -> str:
    """Where a secret can be read by anybody, or stands in a log or a command line. Empty when nowhere."""
    text = "\n".join(secrets)
    cluster.shell.must(host, "cat > /var/tmp/search.py", text=SEARCH)
    words = [
        "sudo -u nobody python3 /var/tmp/search.py /",
        # Root may read environments; logs and arguments must be clean even for root.
        "sudo python3 /var/tmp/search.py /var/log /var/lib/spark/work /var/lib/spark/events | grep -v '/environ$'",
        "sudo journalctl --no-pager --output=cat > /var/tmp/journal; grep -cF -f - /var/tmp/journal",
    ]
    found = [cluster.shell.run(host, command, 120, text=text).stdout.strip() for command in words]
    cluster.shell.must(host, "rm -f /var/tmp/journal")
    return "\n".join(line for line in found if line not in ("", "0"))
