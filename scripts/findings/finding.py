"""A line of evidence: a question, AWS's answer at this moment, and the calls by which it was read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from scripts.aws import clients
from scripts.aws.clients import UNANSWERED
from scripts.errors import OperatorError

GOOD = "good"
NOT_GOOD = "not good"
FACT = "as it is"
GONE = "no longer there"
UNKNOWN = "not known"
# What reading an answer of another form than the known one raises.
ODD = (KeyError, TypeError, ValueError, AttributeError, IndexError)


@dataclass(frozen=True)
class Call:
    """A call as CloudTrail has it: `s3:GetBucketPolicy`, the time of its answer in UTC, AWS's own number for it."""

    name: str
    at: str
    request_id: str


@dataclass(frozen=True)
class Answer:
    """What the calls came to: a verdict, a sentence, and what it was read from, where that says more.

    `of` names the things that it is about, where only the answer tells which they are.
    """

    verdict: str
    text: str
    details: str = ""
    of: str = ""


@dataclass(frozen=True)
class Finding:
    """One line of the page."""

    question: str
    resource: str
    answer: Answer
    calls: tuple[Call, ...]


@dataclass
class Asked:
    """AWS in one region, asked by calls that only read; each is written down."""

    region: str
    calls: list[Call] = field(default_factory=list)

    def __call__(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """The answer of a call. Raises what boto3 raises."""
        try:
            answer: dict[str, Any] = getattr(clients.client(service, self.region), xform_name(operation))(**arguments)
        except ClientError as error:
            self._note(service, operation, error.response)
            raise
        self._note(service, operation, answer)
        return answer

    def unless(self, code: str, service: str, operation: str, **arguments: Any) -> dict[str, Any] | None:
        """The same; None where AWS says by this code that there is no such thing."""
        try:
            return self(service, operation, **arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] == code:
                return None
            raise

    def every(self, listed: str, service: str, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """The items of a list over all its pages, which count as one call."""
        paginator = clients.client(service, self.region).get_paginator(xform_name(operation))
        try:
            for number, page in enumerate(paginator.paginate(**arguments)):
                if number == 0:
                    self._note(service, operation, page)
                yield from page[listed]
        except ClientError as error:
            self._note(service, operation, error.response)
            raise

    def taken(self) -> tuple[Call, ...]:
        """The calls since this was asked last, each name once."""
        taken = {call.name: call for call in self.calls}
        self.calls.clear()
        return tuple(taken.values())

    def _note(self, service: str, operation: str, answer: dict[str, Any]) -> None:
        said = answer.get("ResponseMetadata", {})
        at = datetime.now(UTC).strftime("%H:%M:%S")
        self.calls.append(Call(f"{service}:{operation}", at, str(said.get("RequestId", ""))))


def find(asked: Asked, question: str, resource: str, read: Callable[[Asked], Answer]) -> Finding:
    """Ask; what cannot be read is not known, with AWS's reason, and never looks good."""
    try:
        answer = read(asked)
    except ClientError as error:
        said = error.response.get("Error", {})
        answer = Answer(UNKNOWN, f"AWS would not say: {said.get('Code', 'no code')}: {said.get('Message', '')}")
    except (*UNANSWERED, OperatorError) as error:
        answer = Answer(UNKNOWN, f"AWS could not be asked: {error}")
    except ODD as error:
        answer = Answer(UNKNOWN, f"AWS's answer has not the form that is known ({type(error).__name__}: {error}).")
    return Finding(question, resource, answer, asked.taken())


def judged(is_good: bool, text: str, details: str = "", of: str = "") -> Answer:
    """An answer that is as it should be, or is not."""
    return Answer(GOOD if is_good else NOT_GOOD, text, details, of)
