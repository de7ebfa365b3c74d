"""Keeps real hosts in step with an AWS double: for each running instance a booted host, stopped and gone as it is."""

import base64
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from tests.doubles.aws.double import ACCOUNT, AwsDouble, HostsBehind
from tests.sandbox.host import Host
from tests.sandbox.images import layers
from tests.sandbox.kernel import firewall
from tests.sandbox.kernel.firewall import Rule
from tests.sandbox.machine import SandboxError
from tests.sandbox.metadata import Identity, RoleCredentials
from tests.sandbox.sandbox import ANYWHERE, DEFAULT_MEMORY, MIB, Sandbox

PAUSE = 0.3  # seconds between two looks at the double
ON = ("pending", "running")
GONE = ("shutting-down", "terminated")
GIB = 1 << 30

Instance = dict[str, Any]
log = logging.getLogger(__name__)


class Cloud:
    """An AWS double with hosts behind its instances, for the time of a `with` block.

    `credentials` are what the hosts' role gives out; `memory` bounds each host (bytes), as its instance type does.
    With `seen_by_hosts`, the double listens where hosts reach it as they reach Amazon: at another address, on port 80.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        credentials: Callable[[], RoleCredentials | None] = lambda: None,
        memory: int = DEFAULT_MEMORY,
        seen_by_hosts: bool = False,
    ) -> None:
        assert sandbox.run is not None
        self.sandbox = sandbox
        self._folder = sandbox.run.folder / "word"
        self._folder.mkdir(parents=True, exist_ok=True)
        behind = HostsBehind(self._folder, str(sandbox.run.public_network))
        gateway = str(sandbox.run.gateway)
        self.aws = AwsDouble(gateway, 80, hosts=behind) if seen_by_hosts else AwsDouble(hosts=behind)
        self._credentials, self._memory = credentials, memory
        self._seen: dict[str, str] = {}
        self._reboots: dict[str, int] = {}
        self._rules: dict[str, list[Rule]] = {}
        # The layers of each image that was made here of a host, the uppermost first.
        self.images: dict[str, list[Path]] = {}
        self._switched_off: set[str] = set()
        self._passes = 0
        self._done = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._follow, name="cloud", daemon=True)

    def __enter__(self) -> "Cloud":
        self.aws.start()
        self._ec2, self._iam = self.aws.keepers_client("ec2"), self.aws.keepers_client("iam")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.aws.stop()

    def host(self, instance_id: str) -> Host:
        """The host behind an instance. Raises SandboxError when there is none."""
        self._raise_error()
        if instance_id not in self.sandbox.hosts:
            raise SandboxError(f"No host stands behind {instance_id}: the instance is not running, or not yet.")
        return self.sandbox.hosts[instance_id]

    def host_named(self, name: str) -> Host:
        """The host behind the instance with that Name tag."""
        for instance in self._instances():
            if _tags(instance).get("Name") == name and instance["State"]["Name"] not in GONE:
                return self.host(instance["InstanceId"])
        raise SandboxError(f"No instance is named {name}.")

    def host_called(self, name: str) -> Host:
        """The host that a person means by `worker-1`, by its whole Name tag or by its instance id."""
        there = {i["InstanceId"]: _tags(i).get("Name", "") for i in self._instances() if i["State"]["Name"] not in GONE}
        found = [(id_, tag) for id_, tag in there.items() if name in (id_, tag) or tag.endswith(f"-{name}")]
        if len(found) != 1:
            names = ", ".join(sorted(tag for _, tag in found) or sorted(there.values())) or "no host at all"
            raise SandboxError(f"{name} is {'several hosts' if found else 'no host'}: there is {names}.")
        return self.host(found[0][0])

    def wait_until_in_step(self, seconds: float = 60) -> None:
        """Wait until the hosts are as the double has the instances now. Raises what went wrong on the way."""
        deadline, passes = time.monotonic() + seconds, self._passes
        while self._passes < passes + 2:  # the pass under way may have looked before this call
            self._raise_error()
            if time.monotonic() > deadline:
                raise SandboxError(f"The hosts were not in step with the AWS double after {seconds:.0f} s.")
            time.sleep(0.02)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise SandboxError(f"The sandbox no longer follows the AWS double: {self._error}") from self._error

    def _follow(self) -> None:
        with ThreadPoolExecutor() as pool:
            while not self._done.is_set():
                try:
                    self._step(pool)
                    self._passes += 1
                except Exception as error:
                    log.exception("the hosts no longer follow the double")
                    self._error = error
                    return
                self._done.wait(PAUSE)

    def _step(self, pool: ThreadPoolExecutor) -> None:
        self._report_switched_off()
        # Before a host may go of which one is to be made.
        for wanted in self._folder.glob("*.wanted"):
            self._make_image(wanted)
        instances = self._instances()
        fresh = [i for i in instances if i["InstanceId"] not in self._seen and i["State"]["Name"] not in GONE]
        for instance in fresh:
            self._create(instance)
        known = [instance for instance in instances if instance["InstanceId"] in self.sandbox.hosts]
        # A stopped host takes no connection whatever its rules; it is in them, as its instance is in its groups.
        self._apply_rules([instance for instance in known if instance["State"]["Name"] not in GONE])
        list(pool.map(self._switch, known))

    def _create(self, instance: Instance) -> None:
        instance_id = instance["InstanceId"]
        host = self.sandbox.add(
            instance_id,
            self._identity(instance),
            min(self._memory, self._memory_of(instance["InstanceType"])),
            self._credentials,
            ended=lambda: self._switched_off.add(instance_id),
            disk=self._disk_of(instance_id),
            layers=self.images.get(instance["ImageId"]),
        )
        (self._folder / f"{instance_id}.console").symlink_to(host.folder / "console.log")
        self._seen[instance_id] = "created"

    def _make_image(self, wanted: Path) -> None:
        """A layer of what the host has written, above the layers that it started from."""
        host = self.sandbox.hosts[wanted.read_text()]
        layer = self._folder / wanted.stem
        # With what overlayfs keeps beside the files, by which it knows what was deleted.
        subprocess.run(["cp", "-a", "--reflink=auto", host.upper, layer], check=True)
        self.images[wanted.stem] = [layer, *host.layers]
        wanted.rename(wanted.with_suffix(".made"))

    def _switch(self, instance: Instance) -> None:
        """Follow a change of the instance's state; a host that failed by itself is left as it is."""
        instance_id, state = instance["InstanceId"], instance["State"]["Name"]
        host, before = self.sandbox.hosts[instance_id], self._seen[instance_id]
        reboots = self._reboots_asked_for(instance_id)
        if state in GONE:
            self.sandbox.remove(instance_id)
        elif state in ON and before not in ON:
            self._follow_public_address(host, instance.get("PublicIpAddress", ""))
            # As in AWS: what was on the console before a stop is gone.
            host.clear_console()
            host.start()
        elif state not in ON and before in ON:
            host.stop()
        elif state in ON and reboots > self._reboots.get(instance_id, 0):
            host.reboot()
        self._reboots[instance_id] = reboots
        self._seen[instance_id] = state

    def _report_switched_off(self) -> None:
        """A host whose guest has switched it off: its instance stops or terminates, as it was launched to do."""
        while self._switched_off:
            instance_id = self._switched_off.pop()
            described = self._ec2.describe_instance_attribute(
                InstanceId=instance_id, Attribute="instanceInitiatedShutdownBehavior"
            )["InstanceInitiatedShutdownBehavior"]["Value"]
            if described == "terminate":
                self._ec2.terminate_instances(InstanceIds=[instance_id])
            else:
                self._ec2.stop_instances(InstanceIds=[instance_id])

    def _follow_public_address(self, host: Host, address: str) -> None:
        """An instance has another public address after a stop."""
        before = host.metadata.identity.public_ip
        if before == address:
            return
        for public, wanted in ((before, False), (address, True)):
            if public:
                firewall.translate(host.run, IPv4Address(public), host.address, wanted)
        host.metadata.identity = replace(host.metadata.identity, public_ip=address)

    def _apply_rules(self, instances: list[Instance]) -> None:
        groups = {g["GroupId"]: g for g in self._ec2.describe_security_groups()["SecurityGroups"]}
        members: dict[str, list[str]] = {}
        for instance in instances:
            for group in instance["SecurityGroups"]:
                members.setdefault(group["GroupId"], []).append(f"{instance['PrivateIpAddress']}/32")
        for instance in instances:
            own = [groups[group["GroupId"]] for group in instance["SecurityGroups"]]
            rules = [rule for group in own for rule in _rules(group, members)]
            if rules != self._rules.get(instance["InstanceId"]):
                self.sandbox.hosts[instance["InstanceId"]].allow(rules)
                self._rules[instance["InstanceId"]] = rules

    def _identity(self, instance: Instance) -> Identity:
        address = instance["PrivateIpAddress"]
        zone = instance["Placement"]["AvailabilityZone"]
        return Identity(
            instance_id=instance["InstanceId"],
            private_ip=address,
            public_ip=instance.get("PublicIpAddress", ""),
            hostname=f"ip-{address.replace('.', '-')}",
            instance_type=instance["InstanceType"],
            image_id=instance["ImageId"],
            region=zone[:-1],
            zone=zone,
            account=ACCOUNT,
            spot=instance.get("InstanceLifecycle") == "spot",
            authorized_keys=self._public_keys(instance),
            user_data=self._user_data(instance["InstanceId"]),
            role=self._role(instance),
        )

    def _instances(self) -> list[Instance]:
        pages = self._ec2.get_paginator("describe_instances").paginate()
        return [instance for page in pages for group in page["Reservations"] for instance in group["Instances"]]

    def _public_keys(self, instance: Instance) -> tuple[str, ...]:
        if "KeyName" not in instance:
            return ()
        pairs = self._ec2.describe_key_pairs(KeyNames=[instance["KeyName"]], IncludePublicKey=True)["KeyPairs"]
        return tuple(pair["PublicKey"].strip() for pair in pairs)

    def _user_data(self, instance_id: str) -> bytes:
        described = self._ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        return base64.b64decode(described["UserData"].get("Value", ""))

    def _role(self, instance: Instance) -> str:
        profile = instance.get("IamInstanceProfile", {}).get("Arn", "").rpartition("/")[2]
        if not profile:
            return ""
        roles = self._iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
        return str(roles[0]["RoleName"]) if roles else ""

    @cache  # noqa: B019  one cloud a test session
    def _memory_of(self, instance_type: str) -> int:
        types = self._ec2.describe_instance_types(InstanceTypes=[instance_type])["InstanceTypes"]
        return int(types[0]["MemoryInfo"]["SizeInMiB"]) * MIB

    def _disk_of(self, instance_id: str) -> int:
        attached = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
        volumes = self._ec2.describe_volumes(Filters=attached)["Volumes"]
        return int(volumes[0]["Size"]) * GIB

    def _reboots_asked_for(self, instance_id: str) -> int:
        notes = Path(self._folder / f"{instance_id}.reboots")
        return notes.stat().st_size if notes.exists() else 0


