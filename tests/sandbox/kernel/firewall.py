"""What may pass: out to the package registries, in by public addresses, and what the security groups say."""

import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from tests.sandbox import runs
from tests.sandbox.kernel import network
from tests.sandbox.runs import Run

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
GROUP_CHAINS = {"INPUT": "ORCH-IN", "OUTPUT": "ORCH-OUT"}
SPLIT_CHAIN = "ORCH-SPLIT"


@dataclass(frozen=True)
class Rule:
    """One permission of a security group: `protocol` "-1" is every one; `networks` are the peers as CIDR blocks."""

    inbound: bool
    protocol: str
    from_port: int
    to_port: int
    networks: tuple[str, ...]


def open_way_out(run: Run) -> None:
    """Let the hosts reach the world on TCP 80, 443 and DNS, and each other; nothing else passes. All runs locked."""
    chain, (out, _), inner, outer = run.name.upper(), network.uplink(), str(run.network), str(run.public_network)
    bridge = run.name
    remember_forwarding()
    FORWARDING.write_text("1")
    rules = [
        "*filter",
        f":{chain} -",
        f"-A {chain} -i {bridge} -o {bridge} -j ACCEPT",
        f"-A {chain} -i {bridge} -o {out} -p tcp -m multiport --dports 80,443,53 -j ACCEPT",
        f"-A {chain} -i {bridge} -o {out} -p udp --dport 53 -j ACCEPT",
        f"-A {chain} -o {bridge} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        f"-A {chain} -i {bridge} -j REJECT",
        f"-A {chain} -o {bridge} -j REJECT",
        f"-I FORWARD -j {chain}",
        "COMMIT",
        "*nat",
        f":{chain} -",
        f"-I PREROUTING -d {outer} -j {chain}",
        f"-I OUTPUT -d {outer} -j {chain}",
        f"-I POSTROUTING -s {inner} -o {out} -j MASQUERADE",
        # A host that calls another by its public address would get the answer from the private one.
        f"-I POSTROUTING -s {inner} -o {bridge} -m conntrack --ctstate DNAT -j SNAT --to-source {run.gateway}",
        "COMMIT",
    ]
    _restore(rules)


def close_way_out(number: int) -> None:
    """Take the rules of a run away, as far as they are there. All runs locked."""
    run = Run(number)
    for table in ("filter", "nat"):
        listed = _iptables("-t", table, "-S").splitlines()
        for rule in listed:
            if rule.startswith("-A") and _belongs(rule, run):
                _iptables("-t", table, "-D", *rule.split()[1:])
        if f"-N {run.name.upper()}" in listed:
            _iptables("-t", table, "-F", run.name.upper())
            _iptables("-t", table, "-X", run.name.upper())


def leftover_numbers() -> set[int]:
    """Runs that have a chain of rules."""
    chains = [line.split()[1] for line in _iptables("-S").splitlines() if line.startswith("-N")]
    return {number for number in map(runs.number_of, chains) if number is not None}


def translate(run: Run, public: IPv4Address, private: IPv4Address, wanted: bool = True) -> None:
    """Lead a public address to a host, or no longer."""
    rule = ["-d", f"{public}/32", "-j", "DNAT", "--to-destination", str(private)]
    with suppress(subprocess.CalledProcessError):
        _iptables("-t", "nat", "-D", run.name.upper(), *rule)
    if wanted:
        _iptables("-t", "nat", "-A", run.name.upper(), *rule)


def restore_forwarding() -> None:
    """Give the machine's forwarding switch back as it was before the first run. All runs locked, none alive."""
    memory = runs.home() / "ip_forward"
    if memory.exists():
        FORWARDING.write_text(memory.read_text())
        memory.unlink()


