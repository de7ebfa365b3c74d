"""Asks hosts by the two paths that Ansible has put there: what the host is, and the program that works on it."""

import json
import shlex
from typing import Any

from scripts.cluster import Host
from scripts.errors import BusyError, ConfigurationError, OperatorError
from scripts.hosts.ssh import Remote

FACTS = "/etc/orchard/cluster.json"
PROGRAM = "/usr/local/bin/orchard-run"
# orchard-run's own word for a host that Ansible has not come to the end of.
NOT_CONFIGURED = 78
# And for a run that would begin beside another.
UNDER_WAY = 8
SECONDS = 30


class NotConfiguredError(ConfigurationError):
    """Ansible has not come to its end on the host, so no job can be at work there."""


def facts(hosts: Remote, host: Host) -> dict[str, Any]:
    """What the host is: addresses, paths, ports, units. Raises NotConfiguredError while Ansible has not said so."""
    read = hosts.run(host, f"cat {FACTS}", check=False)
    if read.code:
        raise _not_configured(host)
    parsed: dict[str, Any] = json.loads(read.out)
    return parsed


def ask(hosts: Remote, host: Host, *words: str, timeout: float = SECONDS, log: bool = True) -> Any:
    """What orchard-run answers on the host, parsed.

    Raises ConfigurationError with its sentence when it refuses, BusyError when another run is under way, HostError when
    the host cannot be reached.
    """
    done = hosts.run(host, command(*words), check=False, timeout=timeout, log=log)
    if done.code:
        raise refusal(host, words[0], done.code, done.err)
    return json.loads(done.out)


def command(*words: str) -> str:
    """What a shell on a host is given to ask orchard-run there."""
    return f"test -x {PROGRAM} || exit {NOT_CONFIGURED}; sudo {PROGRAM} {shlex.join(words)}"


def refusal(host: Host, word: str, code: int, said: str) -> OperatorError:
    """What to raise where orchard-run ended with that code, and said this on standard error."""
    if code == NOT_CONFIGURED:
        return _not_configured(host)
    sentence = said.strip().rpartition("\n")[2].removeprefix("orchard-run: ").removesuffix(".")
    if code == UNDER_WAY:
        return BusyError(f"{sentence}.")
    return ConfigurationError(
        f"{host.name} could not do `{word}` ({sentence or f'exit code {code}'}): `make logs` tells more.", sentence
    )


def _not_configured(host: Host) -> NotConfiguredError:
    return NotConfiguredError(
        f"{host.name} is not configured to its end, for {FACTS}, {PROGRAM} or the environment is missing: `make up` "
        "mends it.",
        "nothing was installed there yet",
    )
