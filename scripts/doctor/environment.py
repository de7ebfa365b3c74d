"""The Python of .venv: looked for, judged, and the environment made of it with uv in it.

Runs as a program before anything is installed, so on any Python 3 and with nothing but its own library.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from typing import Dict, List, Mapping, Optional, Tuple

OLDEST, NEWEST = (3, 11), (3, 13)
RANGE = "3.11 to 3.13"
WISHED = "3.12"
BOOTSTRAP = os.path.join("requirements", "bootstrap.txt")
# pip's settings of an index by uv's names for them; and who else may have been told of a company's certificates.
INDEXES = {"UV_DEFAULT_INDEX": "index-url", "UV_INDEX": "extra-index-url"}
CERTIFICATES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")


def unfit(version: Tuple[int, ...]) -> str:
    """Why this Python can't be taken, in words; empty where it can."""
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return ""
    return "Orchard needs Python {}; this is {}".format(RANGE, ".".join(map(str, version[:3])))


def platform_unfit(system: str, machine: str, is_translated: bool) -> str:
    """Why no lock can be installed on this kind of machine, in words; empty where one can."""
    if system == "Darwin" and machine == "x86_64":
        if is_translated:
            return (
                "this Python is one for Intel processors, and the Mac has another: take one for arm64 "
                "(brew install python@" + WISHED + " in a terminal without Rosetta)"
            )
        return (
            "TensorFlow has no wheels for Macs with Intel processors: run Orchard on another machine, "
            "as on a small Linux instance of EC2"
        )
    if system not in ("Linux", "Darwin"):
        return "Orchard runs on Linux and macOS: on Windows, take WSL (wsl --install) and a folder below /home"
    if machine not in ("x86_64", "aarch64", "arm64"):
        return "there are no wheels for " + machine + " processors: take a machine with x86_64 or arm64"
    return ""


def how_to_get(system: str) -> str:
    """What to type for a Python on this system."""
    if system == "Darwin":
        return "brew install python@" + WISHED
    if shutil.which("apt-get"):
        return "sudo apt-get install python3 python3-venv, or curl -LsSf https://astral.sh/uv/install.sh | sh"
    if shutil.which("dnf"):
        return "sudo dnf install python" + WISHED
    return "curl -LsSf https://astral.sh/uv/install.sh | sh"


def make(folder: str) -> int:
    """Make the environment; gives an exit code, and puts one sentence on stderr for what is in its way."""
    system = platform.system()
    why = platform_unfit(system, platform.machine(), system == "Darwin" and _is_translated())
    if why:
        return _refuse(why[0].upper() + why[1:] + ".")
    python = sys.executable  # type: Optional[str]
    why = unfit(tuple(sys.version_info[:3]))
    if why:
        python = _by_uv()
        if python is None:
            return _refuse(
                why + ", and no other was found. Get one: " + how_to_get(system) + ". Or name one that you have: "
                "make PYTHON=/path/to/python" + WISHED + "."
            )
        print(why + ": " + python + " is taken, which uv has.")
    return _make(python or sys.executable, folder, system)


def install(lock: str, folder: str) -> int:
    """Have uv install a lock into the environment; gives its exit code."""
    uv, python = os.path.join(os.path.dirname(sys.executable), "uv"), os.path.join(folder, "bin", "python")
    words = [uv, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", lock]
    return subprocess.call(words, env=dict(os.environ, **for_uv()))


def for_uv() -> Dict[str, str]:
    """What uv has to be told besides: by itself it goes by none of pip's settings, nor the system's certificates."""
    return _for_uv(os.environ, _printed([sys.executable, "-m", "pip", "config", "list"]) or "")


def _for_uv(environment: Mapping[str, str], settings: str) -> Dict[str, str]:
    """`settings` are pip's as it lists them: a section and a name, = and a value in quotation marks."""
    told = {"UV_SYSTEM_CERTS": "1"}
    found = {}
    for section in ("global", "install", ":env:"):
        pattern = "^" + section + r"\.([\w-]+)='(.*)'$"
        found.update(dict(re.findall(pattern, settings, re.MULTILINE)))
    for name, pips in INDEXES.items():
        if pips in found:
            told[name] = " ".join(found[pips].replace("\\n", " ").split())
    bundles = [environment[name] for name in CERTIFICATES if environment.get(name)] + [found.get("cert", "")]
    if bundles[0]:
        told["SSL_CERT_FILE"] = bundles[0]
    if not _can_keep(environment.get("UV_CACHE_DIR") or environment.get("XDG_CACHE_HOME") or _home(environment)):
        told["UV_NO_CACHE"] = "1"
    return {name: value for name, value in told.items() if not environment.get(name)}


def _home(environment: Mapping[str, str]) -> str:
    return environment.get("HOME") or "/"


def _can_keep(folder: str) -> bool:
    """Whether anything can be written there, or the folder be made."""
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return os.access(folder, os.W_OK)


def _by_uv() -> Optional[str]:
    """A Python that uv knows, or may fetch; None where there is no uv, or it may not."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    found = [uv, "python", "find", "--system", ">=3.11,<3.14"]
    if not _printed(found):
        subprocess.call([uv, "python", "install", "-q", WISHED])
    return _printed(found) or None


def _make(python: str, folder: str, system: str) -> int:
    if subprocess.call([python, "-m", "venv", folder]):
        version = _printed([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        hint = (
            "sudo apt-get install python" + (version or "3") + "-venv"
            if shutil.which("apt-get")
            else how_to_get(system)
        )
        return _refuse("Python can't make an environment, see above: " + hint + ".")
    words = [os.path.join(folder, "bin", "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    words += [] if _can_keep(_home(os.environ)) else ["--no-cache-dir"]
    if subprocess.call([*words, "--require-hashes", "-r", BOOTSTRAP]):
        return _refuse(
            "uv could not be installed, see above. Behind a proxy: export HTTPS_PROXY=http://proxy:3128; where it "
            "opens TLS, also PIP_CERT=/path/to/its/certificate.pem; for a mirror, PIP_INDEX_URL=https://mirror/simple."
        )
    return 0


def _is_translated() -> bool:
    return _printed(["sysctl", "-n", "sysctl.proc_translated"]) == "1"


def _printed(command: List[str]) -> Optional[str]:
    """What a command prints; None where it fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return done.stdout.decode().strip() if done.returncode == 0 else None


def _refuse(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(make(sys.argv[2]) if sys.argv[1] == "make" else install(sys.argv[2], sys.argv[3]))
