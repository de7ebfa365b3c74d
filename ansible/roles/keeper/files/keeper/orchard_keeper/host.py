"""The master as the keeper reaches it: systemd, Spark's and Jupyter's pages, terminals, AWS."""

import logging
import re
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orchard_run
from orchard_keeper import own_host, published, work
from orchard_keeper.aws import Aws
from orchard_keeper.keeper import Look
from orchard_keeper.ledger import Machine
from orchard_keeper.work import Activity, Follower, RunProgress, Spark

RUN_ENDS_SECONDS = 150.0  # a unit's TimeoutStopSec is 120
PAUSE_SECONDS = 1.0
# What a worker says as it asks: its name, the last input at a terminal of it (seconds of the epoch, 0 for none), and
# whether its logs of this ending are saved.
ASKED = re.compile(r"/([a-z0-9-]{1,40})/([0-9]{1,12})(/saved)?")

log = logging.getLogger(__name__)
Facts = dict[str, Any]


class MasterHost:
    """What `keeper.Host` asks for."""

    def __init__(self, facts: Facts, aws: Aws) -> None:
        self._facts, self._aws = facts, aws
        self._follower = Follower()
        self._served = Served()
        self._workers_alive = 0

    def serve(self) -> None:
        """Answer the workers, on the cluster's own network alone."""
        address = self._facts["private_address"], self._facts["ports"]["keeper"]
        server = ThreadingHTTPServer(address, self._served.handler())
        threading.Thread(target=server.serve_forever, name="status", daemon=True).start()

    def boot(self) -> tuple[str, float]:
        return own_host.boot(time.time(), time.monotonic())

    def look(self, holds: dict[str, float], now: float) -> Look:
        facts = self._facts
        runs, spark = self._runs(), Spark()

        def look_at_spark() -> tuple[Activity, ...]:
            nonlocal spark
            spark = work.spark(facts, now)
            return spark.activities

        activities = [
            *work.of_holds(holds, now),
            *work.told("a run is under way", lambda: work.of_runs(orchard_run.runs(facts), now), now),
            *work.told("Spark has a task", look_at_spark, now),
            *work.told("a notebook computes", lambda: work.of_kernels(facts, now), now),
            *work.told("anybody is at a terminal", lambda: work.of_terminals(now), now),
            *self._served.inputs(now),
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

    def stop_runs(self) -> None:
        for run in orchard_run.runs(self._facts):
            if run["is_running"]:
                orchard_run.stop(self._facts, run["run_id"])
        until = time.monotonic() + RUN_ENDS_SECONDS
        while time.monotonic() < until and any(run["is_running"] for run in orchard_run.runs(self._facts)):
            time.sleep(PAUSE_SECONDS)

    def save_logs(self, prefix: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        own_host.save_logs(self._facts, prefix)
        while len(self._served.saved) < self._workers_alive and time.monotonic() < until:
            time.sleep(PAUSE_SECONDS)

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
        except Exception as error:  # the numbers wait for the next look
            log.warning("the runs are not seen: %s", error)
            return []
        return runs


class Served:
    """The status as workers ask for it, when there was input at their terminals, and which have saved their logs."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {}
        self.saved: set[str] = set()
        self._inputs: dict[str, int] = {}

    def inputs(self, now: float) -> list[Activity]:
        """Input at the workers' terminals."""
        found = self._inputs.copy().items()
        return [Activity(f"input at a terminal of {name}", min(at, now)) for name, at in found if at]

    def hear(self, path: str) -> None:
        """Take in what a worker says of itself as it asks."""
        if found := ASKED.fullmatch(path):
            self._inputs[found[1]] = int(found[2])
            if found[3]:
                self.saved.add(found[1])

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Answers GET with the status, whatever is asked."""
        served = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                served.hear(self.path)
                body = published.text(served.status).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Each worker asks every few seconds."""

        return Handler


def _of_ledger(run: dict[str, Any], progress: RunProgress) -> dict[str, Any]:
    """A run as the ledger keeps it."""
    began, ended = (
        run[name] and datetime.fromtimestamp(run[name], UTC).isoformat() for name in ("began_at", "ended_at")
    )
    return {"began_at": began, "ended_at": ended, "code": run["code"], "pictures": progress.done or None}
