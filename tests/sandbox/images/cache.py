"""Folders that take minutes to make and are kept for the next run: images and layers."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNUSED_SECONDS = 24 * 3600


@contextmanager
def being_built(folder: Path) -> Iterator[Path | None]:
    """Give a scratch folder to fill when `folder` is missing, None when it is there; one builder at a time.

    The folder appears whole or not at all; others of its kind (the same name up to the last hyphen) that nobody has
    asked for in a day go.
    """
    kind = folder.name.rpartition("-")[0]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _asked_for(folder).touch()
        if folder.is_dir():
            yield None
            return
        _remove_unused(folder.parent, kind)
        # Of this process alone: what a killed builder has started may still be writing into its own.
        scratch = folder.with_name(f".{folder.name}.{os.getpid()}.new")
        try:
            yield scratch
            scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _asked_for(folder: Path) -> Path:
    """A file beside the folder, as old as the last time that somebody asked for it."""
    return folder.with_name(f".{folder.name}.asked")


def _remove_unused(parent: Path, kind: str) -> None:
    mounted = Path("/proc/self/mounts").read_text()
    for folder in [*parent.glob(f"{kind}-*"), *parent.glob(f".{kind}-*.new")]:
        mark = _asked_for(folder)
        age = time.time() - (mark.stat().st_mtime if mark.exists() else folder.stat().st_ctime)
        if age > UNUSED_SECONDS and str(folder) not in mounted:
            shutil.rmtree(folder)
            mark.unlink(missing_ok=True)
