"""A payment gateway in a process of its own: a ledger on disk, and plain requests over a Unix socket.

It is idempotent by reference for ever, loses answers, delays them, declines, waits for customers and for banks. What
happens to a payment follows from its reference, so that a run can be repeated.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
from tests.kills.ledger import Ledger
from tests.kills.processes import ENVIRONMENT, ROOT

from subscription_lifecycle.model.money import Money
from subscription_lifecycle.model.payment import (
    CaptureRequest,
    PaymentOutcome,
    Refunded,
)
from subscription_lifecycle.ports import LedgerLine

# -- the client, which is the port


class Gateway:
    """PaymentGateway, VoidingGateway and ListingGateway over the socket. Each call is a connection of its own."""

    idempotency_window: timedelta | None = None

    def __init__(self, path: str, clock: Callable[[], datetime] = lambda: datetime(2024, 1, 1, tzinfo=UTC)) -> None:
        self._path, self._clock = path, clock

    def capture(self, request: CaptureRequest, /) -> PaymentOutcome:
        return self.ask("capture", request, self._clock())

    def find(self, reference: str, /) -> PaymentOutcome | None:
        return self.ask("find", reference)

    def refund(self, reference: str, amount: Money, /) -> Refunded:
        return self.ask("refund", reference, amount)

    def void(self, reference: str, /) -> bool:
        return bool(self.ask("void", reference))

    def payments(self, since: datetime, /) -> list[LedgerLine]:
        return self.ask("payments", since)

    # -- what a test says to it

    def pending(self) -> list[str]:
        return list(self.ask("pending"))

    def captured(self) -> list[str]:
        """The latest."""
        return list(self.ask("captured"))

    def settle(self, reference: str, outcome: PaymentOutcome) -> PaymentOutcome:
        """A bank decides; answers how the payment stands."""
        return self.ask("settle", reference, outcome)

    def decided(self) -> list[tuple[str, PaymentOutcome]]:
        """What banks decided after the payment was asked for: webhooks are sent until they have come."""
        return list(self.ask("decided"))

    def next(self, outcome: PaymentOutcome) -> None:
        """How the next new payment ends."""
        self.ask("next", outcome)

    def calm(self) -> None:
        """No more faults."""
        self.ask("calm")

    def drained(self) -> None:
        """When it returns, every request that was sent has been dealt with."""
        self.ask("drained")

    def ask(self, method: str, *arguments: Any) -> Any:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._path)
            connection.sendall(pickle.dumps((method, arguments)))
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answers:
                answer = answers.read()
        if not answer:
            raise TimeoutError("the gateway did not answer")
        found = pickle.loads(answer)
        if isinstance(found, Exception):
            raise found
        return found


# -- the server


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    request_queue_size = 128
    daemon_threads = True
    open = 0

    def __init__(self, path: str, ledger: Ledger) -> None:
        self.ledger = ledger
        self.changed = threading.Condition()
        super().__init__(path, _Request)


class _Request(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        asked = self.rfile.read()
        with contextlib.suppress(pickle.UnpicklingError, EOFError, BrokenPipeError):
            # Whoever was killed while asking has asked nothing.
            method, arguments = pickle.loads(asked)
            answer = self._drained() if method == "drained" else self._answer(method, arguments)
            if answer is not None:
                self.wfile.write(answer)

    def _answer(self, method: str, arguments: tuple[Any, ...]) -> bytes | None:
        server = self.server
        with server.changed:
            server.open += 1
        try:
            answer: bytes | None = server.ledger.dealt(method, arguments)
            return answer
        except Exception as error:
            return pickle.dumps(RuntimeError(str(error)))
        finally:
            with server.changed:
                server.open -= 1
                server.changed.notify_all()

    def _drained(self) -> bytes:
        with self.server.changed:
            self.server.changed.wait_for(lambda: self.server.open == 0)
        return pickle.dumps(None)


def _until_alone(server: _Server) -> None:
    sys.stdin.read()
    server.shutdown()


def main(path: str, ledger: str, options: str) -> None:
    with _Server(path, Ledger(ledger, **json.loads(options))) as server:
        print("ready", flush=True)
        # It ends with whoever holds the other end of its standard input.
        threading.Thread(target=_until_alone, args=(server,), daemon=True).start()
        server.serve_forever(poll_interval=0.05)


@attrs.frozen
class Running:
    """A gateway process and where its ledger is."""

    socket: str
    ledger: Path


@contextlib.contextmanager
def running(
    folder: Path, *, seed: int = 1, faults: bool = True, forgets: bool = False, slow: float = 0
) -> Iterator[Running]:
    """A gateway of its own. `slow`: the seconds that each answer takes, without faults.

    `forgets`: asked again for a payment, it takes the money again; who asks must look it up first.
    """
    # The path of a socket must be short.
    place = tempfile.mkdtemp(prefix="gateway-")
    found = Running(f"{place}/socket", folder / "ledger.sqlite")
    options = json.dumps({"seed": seed, "faults": faults, "forgets": forgets, "slow": slow})
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kills.gateway", found.socket, str(found.ledger), options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=ENVIRONMENT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield found
    finally:
        process.communicate()
        shutil.rmtree(place)


if __name__ == "__main__":
    main(*sys.argv[1:])
