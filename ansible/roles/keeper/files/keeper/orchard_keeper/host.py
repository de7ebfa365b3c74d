"""The master as the keeper reaches it: systemd, Spark's and Jupyter's pages, terminals, AWS."""

import logging
import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import orchard_run
from orchard_keeper import own_host, published, work
from orchard_keeper.aws import Aws
from orchard_keeper.ends import clock
from orchard_keeper.keeper import Look
from orchard_keeper.ledger import Machine
from orchard_keeper.work import Activity, Follower, RunProgress, Spark

RUN_ENDS_SECONDS = 150.0  # a unit's TimeoutStopSec is 120
# What a worker says as it asks: its name, the last input at a terminal of it (seconds of the epoch, 0 for none), and
# whether its logs of this ending are saved.
ASKED = re.compile(r"/(worker-[0-9]{1,3})/([0-9]{1,12})(/saved)?")
# What a worker's watch says: AWS takes it back, may do so soon, does not after all; with AWS's time, of the epoch.
NOTICED = re.compile(r"/(worker-[0-9]{1,3})/(leaving|rebalance|staying)/([0-9]{1,12})")
# How long after its last word a notice is told: of a host that is gone, no further word comes.
NOTICE_KEPT_SECONDS = 3600.0
# Whoever is on the cluster's network may say it: another time than one near is none.
NEAR_SECONDS = 86_400.0
# A request is one line; who takes longer than that, or comes when so many are being answered, is cut off.
LINE_BYTES, ANSWER_SECONDS, AT_ONCE = 1024, 10.0, 32

log = logging.getLogger(__name__)
Facts = dict[str, Any]


