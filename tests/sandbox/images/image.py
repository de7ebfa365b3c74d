"""The root file system that every host starts from: Debian 12 with cloud-init, like the official image for EC2."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.sandbox import runs
from tests.sandbox.images.cache import being_built
from tests.sandbox.machine import SandboxError

SUITE = "bookworm"
ADMIN = "admin"
PACKAGES = [
    "ca-certificates",
    "cloud-init",
    "dbus",
    "iproute2",
    "iputils-ping",
    "libfaketime",
    "libpam-systemd",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
]
# Timers that would take the package manager's lock or look for disks; units for hardware that a container has not.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "systemd-networkd-wait-online.service"]
CERTIFICATES = Path("/usr/local/share/ca-certificates")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
FACTS_FOLDER = "etc/orchard-sandbox"

CLOUD_CONFIG = """\
# What Debian's image for EC2 sets, and what a container must not do.
datasource_list: [Ec2]
datasource:
  Ec2:
    metadata_urls: ["http://169.254.169.254"]
    timeout: 5
    max_wait: 30
system_info:
  default_user:
    name: admin
    lock_passwd: true
    gecos: Debian
    sudo: ["ALL=(ALL) NOPASSWD:ALL"]
    shell: /bin/bash
disable_root: true
ssh_pwauth: false
ssh_genkeytypes: [ed25519]
# The mirror is the one that this machine uses.
apt: {preserve_sources_list: true}
network: {config: disabled}
locale: false
# So does Debian's image: /etc/hosts is written anew at each boot, from a template.
manage_etc_hosts: true
"""

# Firmware says to cloud-init that it runs on EC2; a container has none, so it is told where else to look.
FIRMWARE_READER = "usr/lib/python3/dist-packages/cloudinit/sources/DataSourceEc2.py"
FIRMWARE = "/sys/hypervisor/uuid"
FIRMWARE_STAND_IN = "/etc/orchard-sandbox/uuid"

# A host is told its memory by its control group only; programs ask /proc/meminfo.
FACTS_UNIT = """\
[Unit]
Description=Show the memory that this host was given
DefaultDependencies=no
Before=sysinit.target
ConditionPathExists=/etc/orchard-sandbox/meminfo

[Service]
Type=oneshot
ExecStart=/bin/mount --bind /etc/orchard-sandbox/meminfo /proc/meminfo

[Install]
WantedBy=sysinit.target
"""


def base() -> Path:
    """The base image's folder, built when it is missing or its recipe changed. Nothing may ever write into it."""
    folder = runs.home() / "images" / f"{SUITE}-{_fingerprint()}"
    with being_built(folder) as scratch:
        if scratch is not None:
            print("Building the hosts' base image, once: about a minute.", file=sys.stderr)
            _build(scratch)
    return folder


def _build(root: Path) -> None:
    # With the hooks below, mmdebstrap needs the folder's parents to be passable.
    command = ["mmdebstrap", "--quiet", "--variant=apt", "--mode=root", f"--include={','.join(PACKAGES)}", SUITE]
    done = subprocess.run([*command, str(root), *sources()], stdin=subprocess.DEVNULL, stdout=sys.stderr)
    if done.returncode:
        raise SandboxError(f"mmdebstrap could not build the base image (exit code {done.returncode}), see above.")
    _trust_the_machines_certificates(root)
    _set_up_package_managers(root)
    _set_up_cloud_init(root)
    (root / "etc/systemd/system/orchard-sandbox-facts.service").write_text(FACTS_UNIT)
    chroot(root, "systemctl", "enable", "--quiet", "orchard-sandbox-facts.service")
    chroot(root, "systemctl", "mask", "--quiet", *MASKED)
    # Each host makes its own identity at its first boot.
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")
    (root / "etc/ssh/sshd_config.d/hostkey.conf").write_text("HostKey /etc/ssh/ssh_host_ed25519_key\n")


def sources() -> list[str]:
    """The machine's own lines for this Debian release; none (mmdebstrap knows the usual mirror) where it has none."""
    if shutil.which("apt-get") is None:
        return []
    text = "$(ORIGIN)\t$(CODENAME)\tdeb $(REPO_URI) $(CODENAME) $(COMPONENT)"
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", text, "Created-By: Packages"], text=True, capture_output=True
    ).stdout
    fields = [line.split("\t") for line in listed.splitlines()]
    wanted = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
    return sorted({line for origin, codename, line in fields if origin == "Debian" and codename in wanted})


def _trust_the_machines_certificates(root: Path) -> None:
    for certificate in CERTIFICATES.glob("*.crt"):
        shutil.copy(certificate, root / CERTIFICATES.relative_to("/"))
    chroot(root, "update-ca-certificates")


def _set_up_package_managers(root: Path) -> None:
    """Lead pip, uv and apt in the hosts by the same way to their registries as on this machine."""
    index = _pip_setting("index-url")
    (root / "etc/pip.conf").write_text(
        f"[global]\ncert = {BUNDLE}\n" + (f"index-url = {index}\n" if index.startswith("http") else "")
    )
    (root / "etc/uv").mkdir()
    (root / "etc/uv/uv.toml").write_text(
        "native-tls = true\n"
        + (f"[[index]]\nurl = {json.dumps(index)}\ndefault = true\n" if index.startswith("http") else "")
    )
    proxies = subprocess.run(["apt-config", "dump", "Acquire"], text=True, capture_output=True).stdout.splitlines()
    lines = [line for line in proxies if "::Proxy" in line and '""' not in line]
    (root / "etc/apt/apt.conf.d/90sandbox").write_text("\n".join([*lines, ""]))


def _set_up_cloud_init(root: Path) -> None:
    (root / "etc/cloud/cloud.cfg.d/90_sandbox.cfg").write_text(CLOUD_CONFIG)
    (root / FACTS_FOLDER).mkdir()
    (root / FIRMWARE_STAND_IN.lstrip("/")).write_text("ec2-sandbox\n")
    # The address is given from outside, and nobody would answer.
    (root / "usr/sbin/dhclient").unlink(missing_ok=True)
    reader = root / FIRMWARE_READER
    before, call, after = reader.read_text().partition(f'load_file("{FIRMWARE}")')
    if not call:
        raise SandboxError(f"cloud-init no longer reads {FIRMWARE}: mend image.py for the new version.")
    reader.write_text(before + call.replace(FIRMWARE, FIRMWARE_STAND_IN) + after)


def _pip_setting(name: str) -> str:
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", f"global.{name}"], text=True, capture_output=True
    )
    return asked.stdout.strip()


def _fingerprint() -> str:
    """Changes with everything that goes into the image."""
    certificates = [path.read_bytes().hex() for path in sorted(CERTIFICATES.glob("*.crt"))]
    recipe = [sources(), _pip_setting("index-url"), certificates, Path(__file__).read_text()]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


def chroot(root: Path, *command: str) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(["chroot", root, *command], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SandboxError(f"`{' '.join(command)}` failed while building the base image: {done.stderr.strip()}")


if __name__ == "__main__":
    os.umask(0o022)
    print(base())
