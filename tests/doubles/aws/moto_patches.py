"""Mends of moto 5.2: each makes the double answer as EC2, S3 and IAM do where moto does not yet.

`apply()` is called once, in the server's process, before the first request.
"""

from collections.abc import Callable
from contextvars import ContextVar
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any

from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance, StateReason
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses.instances import InstanceResponse
from moto.iam import access_control
from moto.iam.responses import IamResponse

from tests.doubles.aws import answers, lateness
from tests.doubles.aws.paths import KEEPER

_request: ContextVar[Any] = ContextVar("request under authorization", default=None)


def apply() -> None:
    """Put every mend in place."""
    _report_security_groups_of_the_first_interface()
    _delete_interfaces_with_their_instance()
    launch_anew_at_each_start()
    _change_shutdown_behaviour_without_wiping_security_groups()
    show_instances_whole()
    _describe_rules_between_groups()
    _evaluate_policy_conditions()
    _leave_signatures_of_the_scheduler_unread()
    _list_no_service_specific_credentials()
    refuse_to_stop_what_cannot_be_stopped()
    refuse_a_lane_to_disks_that_a_type_has_not()
    answers.apply()
    # Last: it puts off what the mends above have made of an instance's end.
    lateness.apply()


def reclaim(instance_id: str) -> None:
    """Take a spot instance away as AWS does when it wants it back."""
    for instance in _instances_everywhere(instance_id):
        instance.terminate()
        instance.state_reason = StateReason(
            "Server.SpotInstanceTermination: Spot instance termination", "Server.SpotInstanceTermination"
        )


def zone_of(subnet_id: str) -> str:
    """The availability zone of a subnet, empty where there is none of this name."""
    found = (subnets.get(subnet_id) for backend in _backends() for subnets in backend.subnets.values())
    return next((str(subnet.availability_zone) for subnet in found if subnet), "")


def _instances_everywhere(instance_id: str) -> list[Instance]:
    return [instance for backend in _backends() for instance in backend.all_instances() if instance.id == instance_id]


def _backends() -> list[Any]:
    return [backend for account in ec2_backends.values() for backend in account.values()]


def _report_security_groups_of_the_first_interface() -> None:
    """Launched with a public address asked for, moto's instance reports no security group: a false drift."""
    original = Instance.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if not self.security_groups and self.nics:
            self.security_groups = list(self.nics[0].group_set)

    Instance.__init__ = init