def apply_groups(run: Run, host: str, rules: Iterable[Rule]) -> None:
    """Let only this through to and from the host, as its security groups would; answers always pass.

    The rules live in the host's network namespace, the one place where bridged packets are seen.
    """
    out = GROUP_CHAINS["OUTPUT"]
    lines = ["*filter", *(f":{chain} -" for chain in GROUP_CHAINS.values())]
    for chain, always in ((GROUP_CHAINS["INPUT"], "-i lo"), (GROUP_CHAINS["OUTPUT"], "-o lo")):
        lines += [f"-A {chain} {always} -j ACCEPT", f"-A {chain} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"]
    for rule in rules:
        chain, peer = (GROUP_CHAINS["INPUT"], "-s") if rule.inbound else (GROUP_CHAINS["OUTPUT"], "-d")
        lines += [f"-A {chain} {peer} {net} {_ports(rule)} -j ACCEPT" for net in rule.networks]
    # Names and time come from the VPC itself, whatever the groups say.
    lines += [f"-A {out} -p udp -m multiport --dports 53,123 -j ACCEPT", f"-A {out} -p tcp --dport 53 -j ACCEPT"]
    # Like AWS, say nothing to what is not allowed.
    lines += [f"-A {chain} -j DROP" for chain in GROUP_CHAINS.values()]
    there = _iptables("-S", namespace=network.namespace(run, host))
    jumps = [f"-A {hook} -j {chain}" for hook, chain in GROUP_CHAINS.items()]
    lines += [jump for jump in jumps if jump not in there]
    _restore([*lines, "COMMIT"], namespace=network.namespace(run, host))


def _ports(rule: Rule) -> str:
    if rule.protocol == "-1":
        return ""
    if rule.protocol in ("tcp", "udp") and (rule.from_port, rule.to_port) != (0, 65_535):
        return f"-p {rule.protocol} --dport {rule.from_port}:{rule.to_port}"
    return f"-p {rule.protocol}"


def drop_ssh_from(run: Run, host: str, peer: IPv4Address, dropped: bool) -> None:
    """Swallow what this peer sends to the host's SSH, open connections' packets too, or no longer."""
    rule = ["INPUT", "-s", str(peer), "-p", "tcp", "--dport", "22", "-j", "DROP"]
    _iptables("-I" if dropped else "-D", *rule, namespace=network.namespace(run, host))


def split(run: Run, host: str, address: IPv4Address, apart: bool) -> None:
    """Swallow what passes between the host and the run's other ones, open connections' packets too, or no longer.

    This machine, which is their S3 and the operator, hears both sides.
    """
    ours, space = f"{run.network}", network.namespace(run, host)
    spared = [f"-s {address} -d {address}", f"-s {run.gateway}", f"-d {run.gateway}"]
    lines = [f"-A {SPLIT_CHAIN} {peers} -j RETURN" for peers in spared]
    lines += [f"-A {SPLIT_CHAIN} -s {ours} -d {ours} -j DROP"]
    _restore(["*filter", f":{SPLIT_CHAIN} -", *(lines if apart else []), "COMMIT"], namespace=space)
    there = _iptables("-S", namespace=space)
    for hook in GROUP_CHAINS:
        if f"-A {hook} -j {SPLIT_CHAIN}" not in there:
            _iptables("-I", hook, "-j", SPLIT_CHAIN, namespace=space)


def _belongs(rule: str, run: Run) -> bool:
    words = rule.split()
    return run.name.upper() in words[2:] or str(run.network) in words or str(run.public_network) in words


def remember_forwarding() -> None:
    memory = runs.home() / "ip_forward"
    if not memory.exists():
        memory.write_text(FORWARDING.read_text())


def _restore(lines: list[str], namespace: str | None = None) -> None:
    """All rules at once: never half of them. A chain that is named anew is emptied first."""
    command = ["iptables-restore", "--wait", "--noflush"]
    _run(command, "\n".join(lines) + "\n", namespace)


def _iptables(*arguments: str, namespace: str | None = None) -> str:
    return _run(["iptables", "--wait", *arguments], None, namespace)


def _run(command: list[str], text: str | None, namespace: str | None) -> str:
    if namespace:
        command = ["ip", "netns", "exec", namespace, *command]
    return subprocess.run(command, input=text, text=True, capture_output=True, check=True).stdout
