"""EventBridge Scheduler that fires: moto keeps schedules and leaves it at that.

At the time of an enabled one-time schedule the double takes on the schedule's role, as the service does, and calls what
the schedule names with that role's credentials: who enforces policies enforces them here, too. The call is on no list
of calls and no fault strikes it; what became of it is on a list of its own.

A time that is past is taken, as AWS takes it (LocalStack's tests have recorded that), and due at once: whether AWS then
fires or never does is written nowhere, and this is the worse of the two.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.iam.models import iam_backends
from moto.scheduler.models import scheduler_backends
from moto.sts.models import sts_backends

from tests.doubles.aws.paths import SCHEDULER

SERVICE = "scheduler.amazonaws.com"
ONE_TIME = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
UNIVERSAL = re.compile(r"arn:aws[a-z-]*:scheduler:::aws-sdk:(?P<service>\w+):(?P<operation>\w+)")
EVERY_SECONDS = 0.2
CONFIG = Config(user_agent_extra=SCHEDULER, retries={"total_max_attempts": 1})


class Scheduler:
    """Looks for schedules that are due, and fires each of them once for each time that it was given."""

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url = endpoint_url
        self._seen: set[tuple[str, str, float]] = set()
        self.fired: list[dict[str, str]] = []

    def run(self) -> None:
        """Go on until the process ends."""
        while True:
            for schedule in [schedule for schedule in _schedules() if self._is_due(schedule)]:
                self._fire(schedule)
            time.sleep(EVERY_SECONDS)  # the double's own pace: times come by themselves

    def _is_due(self, schedule: Any) -> bool:
        at = _time_of(schedule)
        was = (schedule.arn, schedule.schedule_expression, schedule.last_modified_date)
        return schedule.state == "ENABLED" and at is not None and at <= datetime.now(UTC) and was not in self._seen

    def _fire(self, schedule: Any) -> None:
        self._seen.add((schedule.arn, schedule.schedule_expression, schedule.last_modified_date))
        target = UNIVERSAL.fullmatch(schedule.target["Arn"])
        name = f"{schedule.group_name}/{schedule.name}"
        self.fired.append({"schedule": name, "target": schedule.target["Arn"], "error": self._call(schedule, target)})

    def _call(self, schedule: Any, target: re.Match[str] | None) -> str:
        """Make the schedule's call; why it failed, empty when it went well."""
        region, account = schedule.arn.split(":")[3:5]
        if target is None:
            return "NoUniversalTarget"
        try:
            if not _may_assume(schedule, account):
                return "RoleNotAssumable"
            client = self._client(target["service"], region, account, schedule.target["RoleArn"])
            getattr(client, xform_name(target["operation"]))(**json.loads(schedule.target.get("Input") or "{}"))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        except Exception as error:
            # One schedule that cannot be carried out is no end of all others.
            return repr(error)
        return ""

    def _client(self, service: str, region: str, account: str, role_arn: str) -> Any:
        role = sts_backends[account]["aws"].assume_role(region, "scheduler", role_arn, "", 3600, "")
        session = boto3.session.Session(role.access_key_id, role.secret_access_key, role.session_token, region)
        return session.client(service, endpoint_url=self._endpoint_url, config=CONFIG)


def start(endpoint_url: str) -> Scheduler:
    """A scheduler at work beside the server that it calls."""
    scheduler = Scheduler(endpoint_url)
    threading.Thread(target=scheduler.run, daemon=True).start()
    return scheduler


def _schedules() -> Iterator[Any]:
    for regions in list(scheduler_backends.values()):
        for backend in list(regions.values()):
            for group in list(backend.schedule_groups.values()):
                yield from list(group.schedules.values())


def _time_of(schedule: Any) -> datetime | None:
    """When a one-time schedule is due; None for another."""
    at = ONE_TIME.fullmatch(schedule.schedule_expression)
    zone = ZoneInfo(schedule.schedule_expression_timezone)
    return datetime.fromisoformat(at[1]).replace(tzinfo=zone) if at else None


def _may_assume(schedule: Any, account: str) -> bool:
    """Whether the role trusts the service on behalf of this schedule; a condition not known here is an error."""
    role = iam_backends[account]["aws"].get_role_by_arn(schedule.target["RoleArn"])
    group = f"{schedule.arn.rpartition(':')[0]}:schedule-group/{schedule.group_name}"
    context = {"aws:SourceAccount": account, "aws:SourceArn": group}
    return any(_trusts(statement, context) for statement in json.loads(role.assume_role_policy_document)["Statement"])


def _trusts(statement: dict[str, Any], context: dict[str, str]) -> bool:
    conditions = dict(statement.get("Condition", {}))
    wished = conditions.pop("StringEquals", {})
    if conditions:
        raise NotImplementedError(f"the double's scheduler does not evaluate {', '.join(conditions)}")
    is_for_service = SERVICE in _listed(statement["Principal"].get("Service", []))
    return is_for_service and all(context.get(key) in _listed(values) for key, values in wished.items())


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
