"""What IAM says of who may do what: the hosts' role, that of the schedules, and the user of the person's laptop."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from scripts.aws import resources
from scripts.findings import hosts, policies
from scripts.findings.finding import FACT, GONE, GOOD, NOT_GOOD, Answer, Asked, Finding, find, judged

GONE_SINCE = "NoSuchEntity"


@dataclass(frozen=True)
class Identity:
    """A role or a user, with the words that IAM's calls have for its kind."""

    kind: str
    name: str

    @property
    def named(self) -> dict[str, str]:
        """The argument that names it."""
        return {f"{self.kind}Name": self.name}


def of_rights(asked: Asked, cluster_name: str, bucket: str) -> list[Finding]:
    """Lines for each identity that IAM has of the cluster, and for each role that its hosts have."""
    found: list[Identity] = []

    def look(asked: Asked) -> Answer:
        found.extend(_identities(asked, cluster_name))
        names = ", ".join(identity.name for identity in found)
        lent = {identity: ids for identity, ids in _of_hosts(asked, cluster_name).items() if identity not in found}
        if lent:
            found.extend(lent)
            said = [f"{identity.name}, no role of this cluster, on {', '.join(ids)}" for identity, ids in lent.items()]
            return Answer(NOT_GOOD, f"{names or 'none of its own'}; and {'; '.join(said)}.")
        return Answer(FACT, f"{names}; and whoever administers the account.") if found else _none()

    prefix = f"{resources.PROJECT}-{cluster_name}-"
    lines = [find(asked, "Which identities does the cluster have?", f"{prefix}*", look)]
    for identity in found:
        lines.append(
            find(asked, f"What may {identity.name} do?", identity.name, partial(_may, identity, cluster_name, bucket))
        )
        read = _keys if identity.kind == "User" else _assumed
        name = identity.name
        question = f"Which keys does {name} have?" if identity.kind == "User" else f"Who may act as {name}?"
        lines.append(find(asked, question, identity.name, partial(read, identity)))
    return lines


def who_asks(asked: Asked) -> Finding:
    """By whose rights this page was read."""

    def read(asked: Asked) -> Answer:
        caller = asked("sts", "GetCallerIdentity")
        return Answer(FACT, f"{caller['Arn']}, of account {caller['Account']}.")

    return find(asked, "Who has asked all this?", "account", read)


def _none() -> Answer:
    return Answer(GONE, "IAM has no role and no user of this cluster (any more).")


def _identities(asked: Asked, cluster_name: str) -> Iterator[Identity]:
    prefix, tags = f"{resources.PROJECT}-{cluster_name}-", resources.tags_of(cluster_name)
    for kind in ("Role", "User"):
        names = [item[f"{kind}Name"] for item in asked.every(f"{kind}s", "iam", f"List{kind}s")]
        for identity in (Identity(kind, name) for name in names if name.startswith(prefix)):
            # The lists leave tags out; and the prefix is another cluster's, too, whose name goes on after a hyphen.
            described = asked.unless(GONE_SINCE, "iam", f"Get{kind}", **identity.named)
            carried = {tag["Key"]: tag["Value"] for tag in (described or {}).get(kind, {}).get("Tags", [])}
            if carried.items() >= tags.items():
                yield identity


def _of_hosts(asked: Asked, cluster_name: str) -> dict[Identity, list[str]]:
    """The roles that the hosts have by their profiles, each with its hosts' ids."""
    with_profile: dict[str, list[str]] = {}
    for instance in hosts.instances_of(asked, cluster_name):
        if profile := instance.get("IamInstanceProfile"):
            with_profile.setdefault(profile["Arn"].rpartition("/")[2], []).append(instance["InstanceId"])
    found: dict[Identity, list[str]] = {}
    for profile, ids in with_profile.items():
        described = asked.unless(GONE_SINCE, "iam", "GetInstanceProfile", InstanceProfileName=profile)
        for role in described["InstanceProfile"]["Roles"] if described else []:
            found.setdefault(Identity("Role", role["RoleName"]), []).extend(ids)
    return found


def _may(identity: Identity, cluster_name: str, bucket: str, asked: Asked) -> Answer:
    kind, named = identity.kind, identity.named
    names = list(asked.every("PolicyNames", "iam", f"List{kind}Policies", **named))
    documents = [
        asked("iam", f"Get{kind}Policy", PolicyName=name, **named)["PolicyDocument"] for name in map(str, names)
    ]
    attached = list(asked.every("AttachedPolicies", "iam", f"ListAttached{kind}Policies", **named))
    groups = list(asked.every("Groups", "iam", "ListGroupsForUser", **named)) if kind == "User" else []
    allowed = [statement for document in documents for statement in policies.allowed(document)]
    said = [policies.in_words(statement) for statement in allowed]
    more = [str(one["PolicyArn"]) for one in attached] + [f"what group {one['GroupName']} may" for one in groups]
    is_good = not more and all(policies.is_bounded(statement, bucket, cluster_name) for statement in allowed)
    return judged(
        is_good,
        f"{'; '.join(said + more) or 'nothing'}.",
        "\n".join(map(policies.as_text, documents)),
    )


def _assumed(identity: Identity, asked: Asked) -> Answer:
    trust = asked("iam", "GetRole", **identity.named)["Role"]["AssumeRolePolicyDocument"]
    statements = policies.allowed(trust)
    who = sorted({one for statement in statements for one in policies.principals(statement)})
    is_good = all(_is_service(statement.get("Principal")) for statement in statements)
    said = f"{', '.join(who)}: AWS's own service and nobody else." if is_good else f"{', '.join(who)}."
    return judged(is_good, said, policies.as_text(trust))


def _is_service(principal: Any) -> bool:
    return isinstance(principal, dict) and set(principal) == {"Service"}


def _keys(identity: Identity, asked: Asked) -> Answer:
    keys = list(asked.every("AccessKeyMetadata", "iam", "ListAccessKeys", **identity.named))
    if _has_password(identity, asked):
        return Answer(NOT_GOOD, "A password for AWS's console, which nobody here makes.")
    if not keys:
        return Answer(GOOD, "None, and no password.")
    said = ", ".join(f"{key['AccessKeyId']} of {key['CreateDate']:%Y-%m-%d} ({key['Status']})" for key in keys)
    return Answer(FACT, f"{said}; no password.")


def _has_password(identity: Identity, asked: Asked) -> bool:
    return asked.unless(GONE_SINCE, "iam", "GetLoginProfile", **identity.named) is not None
