"""`make doctor`: every check at once, a line each, and for each that fails what to type. Nothing is changed."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from scripts import console, tfvars
from scripts.doctor import credentials, machine, network, tools
from scripts.errors import MissingError, OperatorError

NAME_WIDTH = 14


@dataclass(frozen=True)
class Check:
    """One thing that has to be right: `look` gives what it is, or raises an OperatorError with what to do."""

    name: str
    look: Callable[[], str]


MACHINE = (
    Check("python", machine.python),
    Check("java", machine.java),
    Check("line ends", machine.line_ends),
    Check("disk", machine.disk),
    Check("home", machine.home),
    Check("keys", machine.secrets),
    Check("tools", tools.check),
)
NETWORK = (Check("proxy", network.proxy), Check("network", network.way_out))
PACKAGES = Check("packages", network.packages)


def doctor() -> None:
    """Look at all of it. Raises MissingError where something is not as it must be, once all is said."""
    region, name = _settings()
    of_account = (
        Check("credentials", partial(credentials.of, region)),
        Check("address", partial(network.address, region, name)),
    )
    checks = [*MACHINE, *NETWORK, PACKAGES, *of_account]
    if missing := failed(checks):
        raise MissingError(f"{len(missing)} of {len(checks)} are not ready: see above.")
    console.say("Ready. Next: make init, or make up")


def failed(checks: Iterable[Check]) -> list[str]:
    """Look side by side and say a line for each, in their order; gives the sentences of those that failed."""
    sentences = []
    with ThreadPoolExecutor(8) as pool:
        for check, answer in [(check, pool.submit(check.look)) for check in checks]:
            try:
                console.say(f"  {check.name:<{NAME_WIDTH}}{answer.result()}")
            except OperatorError as error:
                console.say(f"  {check.name:<{NAME_WIDTH}}NOT READY: {error}")
                sentences.append(str(error))
    return sentences


def _settings() -> tuple[str, str]:
    """Region and name of the cluster; before `make init`, the default's region and a name that no cluster has."""
    try:
        return str(tfvars.setting("region")), str(tfvars.read()["cluster_name"])
    except OperatorError:
        return str(tfvars.default("region")), "-"
