"""SSH keys of a cluster: the pair that logs in, and the hosts' own, pinned at the first contact.

A host prints its public key on its console at the first boot, and AWS hands the console out over its authenticated API:
nobody in between can put another in its place.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from botocore.exceptions import ClientError

from scripts import console, processes, tfvars
from scripts.aws import clients
from scripts.aws.errors import aws_errors_as_sentences
from scripts.cluster import Cluster, Host
from scripts.errors import HostError, InputError, MissingError
from scripts.waiting import wait_until

CONSOLE_SECONDS = 600  # AWS shows a new host's console after one to three minutes
PAUSE_SECONDS = 1.0
PRINTED = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
KEY = re.compile(r"\b(?:ssh-ed25519|ecdsa-sha2-nistp\d+|ssh-rsa) [A-Za-z0-9+/=]+")


def public_key_path(cluster_name: str) -> Path:
    """The public key that logs in: ssh_public_key_path, or the cluster's own."""
    given = tfvars.setting("ssh_public_key_path")
    return Path(given).expanduser() if given else tfvars.state_folder(cluster_name) / "id_ed25519.pub"


def ensure_pair(cluster_name: str) -> str:
    """Have a key pair; gives a word on where it is. Raises MissingError when the person's own is not whole."""
    public = public_key_path(cluster_name)
    private = public.with_suffix("")
    is_clusters = tfvars.setting("ssh_public_key_path") is None
    if is_clusters and not private.exists():
        public.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        words: list[str | Path] = [
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            f"orchard-{cluster_name}",
            "-f",
            private,
        ]
        done = processes.capture(words, env=dict.fromkeys(processes.AWS_SECRETS))
        if done.code:
            raise MissingError(f"ssh-keygen could not make {private}: {done.err.strip()}.")
        return f"new key {private}"
    for file in (private, public):
        if not file.exists():
            raise MissingError(
                f"There is no key {file}, as ssh_public_key_path asks for: put it there, or leave it out."
            )
    _require_private_key(private)
    return f"key {private}"


def delete_own_pair(cluster_name: str) -> bool:
    """Delete the key pair that was made for the cluster, and never the person's own; says whether there was one."""
    public = public_key_path(cluster_name)
    files = [file for file in (public.with_suffix(""), public) if file.exists()]
    if tfvars.setting("ssh_public_key_path") is not None:
        return False
    for file in files:
        file.unlink()
    return bool(files)


def _require_private_key(private: Path) -> None:
    words: list[str | Path] = ["ssh-keygen", "-y", "-P", "", "-f", private]
    done = processes.capture(words, env=dict.fromkeys(processes.AWS_SECRETS))
    if done.code == 0:
        return
    if "passphrase" in done.err:
        raise MissingError(f"The private key {private} has a passphrase: name one without in ssh_public_key_path.")
    why = done.err.strip().rpartition("\n")[2] or "it is none"
    raise InputError(f"{private} is no private key that OpenSSH takes ({why}): name another in ssh_public_key_path.")


def pin(cluster: Cluster, under_way: console.Phase) -> int:
    """Have each host's key in known_hosts under its id and present address; gives how many were new."""
    known = _pinned(cluster.known_hosts)
    new = waiting = [host for host in cluster.hosts if host.id not in known]

    def all_shown() -> bool:
        nonlocal waiting
        for host in waiting:
            if found := read_console(console_of(cluster.region, host)):
                known[host.id] = found
        waiting = [host for host in waiting if host.id not in known]
        if waiting:
            names = ", ".join(host.name for host in waiting)
            under_way.note(f"waiting for {names} to show the host key on the console")
        return not waiting

    if not wait_until(all_shown, seconds=CONSOLE_SECONDS, every=PAUSE_SECONDS):
        raise HostError(
            f"{waiting[0].name} has not shown its host key on its console within {CONSOLE_SECONDS // 60} minutes: look "
            "at its console in AWS (system log); `make up` again tries again."
        )
    write(cluster.known_hosts, cluster.hosts, known)
    return len(new)


def console_of(region: str, host: Host) -> str:
    """What the host wrote on its console, as far as AWS has it."""
    ec2 = clients.client("ec2", region)
    with aws_errors_as_sentences(f"show the console of {host.name}"):
        try:
            return str(ec2.get_console_output(InstanceId=host.id, Latest=True).get("Output", ""))
        except ClientError as error:
            # Instance types of before 2018 show it late only.
            if error.response["Error"]["Code"] != "UnsupportedOperation":
                raise
            return str(ec2.get_console_output(InstanceId=host.id).get("Output", ""))


def read_console(text: str) -> list[str]:
    """The public host keys (`TYPE BASE64`) that cloud-init printed last; none while it has not."""
    blocks = PRINTED.findall(text)
    return KEY.findall(blocks[-1]) if blocks else []


def write(known_hosts: Path, hosts: Iterable[Host], keys: dict[str, list[str]]) -> None:
    """Give each host its lines, under its id, which stays, and its address, which changes; other lines stay."""
    hosts = list(hosts)
    ours = {name for host in hosts for name in (host.id, host.address, host.private_ip)}
    lines = known_hosts.read_text().splitlines() if known_hosts.exists() else []
    kept = [line for line in lines if not ours & set(line.split(" ")[0].split(","))]
    added = [f"{host.id},{host.address} {key}" for host in hosts for key in keys[host.id]]
    known_hosts.parent.mkdir(parents=True, exist_ok=True)
    new = known_hosts.with_suffix(".new")
    new.write_text("\n".join([*kept, *added]) + "\n")
    new.chmod(0o600)
    new.replace(known_hosts)


def forget(known_hosts: Path, hosts: Iterable[Host]) -> None:
    """Drop the lines of hosts that are no more: another may get their address."""
    gone = list(hosts)
    if known_hosts.exists():
        write(known_hosts, gone, {host.id: [] for host in gone})


def _pinned(known_hosts: Path) -> dict[str, list[str]]:
    """Keys by instance id."""
    known: dict[str, list[str]] = {}
    for line in known_hosts.read_text().splitlines() if known_hosts.exists() else []:
        names, _, key = line.partition(" ")
        for name in names.split(","):
            if name.startswith("i-"):
                known.setdefault(name, []).append(key)
    return known
