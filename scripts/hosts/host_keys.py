"""SSH keys of a cluster: the pair that logs in, and the hosts' own, pinned at the first contact.

A host prints its public keys on its console at each boot, cloud-init at the first and a unit of ours at the others, and
AWS hands the console out over its authenticated API: nobody in between can put another in its place.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path

from botocore.exceptions import ClientError
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from scripts import console, processes, tfvars
from scripts.access.errors import aws_errors_as_sentences
from scripts.aws import clients
from scripts.cluster import Cluster, Host
from scripts.errors import HostError, HostKeyError, InputError, MissingError
from scripts.waiting import wait_until

CONSOLE_SECONDS = 600  # AWS shows a new host's console after one to three minutes
PAUSE_SECONDS = 1.0
# A block that was torn off ends where the next one begins.
BLOCK = r"-----BEGIN SSH HOST KEY {0}-----((?:(?!-----BEGIN ).)*?)-----END SSH HOST KEY {0}-----"
KEYS = re.compile(BLOCK.format("KEYS"), re.DOTALL)
FINGERPRINTS = re.compile(BLOCK.format("FINGERPRINTS"), re.DOTALL)
KEY = re.compile(r"\b(?:ssh-ed25519|ecdsa-sha2-nistp\d+|ssh-rsa) [A-Za-z0-9+/=]+")
# As `ssh-keygen -l` has it; the word in brackets is the kind.
FINGERPRINT = re.compile(r"\bSHA256:([A-Za-z0-9+/]{43})\s[^\n]*\((\w+)\)")


def public_key_path(cluster_name: str) -> Path:
    """The public key that logs in: ssh_public_key_path, or the cluster's own."""
    given = tfvars.setting("ssh_public_key_path")
    return Path(given).expanduser() if given else tfvars.state_folder(cluster_name) / "id_ed25519.pub"


def private_key_path(cluster_name: str) -> Path:
    """The private key beside it."""
    return public_key_path(cluster_name).with_suffix("")


def has_pair(cluster_name: str) -> bool:
    """Whether no pair is to be made: the cluster's own is here, or the person names theirs."""
    return tfvars.setting("ssh_public_key_path") is not None or private_key_path(cluster_name).exists()


def ensure_pair(cluster_name: str) -> str:
    """Have a key pair; gives a word on where it is. Raises MissingError when the person's own is not whole."""
    public, private = public_key_path(cluster_name), private_key_path(cluster_name)
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
    for file in () if is_clusters else (private, public):
        if not file.exists():
            raise MissingError(
                f"There is no key {file}, as ssh_public_key_path asks for: put it there, or leave it out."
            )
    if is_clusters:
        # One that was brought from another laptop may be for everybody's eyes, and OpenSSH takes no such key.
        private.chmod(0o600)
    said = _require_private_key(private)
    if not public.exists():
        public.write_text(said)
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


def _require_private_key(private: Path) -> str:
    """Its public half. Raises MissingError or InputError for what is no private key without a passphrase."""
    words: list[str | Path] = ["ssh-keygen", "-y", "-P", "", "-f", private]
    done = processes.capture(words, env=dict.fromkeys(processes.AWS_SECRETS))
    if done.code == 0:
        return done.out
    if "passphrase" in done.err:
        raise MissingError(f"The private key {private} has a passphrase: name one without in ssh_public_key_path.")
    why = done.err.strip().rpartition("\n")[2] or "it is none"
    raise InputError(f"{private} is no private key that OpenSSH takes ({why}): name another in ssh_public_key_path.")


def pin(cluster: Cluster, under_way: console.Phase) -> int:
    """Have each host's key in known_hosts under its id and present address; gives how many were new.

    Raises HostError where one does not show its key; the others' are pinned all the same.
    """
    new = unpinned(cluster)
    if waiting := pin_shown(cluster, new, under_way, CONSOLE_SECONDS):
        raise HostError(
            f"{waiting[0].name} has not shown its host key on its console within {CONSOLE_SECONDS // 60} minutes: look "
            "at its console in AWS (system log); `make up` again tries again."
        )
    return len(new)


def unpinned(cluster: Cluster) -> list[Host]:
    """The hosts whose keys are not known here."""
    known = _pinned(cluster.known_hosts)
    return [host for host in cluster.hosts if host.id not in known]


def pin_shown(cluster: Cluster, new: Iterable[Host], under_way: console.Phase, seconds: float) -> list[Host]:
    """Pin what keys these hosts show within so long, and the other hosts' present addresses; gives those without one.

    Raises HostKeyError for a key that is not to be trusted, and pins nothing then.
    """
    known = _pinned(cluster.known_hosts)
    waiting = list(new)

    def all_shown() -> bool:
        nonlocal waiting
        for host in waiting:
            if found := _shown(cluster.region, host):
                known[host.id] = found
        waiting = [host for host in waiting if host.id not in known]
        if waiting:
            names = ", ".join(host.name for host in waiting)
            under_way.note(f"waiting for {names} to show the host key on the console")
        return not waiting

    wait_until(all_shown, seconds=seconds, every=PAUSE_SECONDS)
    write(cluster.known_hosts, cluster.hosts, {host.id: known.get(host.id, []) for host in cluster.hosts})
    return waiting


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


def _shown(region: str, host: Host) -> list[str]:
    try:
        return read_console(console_of(region, host))
    except ValueError as error:
        raise HostKeyError(
            f"The host keys on the console of {host.name} are not to be trusted ({error}), and none was pinned: reboot "
            f"{host.id} in AWS, which has it print them anew, then `make up`; if they differ again, `make down`."
        ) from None


def read_console(text: str) -> list[str]:
    """The public host keys (`TYPE BASE64`) that the host printed last; none while it has not.

    They are compared with the fingerprints that were printed just before them, where there are any: a key that was torn
    by another line, or whose fingerprint was, is left out. Raises ValueError where a whole key has another fingerprint,
    or where none is left.
    """
    blocks = list(KEYS.finditer(text))
    if not blocks:
        return []
    before = blocks[-2].end() if len(blocks) > 1 else 0
    printed = FINGERPRINTS.findall(text, before, blocks[-1].start())
    keys: list[str] = KEY.findall(blocks[-1][1])
    expected = {kind: fingerprint for fingerprint, kind in FINGERPRINT.findall(printed[-1] if printed else "")}
    if not expected:
        return keys
    compared = [key for key in keys if _kind(key) in expected and _is_whole(key)]
    for key in compared:
        if (found := _fingerprint(key)) != expected[_kind(key)]:
            raise ValueError(f"an {_kind(key)} key of SHA256:{found} beside SHA256:{expected[_kind(key)]}")
    if not compared:
        raise ValueError("no key is whole and has its fingerprint beside it")
    return compared


def _kind(key: str) -> str:
    """A key's kind as `ssh-keygen -l` calls it."""
    kind = key.partition(" ")[0].removeprefix("ssh-")
    return "ECDSA" if kind.startswith("ecdsa-") else kind.upper()


def _is_whole(key: str) -> bool:
    try:
        load_ssh_public_key(key.encode())
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _fingerprint(key: str) -> str:
    return b64encode(hashlib.sha256(b64decode(key.partition(" ")[2])).digest()).decode().rstrip("=")


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
