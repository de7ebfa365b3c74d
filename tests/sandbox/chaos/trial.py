"""One run under its blows: struck at their parts, taken back, and gone on with as a person would."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.sandbox.chaos.hands import Hands, Typed
from tests.sandbox.chaos.schedule import Blow
from tests.sandbox.faults.catalogue import Faults
from tests.sandbox.machine import SandboxError

PAUSE = 0.5  # seconds between two looks
STUCK = 600  # seconds without a part, a blow or an end
MOST_TRIES = 5
UNDER_WAY = 8  # what `fab run` says beside a run
Say = Callable[[str], None]


@dataclass
class Struck:
    """A blow that has fallen: when, how much was written then, and the seconds until the next part was."""

    blow: Blow
    at: float
    written: int
    recovered: float | None = None
    is_over: bool = False


@dataclass
class Trial:
    """A run by its name, and what it is to endure. `words` are `fab run`'s own beside its name.

    `missed` has a sentence for each blow that did not fall: a run that was not struck has proved nothing.
    """

    hands: Hands
    run: str
    words: Sequence[str]
    blows: Sequence[Blow]
    say: Say = print
    struck: list[Struck] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def endure(self) -> list[Struck]:
        """Let it run to its end; gives the blows that fell. Raises SandboxError where it comes to none."""
        self._faults, self._todo = Faults(self.hands.cloud), list(self.blows)
        self._last = time.monotonic()
        with ExitStack() as stack, ExitStack() as self._gates:
            stack.callback(self._faults.clear)
            self._arm(written=0)
            self._go_on_until_complete()
        for blow in self._todo:
            self._miss(f"{blow}: never reached.")
        for struck in self.struck:
            self.say(f"  {struck.blow}: the next part after {struck.recovered or 0:.0f} s")
        return self.struck

    def _go_on_until_complete(self) -> None:
        words = ["run", f"--run={self.run}", *self.words]
        for _ in range(MOST_TRIES):
            code = self._watch(self.hands.type(*words))
            if code == 0:
                return
            self._take_back()
            if code == UNDER_WAY:
                words = ["follow", f"--run={self.run}"]
                continue
            self.say(f"  {self.run} ended with exit code {code} and is gone on with")
            self.hands.mend()
            words = ["run", f"--run={self.run}"]
        raise SandboxError(f"{self.run} was not complete after {MOST_TRIES} tries: {self.hands.log} says why.")

    def _watch(self, typed: Typed) -> int:
        """See the command to its end, striking on its way; its exit code."""
        try:
            while (code := typed.poll()) is None:
                self._look()
                if time.monotonic() - self._last > STUCK:
                    raise SandboxError(f"{self.run} came to no end: {self.hands.log} says how far it came.")
                time.sleep(PAUSE)
        finally:
            if typed.poll() is None:
                typed.kill()
                typed.wait()
        self._look()
        return int(code)

    def _look(self) -> None:
        now, written = time.monotonic(), len(self.hands.written(self.run))
        for struck in self.struck:
            if struck.recovered is None and written > struck.written:
                struck.recovered, self._last = now - struck.at, now
        if self.struck and not self.struck[-1].is_over and now - self.struck[-1].at > self.struck[-1].blow.seconds:
            self._take_back()
        if self._waiting():
            self._strike()

    def _strike(self) -> None:
        """While nothing more is written; the next one waits for its part from here on."""
        self._take_back()
        written = len(self.hands.written(self.run))
        blow = self._todo.pop(0)
        self._last = time.monotonic()
        try:
            self._faults.strike(*blow.words)
            self.struck.append(Struck(blow, self._last, written))
        except SandboxError as error:
            self._miss(f"{blow}: not struck, {error}")
        self._gates.close()
        # So many have passed the gate, the last of them on its way perhaps; what waited there asks again.
        self._arm(max(written, blow.part))

    def _miss(self, sentence: str) -> None:
        self.missed.append(sentence)
        self.say(f"  {sentence}")

    def _take_back(self) -> None:
        if self.struck and not self.struck[-1].is_over:
            self._faults.clear()
            self.struck[-1].is_over = True

    def _arm(self, written: int) -> None:
        if self._todo:
            gate = self.hands.gate(self.run, max(0, self._todo[0].part - written))
            self._waiting = self._gates.enter_context(gate)
        else:
            self._waiting = lambda: 0
