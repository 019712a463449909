"""A Stripe to test against: localstripe in a process of its own, behind a proxy that adds what it lacks.

The proxy keeps idempotency as Stripe documents it: the same key answers as the first time, errors of the server
included, and says so in a header; other parameters are an error, a key in use a conflict; keys are forgotten a day
later by a clock that tests move. Faults are planted there: answers lost after they were given, requests that never
arrive, server errors before and after the work, rate limits, requests that are held.

What localstripe has not: off_session, return_url and description of an intent, amount_received, a list by `created`,
the type of card errors. The proxy makes these up. Disputes, decline codes, authentication_required, failing refunds and
everything else that it has not are taught, answer by answer (`teach`), with payloads as Stripe documents them.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import queue
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
import stripe

SECRET = "whsec_test"
DAY = 24 * 3600.0

LOCALSTRIPE = """
import os, socket, sys, threading
from aiohttp import web
from localstripe.server import app
from localstripe.resources import store
store.dump_to_disk = lambda: None
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
# It ends with its parent, however that one ends.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
web.run_app(app, sock=listening, print=None, access_log=None)
"""

Fault = Literal["never arrives", "answer lost", "error", "error after", "rate limit"]
Reply = tuple[int, dict[str, Any]]


@attrs.frozen
class Request:
    method: str
    path: str
    parameters: dict[str, str]
    key: str | None


@attrs.define
class _Kept:
    """What is remembered under an idempotency key; no reply while it is in use."""

    path: str
    parameters: dict[str, str]
    at: float
    reply: Reply | None = None


@attrs.define
class Hold:
    """A request that waits at the door, or its answer does: `arrived` says so, `go` lets it through."""

    pattern: str
    answer: bool
    arrived: threading.Event = attrs.field(factory=threading.Event)
    go: threading.Event = attrs.field(factory=threading.Event)

    def wait(self) -> None:
        self.arrived.set()
        assert self.go.wait(20), "nobody let it through"


class StripeServer:
    """Started once, `reset` for every test."""

    def __init__(self) -> None:
        self._localstripe = subprocess.Popen(
            [sys.executable, "-c", LOCALSTRIPE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._localstripe.stdout is not None
        self._port = int(self._localstripe.stdout.readline())
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.stripe = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self._clear()

    def _clear(self) -> None:
        self.now = 0.0
        self.page: int | None = None
        self.requests: list[Request] = []
        self.hooks: queue.Queue[tuple[bytes, str]] = queue.Queue()
        self._kept: dict[str, _Kept] = {}
        self._faults: list[tuple[str, Fault]] = []
        self._holds: list[Hold] = []
        self._taught: list[tuple[str, Reply, bool]] = []

    def reset(self) -> None:
        self._clear()
        self._forward("DELETE", "/_config/data", {})

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._localstripe.terminate()
        self._localstripe.wait()
        assert self._localstripe.stdin is not None
        assert self._localstripe.stdout is not None
        self._localstripe.stdin.close()
        self._localstripe.stdout.close()

    # -- told by a test

    def client(self) -> stripe.StripeClient:
        return stripe.StripeClient("sk_test_12345", base_addresses={"api": self.url}, max_network_retries=0)

    def advance(self, *, hours: float) -> None:
        self.now += hours * 3600

    def plant(self, pattern: str, fault: Fault) -> None:
        """The next request whose "METHOD /path" matches meets it."""
        self._faults.append((pattern, fault))

    def hold(self, pattern: str, *, answer: bool = False) -> Hold:
        self._holds.append(Hold(pattern, answer))
        return self._holds[-1]

    def teach(self, pattern: str, status: int, body: dict[str, Any], *, once: bool = False) -> None:
        """Requests that match are answered so, and not passed on; what was taught last counts."""
        self._taught.insert(0, (pattern, (status, body), once))

    def card(self, number: str) -> str:
        """The id of a new payment method with that test number."""
        card = {"number": number, "exp_month": "12", "exp_year": "2035", "cvc": "123"}
        asked = {"type": "card"} | {f"card[{name}]": value for name, value in card.items()}
        return str(self._forward("POST", "/v1/payment_methods", asked)[1]["id"])

    def authenticate(self, intent: str, secret: str, *, success: bool = True) -> None:
        """The customer does, or does not do, what the bank asks of them."""
        asked = {"client_secret": secret, "success": "true" if success else "false"}
        self._forward("POST", f"/v1/payment_intents/{intent}/_authenticate", asked)

    def send_hooks(self) -> None:
        """Localstripe's own webhooks arrive in `hooks` from now on, signed."""
        self._forward("POST", "/_config/webhooks/test", {"url": f"{self.url}/hook", "secret": SECRET})

    def asked(self, pattern: str) -> list[Request]:
        return [request for request in self.requests if re.search(pattern, f"{request.method} {request.path}")]

    def object(self, path: str) -> dict[str, Any]:
        return self._forward("GET", path, {})[1]

    def object_of(self, method: str, path: str, parameters: dict[str, str]) -> dict[str, Any]:
        """What localstripe answers to a request that is none of ours."""
        return self._forward(method, path, parameters)[1]

    def charged(self) -> list[dict[str, Any]]:
        """The charges that took money."""
        return [charge for charge in self.object("/v1/charges?limit=100")["data"] if charge["status"] == "succeeded"]

    def refunded(self) -> list[dict[str, Any]]:
        return list(self.object("/v1/refunds?limit=100")["data"])

    # -- the proxy

    def answer(self, request: Request) -> tuple[Reply, bool] | None:
        """The reply and whether it is a replayed one; None: the connection breaks."""
        with self._lock:
            self.requests.append(request)
            if request.method == "POST" and request.key is not None:
                kept = self._kept.get(request.key)
                if kept is not None and self.now - kept.at < DAY:
                    if (kept.path, kept.parameters) != (request.path, request.parameters):
                        return (400, _error("idempotency_error", "This key was used with other parameters.")), False
                    if kept.reply is None:
                        return (409, _error("idempotency_error", "This key is in use.")), False
                    return kept.reply, True
                self._kept[request.key] = _Kept(request.path, request.parameters, self.now)
            fault = next((each for each in self._faults if _matches(each[0], request)), None)
            if fault is not None:
                self._faults.remove(fault)
            hold = next((hold for hold in self._holds if _matches(hold.pattern, request)), None)
            if hold is not None:
                self._holds.remove(hold)
        if hold is not None and not hold.answer:
            hold.wait()
        reply = self._with_fault(request, fault[1] if fault else None)
        if hold is not None and hold.answer:
            hold.wait()
        with self._lock:
            if request.method == "POST" and request.key is not None:
                if reply is None or reply[0] in (404, 429):
                    del self._kept[request.key]
                else:
                    self._kept[request.key].reply = reply
        lost = fault is not None and fault[1] == "answer lost"
        return None if lost or reply is None else (reply, False)

    def _with_fault(self, request: Request, fault: Fault | None) -> Reply | None:
        if fault == "never arrives":
            return None
        if fault == "error":
            return 500, _error("api_error", "Something went wrong.")
        if fault == "rate limit":
            return 429, _error("invalid_request_error", "Too many requests.")
        reply = self._work(request)
        return (500, _error("api_error", "Something went wrong.")) if fault == "error after" else reply

    def _work(self, request: Request) -> Reply:
        for taught in self._taught:
            if _matches(taught[0], request):
                if taught[2]:
                    self._taught.remove(taught)
                return taught[1]
        left = dict(request.parameters)
        if request.method == "GET" and request.path == "/v1/payment_intents":
            return 200, self._listed(left)
        for unknown in ("off_session", "return_url", "description"):
            left.pop(unknown, None)
        status, body = self._forward(request.method, request.path, left)
        if status == 402:
            body["error"]["type"] = "card_error"
        return status, _completed(body)

    def _listed(self, parameters: dict[str, str]) -> dict[str, Any]:
        """Intents by `created`, the newest first, at most `page` at once: localstripe filters and orders nothing."""
        everything = self._forward("GET", "/v1/payment_intents", {"limit": "1000"})[1]["data"]
        since = int(parameters.get("created[gte]", "0"))
        found = [_completed(intent) for intent in reversed(everything) if intent["created"] >= since]
        after = (
            [intent["id"] for intent in found].index(parameters["starting_after"]) + 1
            if ("starting_after" in parameters)
            else 0
        )
        page = self.page or int(parameters.get("limit", "10"))
        data, more = found[after : after + page], len(found) > after + page
        return {"object": "list", "url": "/v1/payment_intents", "data": data, "has_more": more}

    def _forward(self, method: str, path: str, parameters: dict[str, str]) -> Reply:
        body = urlencode(parameters)
        if method == "GET" and body:
            path, body = f"{path}?{body}", ""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        headers = {"Authorization": "Bearer sk_test_12345", "Content-Type": "application/x-www-form-urlencoded"}
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            text = response.read()
            try:
                return response.status, json.loads(text or b"{}")
            except ValueError:
                return response.status, _error("api_error", text.decode())
        finally:
            connection.close()


