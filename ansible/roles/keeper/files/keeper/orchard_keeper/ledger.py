"""What a stretch of the cluster's life came to: hours and money by part, as the bucket's ledger keeps it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

VERSION = 1
HOUR = 3600.0


@dataclass(frozen=True)
class Rates:
    """Prices in `currency`: an hour of each host, of one host's disk, of one public address; a thousand requests.

    As the laptop tells them (scripts/money/prices.py): the workers' are None where their type has no known price.
    """

    master_per_hour: float
    worker_per_hour: float | None
    worker_on_demand_per_hour: float | None
    disk_per_hour: float
    address_per_hour: float
    s3_put_per_1000: float
    s3_get_per_1000: float
    currency: str
    source: str = ""


@dataclass(frozen=True)
class Machine:
    """An instance of the cluster as AWS describes it."""

    id: str
    name: str
    type: str
    is_spot: bool
    is_master: bool
    has_address: bool
    launched_at: float


@dataclass
class Account:
    """Hours and money so far. `accounted_to` is the moment up to which they are reckoned; 0 where nothing is yet.

    `hosts` are seconds by instance id beside what the instance is; `usd` is by part, in the rates' currency,
    `lasting_disks` how many disks a stop leaves, `unpriced` the seconds of hosts, disks and addresses that wait for a
    price.
    """

    accounted_to: float = 0.0
    work_seconds: float = 0.0
    idle_seconds: float = 0.0
    usd: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("work", "idle", "disks", "addresses"), 0.0))
    spot_saved: float = 0.0
    requests: dict[str, int] = field(default_factory=lambda: {"put": 0, "get": 0})
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    lasting_disks: int = 0
    unpriced: dict[str, float] = field(default_factory=dict)
    rates: Rates | None = None

    @classmethod
    def parsed(cls, stored: dict[str, Any]) -> "Account":
        """As `dataclasses.asdict` wrote it."""
        rates = stored.pop("rates")
        return cls(**stored, rates=Rates(**rates) if rates else None)

    def add(self, now: float, machines: list[Machine], is_busy: bool, began_at: float) -> None:
        """Reckon the time since the last call at these machines' prices, of each since its launch at the earliest.

        The first time is since the stretch began: what ran before the master did is in the ledger of then.
        """
        since = self.accounted_to or began_at
        self.accounted_to = now
        if is_busy:
            self.work_seconds += max(0.0, now - since)
        else:
            self.idle_seconds += max(0.0, now - since)
        # A spot host's disk goes with it, and so has the disk of a host that is no more.
        if machines:
            self.lasting_disks = sum(not machine.is_spot for machine in machines)
        for machine in machines:
            seconds = max(0.0, now - max(since, machine.launched_at))
            host = self.hosts.setdefault(
                machine.id, {"name": machine.name, "type": machine.type, "spot": machine.is_spot, "seconds": 0.0}
            )
            host["seconds"] += seconds
            self._wait_for_price(seconds, machine, "work" if is_busy else "idle")
        if self.rates:
            self._price(self.rates)

    def _wait_for_price(self, seconds: float, machine: Machine, part: str) -> None:
        kinds = [f"{part} {'master' if machine.is_master else 'worker'}", "disks"]
        kinds += ["addresses"] if machine.has_address else []
        kinds += ["spot"] if machine.is_spot else []
        for kind in kinds:
            self.unpriced[kind] = self.unpriced.get(kind, 0.0) + seconds

    def _price(self, rates: Rates) -> None:
        """Price what has none yet: what went on before the laptop told of prices goes by the first ones."""
        hours = {kind: seconds / HOUR for kind, seconds in self.unpriced.items()}
        self.unpriced.clear()
        worker = rates.worker_per_hour or 0.0
        for part in ("work", "idle"):
            self.usd[part] += hours.get(f"{part} master", 0.0) * rates.master_per_hour
            self.usd[part] += hours.get(f"{part} worker", 0.0) * worker
        self.usd["disks"] += hours.get("disks", 0.0) * rates.disk_per_hour
        self.usd["addresses"] += hours.get("addresses", 0.0) * rates.address_per_hour
        self.spot_saved += hours.get("spot", 0.0) * ((rates.worker_on_demand_per_hour or worker) - worker)

    @property
    def requests_usd(self) -> float:
        """What the requests to S3 cost that are known of: a GET for each picture, the keeper's own PUTs."""
        if self.rates is None:
            return 0.0
        put, get = self.rates.s3_put_per_1000, self.rates.s3_get_per_1000
        return (self.requests["put"] * put + self.requests["get"] * get) / 1000

    @property
    def total(self) -> float | None:
        """All of it so far; None where no price is known."""
        return None if self.rates is None else sum(self.usd.values()) + self.requests_usd


@dataclass(frozen=True)
class Whose:
    """Whose ledger: the cluster's name and region."""

    cluster: str
    region: str


def key(cluster: str, started_at: float) -> str:
    """Where a stretch lies in the bucket: by its beginning, so that it is one object from beginning to end."""
    return f"ledger/{cluster}/{datetime.fromtimestamp(started_at, UTC):%Y%m%dT%H%M%SZ}.json"


def entry(whose: Whose, account: Account, started_at: float, seen_at: float, why: str = "") -> dict[str, Any]:
    """The stretch as the ledger keeps it; it has ended where there is a reason why."""
    rates = account.rates
    usd = None if rates is None else {**account.usd, "requests": account.requests_usd}
    disks = None if rates is None else rates.disk_per_hour * account.lasting_disks
    return {
        "version": VERSION,
        "cluster": whose.cluster,
        "region": whose.region,
        "started_at": _iso(started_at),
        "seen_at": _iso(seen_at),
        "ended_at": _iso(seen_at) if why else None,
        "why": why or None,
        "hosts": [
            {"id": id_, **{name: host[name] for name in ("name", "type", "spot")}, "hours": host["seconds"] / HOUR}
            for id_, host in account.hosts.items()
        ],
        "hours": {"work": account.work_seconds / HOUR, "idle": account.idle_seconds / HOUR},
        "currency": rates and rates.currency,
        "usd": usd,
        "spot_saved_usd": None if rates is None else account.spot_saved,
        "disks_per_hour": disks,
        "runs": [{"run_id": run_id, **run} for run_id, run in account.runs.items()],
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
