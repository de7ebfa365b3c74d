"""What may go wrong on the operator's side: one sentence with cause and next step, and an exit code.

The codes are the table of docs/troubleshooting.md, one for both sides: 0 fine, 1 a fault of Orchard's own, 2 asked for
what cannot be, 130 interrupted; 3 to 8 are the operator's, below, and 20 to 23 the job's own, which `run` and `follow`
hand on. Fabric prints the sentence of an `Exit` and ends with its code.
"""

from invoke.exceptions import Exit


class OperatorError(Exit):  # type: ignore[misc]  # invoke has no types here
    """Something the person can act on; `reason` is its cause in few words.

    Exit code 1, used as it is, means a fault of Orchard's own.
    """

    exit_code = 1

    def __init__(self, sentence: str, reason: str = "") -> None:
        super().__init__(sentence, self.exit_code)
        self.reason = reason or sentence

    def __str__(self) -> str:
        return str(self.message)


class InputError(OperatorError):
    """An option or a setting is wrong or missing."""

    exit_code = 2


class MissingError(OperatorError):
    """A tool, a key or a credential is missing or not accepted."""

    exit_code = 3


class FullDiskError(MissingError):
    """This machine's disk is full, or all but full; `where` is the file that could not be written."""

    def __init__(self, where: str = "") -> None:
        at = f" ({where})" if where else ""
        super().__init__(f"The disk of this machine is full{at}: make room, then the same command again goes on.")


class AwsError(OperatorError):
    """AWS, or Terraform talking to it, refused or failed."""

    exit_code = 4


class HostError(OperatorError):
    """A host cannot be reached, or is not the one it was."""

    exit_code = 5


class HostKeyError(HostError):
    """Whoever answers there shows another host key than the pinned one."""


class UnpinnedError(HostError):
    """Whoever answers there has no pinned host key yet."""


class ConfigurationError(OperatorError):
    """Ansible did not end well, or a command on a host failed."""

    exit_code = 6


class NoClusterError(OperatorError):
    """What was named is not there: no cluster is up, no such host, no such run."""

    exit_code = 7


class BusyError(OperatorError):
    """Something is under way that this would disturb, and nobody has said that it may."""

    exit_code = 8


class StoppedError(OperatorError):
    """Ctrl-C or SIGTERM."""

    exit_code = 130