# What the hosts' role gives out in a cloud for people and for stories.
ROLE_KEYS = RoleCredentials("AKIAORCHARDTESTROLE", "role-secret")


@contextmanager
def prepared_cloud(memory: int = 3 * GIB) -> Iterator[Cloud]:
    """A cloud whose hosts boot with Java and the environment on their disks, and reach its S3."""
    with Sandbox() as sandbox:
        sandbox.use_layers([layers.prepared()])
        with Cloud(sandbox, credentials=lambda: ROLE_KEYS, memory=memory, seen_by_hosts=True) as cloud:
            yield cloud


def _rules(group: dict[str, Any], members: dict[str, list[str]]) -> list[Rule]:
    """A security group's permissions; another group stands for the addresses of the instances in it."""
    rules = []
    for inbound, key in ((True, "IpPermissions"), (False, "IpPermissionsEgress")):
        for permission in group[key]:
            networks = [block["CidrIp"] for block in permission.get("IpRanges", [])]
            for pair in permission.get("UserIdGroupPairs", []):
                networks += members.get(pair["GroupId"], [])
            networks += [ANYWHERE for _ in permission.get("PrefixListIds", [])]
            ports = permission.get("FromPort", -1), permission.get("ToPort", -1)
            rules.append(Rule(inbound, permission["IpProtocol"], *ports, tuple(networks)))
    return rules


def _tags(instance: Instance) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
