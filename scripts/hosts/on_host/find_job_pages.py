"""Print which drivers on this host show a page, as a list of port and application's name: ADDRESS PORT..."""

import json
import sys
import urllib.request

SECONDS = 20  # the first answer of a busy driver takes a while; a closed port says so at once


def main(address: str, *ports: str) -> None:
    """Ask each port; one that nobody answers on shows none."""
    found = []
    for port in map(int, ports):
        url = f"http://{address}:{port}/api/v1/applications"
        try:
            with urllib.request.urlopen(url, timeout=SECONDS) as answer:
                found += [(port, application["name"]) for application in json.load(answer)]
        except OSError:
            continue
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
