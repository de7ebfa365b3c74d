"""When a cluster ends: by idleness, by age, put off by `keep`. Times are seconds of the epoch."""

from dataclasses import dataclass
from datetime import UTC, datetime

IDLE, AGE = "idle", "age"
NOTICE_SECONDS = 600.0
# Before AWS itself stops the hosts: a run is ended kindly and logs are saved by then.
AHEAD_OF_AWS_SECONDS = 900.0


@dataclass(frozen=True)
class Limits:
    """How long a cluster may be idle (minutes) and how old it may get (hours); 0 is for ever."""

    idle_minutes: float
    max_age_hours: float


@dataclass(frozen=True)
class Times:
    """What the ends are reckoned from: the last sign of work, the last `up`, `start` or `keep`.

    `booted_at` is that of the boot, or of the keeper's first look after a long break: before, nobody could be told.
    `kept_until` is 0 where nobody put the ends off; `aws_stops_at` is when AWS stops the hosts, None for never.
    """

    busy_at: float
    age_from: float
    booted_at: float
    kept_until: float = 0.0
    aws_stops_at: float | None = None


@dataclass(frozen=True)
class End:
    """An end to come: when, of which kind, why in words, and how many seconds before it is announced."""

    at: float
    kind: str
    why: str
    notice: float

    def is_announced_by(self, now: float) -> bool:
        """Whether people are to know of it now."""
        return now >= self.at - self.notice


def age_end(times: Times, limits: Limits) -> float | None:
    """When the cluster's time is up, whatever is at work."""
    end = _age(times, limits)
    return end.at if end else None


def next_end(times: Times, limits: Limits) -> End | None:
    """The first end that is to come, None where nothing ends the cluster."""
    ends = [end for end in (_idle(times, limits), _age(times, limits)) if end]
    return min(ends, key=lambda end: end.at, default=None)


def _idle(times: Times, limits: Limits) -> End | None:
    if not limits.idle_minutes:
        return None
    seconds = limits.idle_minutes * 60
    notice = _notice(seconds)
    # Nobody could have seen the announcement of an end that was due while the host was down.
    at = max(times.busy_at + seconds, times.kept_until, times.booted_at + notice)
    return End(at, IDLE, f"nothing at work since {clock(times.busy_at)}", notice)


def _age(times: Times, limits: Limits) -> End | None:
    if not limits.max_age_hours:
        return None
    seconds = limits.max_age_hours * 3600
    notice = _notice(seconds)
    at = max(times.age_from + seconds, times.kept_until)
    if times.aws_stops_at is not None and times.aws_stops_at > times.age_from:
        at = min(at, times.aws_stops_at - AHEAD_OF_AWS_SECONDS)
    return End(max(at, times.booted_at + notice), AGE, f"its {limits.max_age_hours:g} hours are over", notice)


def _notice(limit_seconds: float) -> float:
    """How long before an end it is announced: of a short limit, the second half."""
    return min(NOTICE_SECONDS, limit_seconds / 2)


def clock(at: float) -> str:
    """A moment for people on hosts and laptops anywhere."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M UTC")
