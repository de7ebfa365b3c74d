#!/usr/bin/env python3
"""Fetch a parcel of folders, check it and put the folders in place; the old ones stay until the new are whole.

receive.py URL SHA256 DESTINATION FOLDER...
"""

import hashlib
import shutil
import subprocess
import sys
import time
import urllib.request
from http.client import HTTPResponse
from pathlib import Path
from urllib.error import URLError

# The server starts at the same moment.
PATIENCE_SECONDS = 20


def open_url(url: str) -> HTTPResponse:
    """The response, once the server answers. Raises URLError when it does not in PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return urllib.request.urlopen(url, timeout=60)  # noqa: S310 - the playbook gives an http address
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def unpack(response: HTTPResponse, folder: Path) -> str:
    """Unpack the stream into the folder as it comes, and return its SHA-256. Raises CalledProcessError if tar fails."""
    digest = hashlib.sha256()
    command = ["tar", "--extract", "--zstd", "--directory", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as tar:
        assert tar.stdin
        while block := response.read(1 << 20):
            digest.update(block)
            tar.stdin.write(block)
        tar.stdin.close()
    if tar.returncode:
        raise subprocess.CalledProcessError(tar.returncode, command)
    return digest.hexdigest()


def main(url: str, sha256: str, destination: str, *folders: str) -> None:
    """Replace the folders in the destination by those of the parcel."""
    target = Path(destination)
    arriving = target / "arriving"
    shutil.rmtree(arriving, ignore_errors=True)
    arriving.mkdir(parents=True)
    with open_url(url) as response:
        received = unpack(response, arriving)
    if received != sha256:
        sys.exit(f"The parcel from {url} arrived damaged (SHA-256 {received} is not {sha256}): run the playbook again.")
    for folder in folders:
        shutil.rmtree(target / folder, ignore_errors=True)
        (arriving / folder).rename(target / folder)
    arriving.rmdir()


if __name__ == "__main__":
    main(*sys.argv[1:])
