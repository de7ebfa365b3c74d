"""The sandbox itself: its hosts are real, its faults bite, and it leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Need
from tests.sandbox import machine, runs, sweep
from tests.sandbox.faults import hosts as faults
from tests.sandbox.host import Host
from tests.sandbox.kernel import firewall, network
from tests.sandbox.machine import SandboxError
from tests.sandbox.metadata import Identity
from tests.sandbox.runs import Run
from tests.sandbox.sandbox import MIB, Sandbox
from tests.sandbox.ssh import Shell
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
# What a caller is told where nobody answers.
UNREACHABLE = "timed out|No route to host|refused"
TOKEN = "http://169.254.169.254/latest/api/token"
# A run in a process of its own, which a test kills: it prints its number once its host answers.
ANOTHER_RUN = """
import sys, time
from tests.sandbox.sandbox import Sandbox
with Sandbox() as sandbox:
    [host] = sandbox.add_plain(["other"], sys.argv[1])
    host.wait_until_ready()
    print(sandbox.run.number, host.container.init(), flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def hosts(sandbox: Sandbox, public_key: str) -> list[Host]:
    made = sandbox.add_plain(["first", "second"], public_key, memory=512 * MIB)
    for host in made:
        host.wait_until_ready()
    return made


@pytest.fixture
def first(hosts: list[Host]) -> Host:
    return hosts[0]


@pytest.fixture
def second(hosts: list[Host]) -> Host:
    return hosts[1]


@pytest.fixture
def other_run(public_key: str) -> Iterator[tuple[subprocess.Popen[str], Run, int]]:
    """A run of another process; its number, and the process id of its host's init."""
    process = subprocess.Popen(
        [sys.executable, "-c", ANOTHER_RUN, public_key], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    number, init = process.stdout.readline().split()
    yield process, Run(int(number)), int(init)
    process.kill()
    process.wait()
    with runs.all_runs_locked():
        sweep.sweep_dead_runs()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_host_is_a_booted_debian_with_nothing_failed(first: Host, shell: Shell) -> None:
    assert "bookworm" in shell.must(first, "cat /etc/os-release")
    assert shell.must(first, "systemctl is-system-running --wait") == "running"
    assert shell.must(first, "hostname") == "first"
    assert shell.must(first, "sudo -n id -u") == "0"


def test_a_host_shows_the_memory_it_was_given(first: Host, shell: Shell) -> None:
    assert shell.must(first, "free -m | awk '/Mem:/ {print $2}'") == "512"


def test_a_process_that_takes_more_than_the_hosts_memory_dies(first: Host, shell: Shell) -> None:
    greedy = "python3 -c \"b = bytearray(700 << 20); print('survived')\""
    done = shell.run(first, greedy)
    assert "survived" not in done.stdout
    assert done.returncode != 0
    assert "survived" in shell.run(first, greedy.replace("700", "100")).stdout


def test_a_host_key_is_checked_and_another_key_is_refused(first: Host, second: Host, shell: Shell) -> None:
    assert first.host_key() != second.host_key()
    # Written to the wrong host's line, the key does not fit.
    address = first.metadata.identity.public_ip
    known = shell.key.with_name("wrong")
    known.write_text(f"{address} {second.host_key()}\n")
    options = ["-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]
    done = subprocess.run(
        ["ssh", "-i", shell.key, *options, f"admin@{address}", "true"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_the_console_tells_the_host_key(first: Host) -> None:
    assert first.host_key() in first.console()


def test_hosts_reach_each_other_and_the_world_by_the_web_only(first: Host, second: Host, shell: Shell) -> None:
    ask = "timeout 4 bash -c 'exec 3<>/dev/tcp/{}/{}'"
    assert shell.run(first, ask.format(second.address, 22)).returncode == 0
    mirror = shell.must(first, "grep -rhoE 'https?://[^/ ]+' /etc/apt/sources.list | head -1")
    name, port = mirror.rpartition("/")[2], 443 if mirror.startswith("https") else 80
    assert shell.run(first, ask.format(name, port)).returncode == 0
    assert shell.run(first, ask.format(name, 8081)).returncode != 0


def test_from_outside_only_the_ports_of_the_security_group_answer(first: Host, second: Host, shell: Shell) -> None:
    server = "systemd-run --user --unit=web python3 -m http.server 7077"
    shell.must(first, server)
    ask = f"timeout 4 bash -c 'exec 3<>/dev/tcp/{first.address}/7077'"
    wait_until(lambda: shell.run(second, ask).returncode == 0, "port 7077 to answer the other host")
    with pytest.raises(TimeoutError):
        socket.create_connection((str(first.address), 7077), 2)
    with socket.create_connection((first.metadata.identity.public_ip, 22), 2) as link:
        assert link.recv(3) == b"SSH"
    shell.must(first, "systemctl --user stop web")


def test_metadata_are_given_for_a_token_only(first: Host, shell: Shell) -> None:
    script = f"""
import urllib.error, urllib.request as u
try:
    u.urlopen("{TOKEN[:-10]}/meta-data/instance-id")
except urllib.error.HTTPError as error:
    print(error.code)
token = u.urlopen(u.Request("{TOKEN}", method="PUT", headers={{"X-aws-ec2-metadata-token-ttl-seconds": "60"}}))
ask = u.Request("{TOKEN[:-10]}/meta-data/local-ipv4", headers={{"X-aws-ec2-metadata-token": token.read().decode()}})
print(u.urlopen(ask).read().decode())
"""
    done = shell.run(first, "python3 -", text=script)
    assert done.stdout.split() == ["401", str(first.address)], done.stderr


def test_a_rebooted_host_comes_back_with_its_disk_and_key(first: Host, shell: Shell) -> None:
    key, boot = first.host_key(), shell.must(first, "cat /proc/1/stat | cut -d' ' -f22")
    shell.must(first, "echo kept > kept && sync")
    shell.run(first, "sudo reboot")
    wait_until(lambda: first.container.init() is None or not first.is_set_up(), "the host to go down")
    first.wait_until_ready()
    assert shell.must(first, "cat kept") == "kept"
    assert shell.must(first, "cat /proc/1/stat | cut -d' ' -f22") != boot
    assert first.host_key() == key


def test_a_power_cut_ends_every_process_at_once_and_nobody_is_told(second: Host, shell: Shell) -> None:
    init = second.container.init()
    assert init
    with socket.create_connection((str(second.address), 22), 2) as link:
        assert link.recv(100).startswith(b"SSH")
        faults.cut_power(second)
        assert not is_alive(init)
        # Neither a goodbye nor a refusal: nothing is there that could say one.
        with pytest.raises(TimeoutError):
            link.recv(1)
    with pytest.raises(OSError, match=r"timed out|No route to host"):
        socket.create_connection((str(second.address), 22), 1)
    second.start()
    second.wait_until_ready()
    assert shell.must(second, "hostname") == "second"
    assert str(second.run.gateway) in shell.must(second, "ip route show default")


def test_a_host_whose_link_is_down_is_out_of_reach_and_goes_on(second: Host, shell: Shell) -> None:
    faults.cut_link(second)
    try:
        with pytest.raises(OSError, match=UNREACHABLE):
            socket.create_connection((str(second.address), 22), 1)
        assert second.container.is_running
    finally:
        faults.mend_link(second)
    wait_until(lambda: shell.run(second, "true").returncode == 0, "the host to be in reach again")


def test_a_split_keeps_a_host_and_the_others_apart_both_ways_and_not_from_here(
    sandbox: Sandbox, first: Host, second: Host, shell: Shell
) -> None:
    ask = "timeout 2 bash -c 'exec 3<>/dev/tcp/{}/22'"
    faults.split(first)
    try:
        # Rules of its security groups that come later are below it.
        first.allow(sandbox.plain_rules())
        assert shell.run(first, ask.format(second.address)).returncode == 124
        assert shell.run(second, ask.format(first.address)).returncode == 124
        assert shell.run(first, ask.format(first.address)).returncode == 0
    finally:
        faults.heal_split(first)
    assert shell.run(second, ask.format(first.address)).returncode == 0


def test_a_rate_limit_slows_a_host_down(first: Host, second: Host, shell: Shell) -> None:
    send = "head -c 2000000 /dev/urandom | base64 -w0"
    faults.limit_rate(first, 64_000)  # 2.7 MB at 8 kB/s: more than five minutes
    try:
        slowed = subprocess.Popen(shell.words(first, send), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        # Begun later, from a host that nothing slows.
        shell.must(second, send)
        assert slowed.poll() is None
    finally:
        faults.limit_rate(first, None)
    assert slowed.wait(60) == 0


def test_a_memory_limit_bites_on_a_running_host(second: Host, shell: Shell) -> None:
    hungry = "python3 -c \"b = bytearray(200 << 20); print('survived')\""
    assert "survived" in shell.run(second, hungry).stdout
    faults.limit_memory(second, 150 * MIB)
    try:
        assert "survived" not in shell.run(second, hungry).stdout
    finally:
        faults.limit_memory(second, 512 * MIB)


def test_two_runs_do_not_disturb_each_other(
    first: Host, shell: Shell, other_run: tuple[subprocess.Popen[str], Run, int]
) -> None:
    _, other, init = other_run
    assert other.number != first.run.number
    assert not other.network.overlaps(first.run.network)
    # Between the runs nothing passes, not even what may go to the registries.
    ask = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{other.network[10]}/22'"
    assert shell.run(first, ask).returncode != 0
    with socket.create_connection((str(other.network[10]), 22), 2):
        pass
    with Sandbox() as third:
        assert third.run
        assert is_alive(init)
    assert is_alive(init)
    assert shell.must(first, "hostname") == "first"


def test_stop_leaves_nothing(public_key: str) -> None:
    with Sandbox() as short:
        [host] = short.add_plain(["short"], public_key)
        host.wait_until_ready()
        run, init = short.run, host.container.init()
        assert run
        assert init
        kinds = {found.split(" ")[0] for found in sweep.remains(run)}
        # The check finds each kind of thing while it is there.
        assert {"control", "mount", "link", "namespace", "rules", "route", "folder"} <= kinds
    assert sweep.remains(run) == []
    assert not is_alive(init)


def by_hand(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.sandbox", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_sandbox_made_by_hand_goes_by_hand(need: Need) -> None:
    home = runs.home() / "by-hand"
    need(not home.exists(), "a sandbox made by hand is up: make sandbox-down")
    try:
        up = by_hand("up", "--hosts=1")
        assert up.returncode == 0, up.stderr
        run = Run(next(number for number in runs.live_numbers() if f"pid {runs.owner(number)}\n" in up.stdout))
        asked = subprocess.run(
            ["ssh", "-F", home / "terraform" / "ssh_config", "master", "hostname"], capture_output=True, text=True
        )
        assert asked.stdout == "master\n", asked.stderr
        again = by_hand("up")
        sentence = f"A sandbox is up already (process {runs.owner(run.number)}): end it with `make sandbox-down`.\n"
        assert (again.returncode, again.stderr) == (1, sentence)
    finally:
        down = by_hand("down")
    assert down.returncode == 0, down.stderr
    assert sweep.remains(run) == []
    assert not home.exists()


def test_a_sandbox_without_hosts_is_refused() -> None:
    refused = by_hand("up", "--hosts=0")
    assert refused.returncode == 1
    assert refused.stderr == "A sandbox has 1 to 100 hosts, not 0: make sandbox-up HOSTS=3.\n"


def test_a_killed_run_takes_its_hosts_along_and_the_next_start_sweeps_the_rest(
    other_run: tuple[subprocess.Popen[str], Run, int],
) -> None:
    process, run, init = other_run
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not is_alive(init), "the killed run's host to power off")
    left = sweep.remains(run)
    assert any(found.startswith("mount") for found in left)
    with Sandbox():
        # Its number may be in use again, but nothing of its host is there.
        assert not [found for found in sweep.remains(run) if "other" in found]
    assert sweep.remains(run) == []


def test_the_sweep_spares_what_is_not_the_sandboxs(hosts: list[Host]) -> None:
    network.netns.create("orchard-not-ours")
    try:
        with runs.all_runs_locked():
            sweep.sweep_dead_runs()
        assert "orchard-not-ours" in network.namespace_names()
        assert all(host.container.is_running for host in hosts)
    finally:
        network.delete_namespace("orchard-not-ours")


def test_forwarding_is_given_back_as_it_was(machine_for_hosts: None, tmp_path: Path, monkeypatch) -> None:
    switch = tmp_path / "ip_forward"
    switch.write_text("0\n")
    monkeypatch.setattr(firewall, "FORWARDING", switch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    runs.home().mkdir(parents=True)
    firewall.remember_forwarding()
    switch.write_text("1")
    firewall.restore_forwarding()
    assert switch.read_text() == "0\n"


def test_a_host_outside_of_the_network_is_refused(sandbox: Sandbox) -> None:
    identity = Identity(instance_id="i-1", private_ip="10.42.0.4", hostname="stranger")
    with pytest.raises(SandboxError, match=r"outside of this sandbox's network: create the VPC with 10\.77\.\d+\.0/24"):
        sandbox.add("stranger", identity)


@pytest.mark.parametrize(
    ("platform", "user", "path", "sentence"),
    [
        ("darwin", 0, None, "The sandbox needs Linux (namespaces, overlay mounts); this is darwin."),
        ("linux", 1000, None, "so it needs root: run it with sudo."),
        ("linux", 0, "/nowhere", "apt-get install --no-install-recommends e2fsprogs iproute2 iptables mmdebstrap"),
    ],
)
def test_where_it_cannot_work_it_says_why(
    monkeypatch: pytest.MonkeyPatch, platform: str, user: int, path: str | None, sentence: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    if path:
        monkeypatch.setenv("PATH", path)
    with pytest.raises(SandboxError) as caught:
        machine.check()
    assert sentence in str(caught.value)