def launch_anew_at_each_start() -> None:
    """In EC2 the launch time is that of the last start; in moto it is the first one's for ever."""
    original = Instance.start

    def start(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._state.name == "stopped":
            self.launch_time = utcnow()
        return original(self, *args, **kwargs)

    Instance.start = start


def _delete_interfaces_with_their_instance() -> None:
    """moto's primary interface outlives its instance, so that its security group and subnet cannot be deleted."""
    original = Instance.terminate

    def terminate(self: Any, *args: Any, **kwargs: Any) -> Any:
        previous_state = original(self, *args, **kwargs)
        for interface in self.nics.values():
            self.ec2_backend.enis.pop(interface.id, None)
        return previous_state

    Instance.terminate = terminate


def _change_shutdown_behaviour_without_wiping_security_groups() -> None:
    """moto takes this ModifyInstanceAttribute call for a new, empty list of security groups."""
    original = InstanceResponse._security_grp_instance_attribute_handler

    def handler(self: Any) -> bool:
        behaviour = self._get_param("InstanceInitiatedShutdownBehavior.Value")
        if behaviour is None:
            return original(self) if self._get_param("Groups") else True
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        instance.instance_initiated_shutdown_behavior = behaviour
        return True

    InstanceResponse._security_grp_instance_attribute_handler = handler


def show_instances_whole() -> None:
    """moto shows an instance as running before its launch has given it its profile, its disks and its lifecycle."""
    lock = Lock()

    def one_at_a_time(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def call(self: Any) -> Any:
            with lock:
                return original(self)

        return call

    for name in ("run_instances", "describe_instances"):
        setattr(InstanceResponse, name, one_at_a_time(getattr(InstanceResponse, name)))


def refuse_to_stop_what_cannot_be_stopped() -> None:
    """moto stops an instance that is terminated, and a one-time spot one; EC2 refuses the whole request for it."""
    stop = InstanceResponse.stop_instances

    def stop_instances(self: Any) -> Any:
        # Whoever keeps the hosts does not ask, but tells what has happened.
        if KEEPER not in self.headers.get("Authorization", ""):
            for instance in self.ec2_backend.get_multi_instances_by_id(self._get_param("InstanceIds", [])):
                _refuse_to_stop(instance)
        return stop(self)

    InstanceResponse.stop_instances = stop_instances


def refuse_a_lane_to_disks_that_a_type_has_not() -> None:
    """moto starts whatever is asked to be EBS-optimized; EC2 refuses the types that cannot be."""
    run = InstanceResponse.run_instances

    def run_instances(self: Any) -> Any:
        wished = self._get_param("InstanceType")
        if str(self._get_param("EbsOptimized")).lower() == "true":
            [kind] = self.ec2_backend.describe_instance_types([wished])
            if kind["EbsInfo"]["EbsOptimizedSupport"] == "unsupported":
                message = "The requested configuration is currently not supported. Please check the documentation."
                raise EC2ClientError("Unsupported", message)
        return run(self)

    InstanceResponse.run_instances = run_instances


def _refuse_to_stop(instance: Instance) -> None:
    if instance._state.name in ("shutting-down", "terminated"):
        message = f"This instance '{instance.id}' is not in a state from which it can be stopped."
        raise EC2ClientError("IncorrectInstanceState", message)
    if instance.lifecycle == "spot":
        message = f"You can't stop the Spot Instance '{instance.id}' of a one-time Spot Instance request."
        raise EC2ClientError("UnsupportedOperation", message)


def _describe_rules_between_groups() -> None:
    """moto keeps the description of a rule that names a group with that group, and looks for it elsewhere."""
    description = SecurityGroupRule.description.fget
    SecurityGroupRule.description = property(
        lambda rule: description(rule) or (rule.source_group or {}).get("Description"),
    )


def _list_no_service_specific_credentials() -> None:
    """moto does not know this call, by which the provider empties a user that it may delete with all its keys."""

    def list_service_specific_credentials(self: Any) -> ActionResult:
        return ActionResult({"ServiceSpecificCredentials": []})

    IamResponse.list_service_specific_credentials = list_service_specific_credentials


def _evaluate_policy_conditions() -> None:
    """moto refuses by a conditional statement whatever its condition says, and knows no EC2 resource but `*`."""
    authorize = ActionAuthenticatorMixin._authenticate_and_authorize_action
    statement_says = access_control.IAMPolicyStatement.is_action_permitted

    def remember_request(self: Any, *args: Any, **kwargs: Any) -> None:
        token = _request.set(self)
        try:
            authorize(self, *args, **kwargs)
        finally:
            _request.reset(token)

    def is_action_permitted(self: Any, action: str, resource: str = "*", *args: Any) -> Any:
        # CloudWatch signs as `monitoring`, and its policies say `cloudwatch`.
        action = action.replace("monitoring:", "cloudwatch:", 1)
        instances = _instances_named(_request.get()) if action.startswith("ec2:") else []
        verdicts = [
            _verdict(self, statement_says, action, arn, tags, *args) for arn, tags in instances or [(resource, {})]
        ]
        # A call on several instances is allowed only when it is allowed on each.
        return next((v for v in verdicts if v is not access_control.PermissionResult.PERMITTED), verdicts[0])

    ActionAuthenticatorMixin._authenticate_and_authorize_action = remember_request
    access_control.IAMPolicyStatement.is_action_permitted = is_action_permitted


def _leave_signatures_of_the_scheduler_unread() -> None:
    """moto reckons another signature for its calls than boto3, and so refuses them whatever policies say."""
    check = access_control.IAMRequest.check_signature

    def check_signature(self: Any) -> None:
        if self._service != "scheduler":
            check(self)

    access_control.IAMRequest.check_signature = check_signature


def _verdict(statement: Any, statement_says: Any, action: str, arn: str, tags: dict[str, str], *args: Any) -> Any:
    conditions = statement._statement.get("Condition", {})
    if "sts:AssumeRole" in action or not conditions:
        return statement_says(statement, action, arn, *args)
    if not _conditions_hold(conditions, tags):
        return access_control.PermissionResult.NEUTRAL
    unconditional = {key: value for key, value in statement._statement.items() if key != "Condition"}
    return statement_says(access_control.IAMPolicyStatement(unconditional), action, arn, *args)


def _instances_named(request: Any) -> list[tuple[str, dict[str, str]]]:
    """ARN and tags of each instance the request under authorization is about."""
    if request is None or not hasattr(request, "ec2_backend"):
        return []
    backend = request.ec2_backend
    found = []
    for instance_id in request._get_param("InstanceIds") or []:
        tags = {tag["key"]: tag["value"] for tag in backend.describe_tags({"resource-id": [instance_id]})}
        found.append((f"arn:aws:ec2:{backend.region_name}:{backend.account_id}:instance/{instance_id}", tags))
    return found


def _conditions_hold(conditions: dict[str, dict[str, Any]], tags: dict[str, str]) -> bool:
    """Whether each key has a wished value. An operator the double does not know is an error, not a yes."""
    # The double stands for AWS's TLS endpoints, though it speaks plain HTTP.
    context = {"aws:SecureTransport": "true"} | {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    request = _request.get()
    if request is not None and request._get_param("Namespace"):
        context["cloudwatch:namespace"] = request._get_param("Namespace")
    for operator, wishes in conditions.items():
        if operator not in ("Bool", "StringEquals", "StringLike"):
            raise NotImplementedError(f"the double does not evaluate the condition operator {operator}")
        for key, wished in wishes.items():
            values = wished if isinstance(wished, list) else [wished]
            matches = fnmatchcase if operator == "StringLike" else str.__eq__
            if not any(matches(context.get(key, ""), str(value)) for value in values):
                return False
    return True
