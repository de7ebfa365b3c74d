"""Every host answers by SSH in the end: one that does not is told, rebooted, switched off and on, replaced.

Each step is taken for the hosts alone that the one before it has not brought back.
"""

from collections.abc import Callable, Sequence

from scripts import console
from scripts.cluster import Cluster, Host
from scripts.errors import BusyError, HostError, MissingError
from scripts.hosts import host_keys, readiness
from scripts.repair import boots, instances
from scripts.terraform import outputs, workspace

# For a host that is up to answer; one that was just launched has the time of a first boot.
ANSWER_SECONDS = 60

Replace = Callable[[Sequence[Host]], Cluster]
Silent = dict[str, HostError | MissingError]


def connect(cluster: Cluster, replace: Replace) -> Cluster:
    """Pin what host keys are new, and bring back every host that does not answer; gives the cluster as it is then.

    One that shows no key on its console in time does not answer either. `replace` makes others in the place of hosts.

    Raises BusyError where a step needs a yes and nobody gives it, HostError when even a new host does not answer,
    MissingError when a host does not take the key.
    """
    silent = _silent(cluster, _pin(cluster))
    if not silent:
        return cluster
    sick = instances.impaired(cluster, silent)
    _ask_before_restart(cluster, silent, sick)
    silent = [host for host in silent if host.name in sick] + _reboot(
        cluster, [host for host in silent if host.name not in sick]
    )
    cluster, silent = _switch_off_and_on(cluster, silent)
    if not silent:
        return cluster
    _ask_before_replacing(cluster, silent)
    cluster = replace(silent)
    # Not before: where no other is made, the old one is there yet.
    host_keys.forget(cluster.known_hosts, silent)
    readiness.connect(cluster)
    return cluster


def _pin(cluster: Cluster) -> list[Host]:
    """Pin what host keys are new; gives the hosts that show none and have had the time of a first boot, each told."""
    with console.phase("Host keys") as under_way:
        new = host_keys.unpinned(cluster)
        mute = host_keys.pin_shown(cluster, new, under_way, ANSWER_SECONDS)
        if booting := instances.launched_within(cluster, mute, host_keys.CONSOLE_SECONDS) if mute else []:
            late = host_keys.pin_shown(cluster, booting, under_way, host_keys.CONSOLE_SECONDS - ANSWER_SECONDS)
            mute = [host for host in mute if host not in booting or host in late]
        for host in mute:
            console.say(f"{host.name} runs, AWS says, and shows no host key on its console.")
        under_way.result = f"{len(new) - len(mute)} pinned by the console" if new else "pinned before"
    return mute


def _silent(cluster: Cluster, mute: Sequence[Host]) -> list[Host]:
    """The hosts that do not answer and are not booting, each told, and the mute ones, whose keys nobody knows.

    Raises the error of one that refuses the key.
    """
    with console.phase("SSH") as under_way:
        failed = readiness.silent(cluster, _without(cluster.hosts, mute), under_way, ANSWER_SECONDS)
        booting = instances.launched_within(cluster, _those(cluster, failed), readiness.SSH_SECONDS) if failed else []
        down = [host for host in _those(cluster, failed) if host not in booting]
        for host in down:
            if isinstance(error := failed[host.name], MissingError):
                raise error
            console.say(f"{host.name} runs, AWS says, and has not answered for {ANSWER_SECONDS} s ({error.reason}).")
        readiness.wait_for_ssh(cluster, under_way, of=booting)
        down = [host for host in cluster.hosts if host in down or host in mute]
        answering = f"{len(cluster.hosts) - len(down)} of {len(cluster.hosts)}" if down else f"{len(cluster.hosts)}"
        under_way.result = f"{answering} hosts answer"
    return down


