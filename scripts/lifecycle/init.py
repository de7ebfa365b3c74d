"""`make init`: the settings from a few questions or flags, and a look at whether this machine and account are ready."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from scripts import console, tfvars
from scripts.access import login
from scripts.doctor import credentials, look, tools
from scripts.doctor.look import Check
from scripts.errors import MissingError, OperatorError
from scripts.lifecycle import preflight
from scripts.terraform import validation

HEADER = """\
# What the cluster is, written by `make init`; terraform.tfvars.example names every setting there is.
# SSH is opened to the address you come from; to open it to more, add admin_cidrs = ["203.0.113.0/24"].
"""


@dataclass(frozen=True)
class Question:
    """A setting that `init` asks for."""

    name: str
    text: str


QUESTIONS = (
    Question("cluster_name", "Name of the cluster, 2 to 20 lower-case letters, digits and hyphens"),
    Question("owner", "Who answers for it: a name or an e-mail address, for a tag"),
    Question("region", "AWS region"),
    Question("master_instance_type", "Instance type of the master"),
    Question("worker_instance_types", "Instance types for the workers, the one you wish for first"),
    Question("worker_count", "How many workers"),
    Question("worker_spot", "Workers on the spot market: a third of the price, and AWS may take one away"),
    Question("budget_email", "E-mail address for AWS's budget warnings, - for none"),
)
# Where variables.tf has no default.
FIRST_GUESS: dict[str, Any] = {"cluster_name": "fruits", "owner": "", "budget_email": "-"}
# As earlier versions spelled the second; the type in force goes by that name still.
ONE_TYPE, TYPES = "worker_instance_type", "worker_instance_types"


def init(**given: str) -> None:
    """Write terraform.tfvars from flags, and from questions where somebody is at the terminal; then check."""
    # Before any question: it judges the answers.
    tools.terraform()
    settings, there = (tfvars.text(), tfvars.read()) if tfvars.tfvars().exists() else (HEADER, {})
    if old := there.get(ONE_TYPE):
        there[TYPES] = [old]
        settings = tfvars.with_setting(settings, ONE_TYPE, None)
    answers = {question.name: _answer(question, given.get(question.name, ""), there) for question in QUESTIONS}
    for name, value in answers.items():
        if value is not None or name in there:
            settings = tfvars.with_setting(settings, name, value)
    validation.check(settings)
    tfvars.write(settings)
    console.say(f"Written: {tfvars.tfvars()}")
    check(answers)
    console.say("Next: make plan")


def check(answers: dict[str, Any]) -> None:
    """Look at machine, network and credentials, and say what to do for each thing missing, all at once; then at the
    account.

    Raises MissingError for the first, and what `preflight` raises for the second.
    """
    console.say("Checks:")
    of_account = Check("credentials", partial(credentials.of, str(answers["region"])))
    # Whom AWS answers has a network that will do, whatever the rest of it says.
    look.failed(look.NETWORK)
    if missing := look.failed([*look.MACHINE, of_account]):
        raise MissingError("\n".join(missing))
    preflight.say(answers | {ONE_TYPE: answers[TYPES][0]})


def _answer(question: Question, given: str, there: dict[str, Any]) -> Any:
    """The flag, or what the person says, or what was set before."""
    before = there.get(question.name, FIRST_GUESS.get(question.name))
    if before is None and question.name == "region":
        before = _own_region()
    if before is None:
        before = tfvars.default(question.name)
    text = given or console.enquire(question.text, _as_text(before))
    if text in ("-", "") and question.name == "budget_email":
        return None
    return tfvars.typed(question.name, text)


def _own_region() -> str | None:
    """The region that AWS's own tools take, where it is one that the settings allow by themselves: in Europe."""
    try:
        region = login.region()
    except OperatorError:  # said where the credentials are looked at
        return None
    return region if region and region.startswith("eu-") else None


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value or "")