def _completed(found: dict[str, Any]) -> dict[str, Any]:
    if found.get("object") == "payment_intent":
        found["amount_received"] = found["amount"] if found["status"] == "succeeded" else 0
    return found


def _error(type: str, message: str) -> dict[str, Any]:
    return {"error": {"type": type, "message": message}}


def _matches(pattern: str, request: Request) -> bool:
    return re.search(pattern, f"{request.method} {request.path}") is not None


class _Handler(BaseHTTPRequestHandler):
    def _handle(self) -> None:
        server: StripeServer = self.server.stripe  # type: ignore[attr-defined]
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path == "/hook":
            server.hooks.put((body, self.headers["Stripe-Signature"]))
            self._reply(200, {}, replayed=False)
            return
        parameters = dict(parse_qsl(url.query if self.command == "GET" else body.decode(), keep_blank_values=True))
        found = server.answer(Request(self.command, url.path, parameters, self.headers.get("Idempotency-Key")))
        if found is None:
            self.close_connection = True
            return
        (status, answer), replayed = found
        self._reply(status, answer, replayed=replayed)

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815

    def _reply(self, status: int, answer: dict[str, Any], *, replayed: bool) -> None:
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if replayed:
            self.send_header("Idempotent-Replayed", "true")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests stay quiet."""


def signed(event: dict[str, Any], secret: str = SECRET, *, at: int | None = None) -> tuple[bytes, str]:
    """An event as Stripe sends it: the body, and the header that proves it."""
    payload = json.dumps(event).encode()
    sent = int(time.time()) if at is None else at
    signature = hmac.new(secret.encode(), b"%d.%s" % (sent, payload), hashlib.sha256).hexdigest()
    return payload, f"t={sent},v1={signature}"