def _ask_before_restart(cluster: Cluster, silent: Sequence[Host], sick: set[str]) -> None:
    """Ask where it may not be the hosts that fail, or where work would end that perhaps goes on."""
    well = [host for host in silent if host.name not in sick]
    found = f"AWS finds {', '.join(sorted(sick))} impaired. " if sick else ""
    question = ""
    if well and len(silent) == len(cluster.hosts):
        question = (
            f"No host of cluster {cluster.name} answers from here, and AWS finds nothing wrong with {_names(well)}: it "
            f"may be this machine's network that lets no SSH through. {found}Reboot them all the same?"
        )
    elif cluster.master in silent:
        # AWS calls a host impaired, too, that a heavy load keeps from an answer: a run may go on there.
        does = "Switch the master off and on" if cluster.master.name in sick else "Reboot the master"
        question = (
            f"{found}What is at work on the master would end with it: a run goes on later, by `make run RUN=name`. "
            f"{does}?"
        )
    if question and not console.ask(question):
        raise BusyError(f"Nothing was rebooted: {_names(silent)} may be on their way. `make up` looks again.")


def _reboot(cluster: Cluster, hosts: Sequence[Host]) -> list[Host]:
    """Gives those that do not answer after it."""
    if not hosts:
        return []
    with console.phase("Reboot") as under_way:
        before = boots.ids(cluster, hosts)
        instances.reboot(cluster, hosts)
        boots.wait_for_others(cluster, before, instances.REBOOT_SECONDS)
        left = _left(cluster, hosts, under_way, instances.REBOOT_SECONDS)
        under_way.result = _came_back(hosts, left)
    return left


def _switch_off_and_on(cluster: Cluster, hosts: Sequence[Host]) -> tuple[Cluster, list[Host]]:
    """Gives the cluster, whose hosts have other addresses then, and those that do not answer after it."""
    # A one-time spot instance cannot be stopped.
    stoppable = [host for host in hosts if host == cluster.master or not cluster.spot]
    if not stoppable:
        return cluster, list(hosts)
    with console.phase("Off and on") as under_way:
        under_way.note(f"stopping and starting {_names(stoppable)}")
        if not instances.switch_off_and_on(cluster, stoppable):
            under_way.result = f"{_names(stoppable)} did not come to run again"
            return cluster, list(hosts)
        workspace.Workspace(cluster.name).refresh()
        cluster = outputs.current()
        hosts, stoppable = _again(cluster, hosts), _again(cluster, stoppable)
        left = _left(cluster, stoppable, under_way, readiness.SSH_SECONDS)
        under_way.result = _came_back(stoppable, left)
    return cluster, [host for host in hosts if host in left or host not in stoppable]


def _ask_before_replacing(cluster: Cluster, hosts: Sequence[Host]) -> None:
    """A worker holds nothing worth keeping. A master may, whatever the bucket has of it."""
    if cluster.master not in hosts:
        return
    question = (
        f"The master of cluster {cluster.name} does not come back. Put a new one in its place? The bucket stays, with "
        "pictures, runs, event logs and notebooks as they were kept to the last minute; what else lay on the master's "
        "disk is lost, and a run that was at work goes on by `make run RUN=name`."
    )
    if not console.ask(question):
        raise BusyError("The master was not replaced: `make up` tries again, `make down` takes the cluster away.")


def _left(cluster: Cluster, hosts: Sequence[Host], under_way: console.Phase, seconds: float) -> list[Host]:
    """Those of these hosts, just restarted, that do not answer in time; what host key is new by then is pinned."""
    new = [host for host in host_keys.unpinned(cluster) if host in hosts]
    mute = host_keys.pin_shown(cluster, new, under_way, host_keys.CONSOLE_SECONDS)
    failed = readiness.silent(cluster, _without(hosts, mute), under_way, seconds)
    return [host for host in hosts if host in mute or host.name in failed]


def _without(hosts: Sequence[Host], others: Sequence[Host]) -> list[Host]:
    return [host for host in hosts if host not in others]


def _those(cluster: Cluster, failed: Silent) -> list[Host]:
    return [host for host in cluster.hosts if host.name in failed]


def _again(cluster: Cluster, hosts: Sequence[Host]) -> list[Host]:
    return [cluster.host(host.name) for host in hosts]


def _came_back(hosts: Sequence[Host], left: Sequence[Host]) -> str:
    back = [host for host in hosts if host not in left]
    said = [f"{_names(back)} came back"] if back else []
    return ", ".join([*said, *([f"{_names(left)} did not"] if left else [])])


def _names(hosts: Sequence[Host]) -> str:
    return ", ".join(host.name for host in hosts)