class MasterHost:
    """What `keeper.Host` asks for."""

    def __init__(self, facts: Facts, aws: Aws) -> None:
        self._facts, self._aws = facts, aws
        self._follower = Follower()
        self._served = Served()
        self._workers_alive = 0
        self._spark = Spark()
        self._is_serving = False

    def serve(self) -> None:
        """Answer the workers, on the cluster's own network alone; where the port is taken, the next look tries anew."""
        if not self._is_serving:
            address = self._facts["private_address"], self._facts["ports"]["keeper"]
            server = BoundedServer(address, self._served.handler())
            threading.Thread(target=server.serve_forever, name="status", daemon=True).start()
            self._is_serving = True

    def boot(self) -> tuple[str, float]:
        return own_host.boot(time.time(), time.monotonic())

    def look(self, holds: dict[str, float], now: float) -> Look:
        facts = self._facts
        runs, spark = self._runs(), Spark()

        def look_at_spark() -> tuple[Activity, ...]:
            nonlocal spark
            spark = self._spark = work.spark(facts, now, self._spark)
            return spark.activities

        activities = [
            *work.of_holds(holds, now),
            *work.told("a run is under way", lambda: work.of_runs(orchard_run.runs(facts), now), now),
            *work.told("Spark has a task", look_at_spark, now),
            *work.told("a notebook computes", lambda: work.of_kernels(facts, now), now),
            *work.told("anybody is at a terminal", work.of_terminals, now),
            *self._served.inputs(),
        ]
        self._workers_alive = spark.workers_alive
        going = [self._follower.latest(run["run_id"]) for run in runs if run["is_running"]]
        return Look(
            tuple(activities),
            workers_alive=spark.workers_alive,
            cores=spark.cores,
            tasks=spark.tasks,
            progress=going[-1] if going else RunProgress(),
            runs={run["run_id"]: _of_ledger(run, self._follower.latest(run["run_id"])) for run in runs},
            free_disk_gb=own_host.free_disk_gb(facts["paths"]["state"]),
            notices=tuple(self._served.notices(now)),
        )

    def machines(self) -> list[Machine]:
        return self._aws.machines()

    def tell_terminals(self, sentence: str) -> None:
        own_host.tell_terminals(sentence)

    def publish_status(self, status: dict[str, Any]) -> None:
        if status["logs"] != self._served.status.get("logs"):
            self._served.saved.clear()  # another ending
        self._served.status = status
        published.write(Path(self._facts["paths"]["keeper_status"]), status)
        self.serve()

    def stop_runs(self) -> None:
        for run in orchard_run.runs(self._facts):
            if run["is_running"]:
                orchard_run.stop(self._facts, run["run_id"])
        orchard_run.wait_until(lambda: not self.is_run_under_way(), RUN_ENDS_SECONDS)

    def save_logs(self, prefix: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        own_host.save_logs(self._facts, prefix)
        orchard_run.wait_until(
            lambda: len(self._served.saved) >= self._workers_alive, max(0.0, until - time.monotonic())
        )

    def is_run_under_way(self) -> bool:
        return any(run["is_running"] for run in orchard_run.runs(self._facts))

    def end(self, machines: list[Machine]) -> list[str]:
        return self._aws.end(machines)

    def power_off(self) -> None:
        own_host.power_off()

    def put(self, key: str, content: dict[str, Any]) -> None:
        self._aws.put(key, content)

    def publish_metrics(self, values: dict[str, tuple[float, str]]) -> None:
        if self._facts["cloudwatch"]:
            self._aws.publish(values)

    def _runs(self) -> list[dict[str, Any]]:
        """The runs that systemd knows, what they printed taken in; none where that cannot be seen."""
        try:
            runs = orchard_run.runs(self._facts)
            for run in runs:
                self._follower.follow(self._facts, run)
        except Exception as error:  # whatever it is: these are numbers alone, and wait for the next look
            log.warning("the runs are not seen: %s", error)
            return []
        return runs


@dataclass(frozen=True)
class Notice:
    """AWS takes a worker back, or may (`rebalance`): the time that it gives, and when that was heard last."""

    kind: str
    at: float
    heard_at: float

    def sentence(self, host: str, now: float) -> str:
        """For whoever follows a run or asks for the status."""
        if self.kind == "rebalance":
            return f"AWS may take {host} back soon (spot, told at {clock(self.at)}): it works until AWS says when."
        if now >= self.at:
            return f"AWS took {host} back at {clock(self.at)} (spot)."
        return f"AWS takes {host} back at {clock(self.at)} (spot): it finishes its tasks, and the others do the rest."


class Served:
    """The status as workers ask for it, and what they say as they ask.

    That is when there was input at their terminals, which have saved their logs, and which of them AWS takes back.
    """

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.saved: set[str] = set()
        self._inputs: dict[str, int] = {}
        self._notices: dict[str, Notice] = {}

    def inputs(self) -> list[Activity]:
        """Input at the workers' terminals."""
        return [Activity(f"input at a terminal of {name}", at) for name, at in self._inputs.copy().items() if at]

    def notices(self, now: float) -> list[str]:
        """A sentence on each worker that AWS takes back, or did within the hour; the next host of its name ends it."""
        told = sorted(self._notices.copy().items())
        return [each.sentence(host, now) for host, each in told if now - each.heard_at <= NOTICE_KEPT_SECONDS]

    def hear(self, path: str, now: float) -> None:
        """Take in what a worker says of itself as it asks."""
        if noticed := NOTICED.fullmatch(path):
            self._notice(noticed[1], noticed[2], float(noticed[3]), now)
        if found := ASKED.fullmatch(path):
            self._inputs[found[1]] = int(found[2])
            if found[3]:
                self.saved.add(found[1])

    def _notice(self, host: str, kind: str, at: float, now: float) -> None:
        if kind == "staying":
            self._notices.pop(host, None)
            return
        self._notices[host] = Notice(kind, at if abs(at - now) <= NEAR_SECONDS else now, now)

    def handler(self) -> type[StreamRequestHandler]:
        """Answers with the status, whatever is asked; of the request its first line is read and nothing else."""
        served = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                _, _, rest = self.rfile.readline(LINE_BYTES).decode(errors="replace").partition(" ")
                served.hear(rest.partition(" ")[0], time.time())
                body = published.text(served.status).encode()
                head = f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write(head.encode() + body)

        return Handler


class BoundedServer(ThreadingTCPServer):
    """Answers few at once, and nobody for long: whoever is on the cluster's network may ask."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or not at all."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, within ANSWER_SECONDS."""
        watch = threading.Timer(ANSWER_SECONDS, orchard_run.cut, [request])
        watch.daemon = True
        watch.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            watch.cancel()
            self._free.release()

    def handle_error(self, *_: object) -> None:
        """Somebody has gone away."""


def _of_ledger(run: dict[str, Any], progress: RunProgress) -> dict[str, Any]:
    """A run as the ledger keeps it."""
    began, ended = (
        run[name] and datetime.fromtimestamp(run[name], UTC).isoformat() for name in ("began_at", "ended_at")
    )
    return {"began_at": began, "ended_at": ended, "code": run["code"], "pictures": progress.done or None}
