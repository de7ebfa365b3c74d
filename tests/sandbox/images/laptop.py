"""Root file systems of people's own machines: what a fresh Debian has once Python, make and git are installed."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from tests.sandbox import runs
from tests.sandbox.images import image
from tests.sandbox.images.cache import being_built
from tests.sandbox.machine import SandboxError

PACKAGES = ("ca-certificates", "git", "make", "openssh-client", "python3", "python3-venv")
PERSON, PERSON_ID, HOME = "ada", 1000, "home/ada"


def root(suite: str) -> Path:
    """The folder of that release, built when it is missing. Nothing may ever write into it."""
    sources = [line.replace(image.SUITE, suite) for line in image.sources()]
    recipe = json.dumps([sources, PACKAGES, Path(__file__).read_text()])
    folder = runs.home() / "laptops" / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with being_built(folder) as scratch:
        if scratch is not None:
            print(f"Building a laptop of Debian {suite}, once: about a minute.", file=sys.stderr)
            _build(scratch, suite, sources)
    return folder


def _build(made: Path, suite: str, sources: list[str]) -> None:
    command = ["mmdebstrap", "--quiet", "--variant=apt", "--mode=root", f"--include={','.join(PACKAGES)}", suite]
    done = subprocess.run([*command, str(made), *sources], stdin=subprocess.DEVNULL, stdout=sys.stderr)
    if done.returncode:
        raise SandboxError(f"mmdebstrap could not build a laptop (exit code {done.returncode}), see above.")
    image.chroot(made, "useradd", "--create-home", f"--uid={PERSON_ID}", "--shell=/bin/bash", PERSON)
    # The machine's own name is none that anybody knows, as behind many a VPN.
    (made / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
    # As an administrator may have it: nothing of a person's own is kept.
    (made / HOME).chmod(0o555)
    image.chroot(made, "chown", "root:root", f"/{HOME}")
