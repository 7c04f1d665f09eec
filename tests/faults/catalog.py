"""The faults of the network and of the service: how each looks, and what is to come of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tests.faults import misbehaving
from tests.faults.misbehaving import Misbehaviour, altered, raw, rewritten

#: What is to come of a fault.
#: ``passes``: transient; the request is retried, and a persistent fault is an error. A wait continues.
#: ``too long``: Toloka asks for a longer wait than a call allows: an immediate error. A wait continues.
#: ``unreadable``: an immediate error, except for changes, which are verified. A wait continues.
#: ``endless``: nothing is wrong but that it never ends: a wait reaches its timeout.
#: ``harmless``: nothing is to be noticed.
Kind: TypeAlias = Literal["passes", "too long", "unreadable", "endless", "harmless"]

#: In the name of a column: the fault does not pass.
STAYS = "it stays"

#: Stands for a date, in a header, some way ahead.
SOON = "(a date)"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way in which it goes wrong.

    :param group: its heading in the table.
    :param what: arguments for the emulator's ``fault``, or the behaviour of a gateway in front of it.
    :param kind: what is to come of it.
    :param error: the error, where there is one.
    :param remedy: words of the error's text.
    :param times: how many answers are spoilt, when it passes.
    :param looks: how many polls of an operation it affects, if it is transient.
    :param lasts: seconds that it lasts for the hook, when it passes; None: it is counted in answers.
    :param asked: seconds that Toloka asks to stay away.
    :param timeout: the connection's timeout, in seconds.
    :param tls: the kind of certificate that the gateway presents; None: plain http.
    :param is_away: whether nobody listens.
    :param differs: what comes of it too, since ``requests`` and ``aiohttp`` see it differently.
    :param retries: the connection's retries.
    """

    name: str
    group: str
    what: Mapping[str, Any] | Misbehaviour
    kind: Kind
    error: str = "TolokaUnavailableError"
    remedy: str
    times: int = 1
    looks: int = 1
    lasts: float | None = None
    asked: float = 0.0
    timeout: float = 30.0
    tls: str | None = None
    is_away: bool = False
    differs: tuple[str, ...] = ()
    retries: int = 3

    @property
    def outlasts_a_call(self) -> bool:
        """Whether it lasts longer than a call of the hook retries."""
        return self.lasts is not None and self.lasts > 60


def is_met(fault: Fault, column: str) -> bool:
    """Return whether a fault belongs in a column of the table; certificate faults are never transient."""
    return fault.group != "TLS" or fault.kind == "harmless" or STAYS in column


def _group(name: str, **common: Any) -> Callable[..., Fault]:
    return lambda fault, what, **own: Fault(name=fault, group=name, what=what, **{**common, **own})


_rate = _group("Rate limits", kind="passes", error="TolokaRateLimitError", remedy="too many requests")


def _quota(interval: str) -> dict[str, Any]:
    body = {"request_id": "r", "code": "TOO_MANY_REQUESTS", "message": "Quota", "payload": {"interval": interval}}
    return {"status": 429, "body": body}


_RATE = [
    _rate("429, `Retry-After` 2 seconds", {"status": 429, "headers": {"Retry-After": "2"}}, asked=2.0),
    _rate("429, `Retry-After` a date", {"status": 429, "headers": {"Retry-After": SOON}}, asked=30.0),
    _rate("429 without `Retry-After`", {"status": 429}),
    _rate("429, `Retry-After: -1`", {"status": 429, "headers": {"Retry-After": "-1"}}),
    _rate("429, `Retry-After: abc`", {"status": 429, "headers": {"Retry-After": "abc"}}),
    _rate(
        "429, `Retry-After` a year",
        {"status": 429, "headers": {"Retry-After": "31536000"}},
        kind="too long",
        remedy="Try again after",
    ),
    _rate("429, quota of the minute", _quota("MIN"), asked=60.0, remedy="Try again after"),
    _rate("429, quota of the hour", _quota("HOUR"), kind="too long", remedy="Try again after"),
    _rate("429, quota of the day", _quota("DAY"), kind="too long", remedy="Try again after"),
]

_service = _group("The service is out", kind="passes", remedy="Toloka is not available. Try again later")
_SERVICE = [
    fault
    for status in (408, 500, 502, 503, 504)
    for fault in (
        _service(f"{status} in a burst", {"status": status, "carry_out": True}, times=3, looks=3),
        # A wait polls every five seconds.
        _service(f"{status} for two minutes", {"status": status, "carry_out": True}, times=4, looks=24, lasts=120.0),
    )
]

_broken = _group("The connection breaks", kind="passes", remedy="the connection was interrupted")
_CONNECTION = [
    _broken(
        "connection refused",
        misbehaving.go_away,
        remedy="Check the connection's host and the network",
        is_away=True,
        lasts=0.5,
        retries=8,
    ),
    _broken("closed before the work was done", {"disconnect": "before"}),
    _broken("closed after it, without an answer", {"disconnect": "after"}),
    _broken("closed amid the headers", misbehaving.cut_headers),
    _broken("closed amid the body", {"disconnect": "cut"}),
    _broken("reset before the work was done", misbehaving.reset_before),
    _broken("reset after it, without an answer", misbehaving.reset_after),
    _broken("reset amid the body", misbehaving.reset_amid),
    _broken("an answer that is no HTTP", raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
    _broken("two lengths that differ", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\n{}")),
    _broken("gzip that is none", {"body": b"no gzip", "headers": {"Content-Encoding": "gzip"}, "carry_out": True}),
]

_slow = _group("Too slow, too large", kind="passes", timeout=1.0, remedy="increase the connection's timeout")
_large = _group("Too slow, too large", kind="passes", remedy="the response is too large")
_SIZE = [
    _slow("no answer", {"delay": misbehaving.LONGEST}),
    _slow("headers byte by byte", misbehaving.dribble_headers),
    _slow("a body byte by byte", misbehaving.dribble_body),
    _slow("chunks byte by byte, without end", misbehaving.trickle_without_end),
    _large("chunks without end", misbehaving.pour_without_end),
    _large("a body of 1 GB", misbehaving.a_gigabyte),
    _large("1 MB of gzip that holds 1 GB", misbehaving.gzip_bomb),
]

_odd = _group(
    "Not what the API describes",
    kind="unreadable",
    error="TolokaInvalidAnswerError",
    remedy="Check that the connection's host is Toloka's API",
)


def _body(body: Any, **more: Any) -> dict[str, Any]:
    return {"body": body if isinstance(body, bytes) else json.dumps(body).encode(), "carry_out": True, **more}


LOST = ("retried, succeeded", "TolokaUnavailableError")

_ODD = [
    _odd("HTML with status 200", _body(b"<html><title>Log in</title></html>")),
    _odd("an empty body", _body(b"")),
    _odd("JSON that is cut off", _body(b'{"id": "1", "sta')),
    _odd("`[]`", _body([])),
    _odd("`null`", _body(None)),
    _odd("`{}`", _body({})),
    _odd("fields of wrong types", altered(lambda it: {**it, "status": ["x"], "submitted": 7, "created": {}})),
    _odd("missing fields", altered(lambda it: {key: it[key] for key in it if key != "status"})),
    _odd("bytes that are no UTF-8", rewritten(lambda body: body.replace(b"{", b'{"note": "\xff",', 1))),
    _odd("another one's id", altered(lambda it: {**it, "id": "another"}, methods=("GET",))),
    _odd("204 without a body", {"status": 204, "carry_out": True}),
    _odd("204 with a body", misbehaving.no_content_with_body, differs=LOST, remedy="Could not"),
    _odd("gzip in gzip that holds 50 GB", misbehaving.gzip_bomb_in_gzip, differs=LOST),
]

_harmless = _group("Odd, but readable", kind="harmless", remedy="")


def _times(form: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda it: {**it, **{key: form for key in ("submitted", "started", "finished", "created") if it.get(key)}}


_READABLE = [
    _harmless("unknown fields", altered(lambda it: {**it, "mood": {"as": ["it", 1.5, None]}})),
    _harmless(
        "only the fields that must be there",
        altered(lambda it: {key: it[key] for key in it if key in ("id", "type", "status", "project_id")}),
    ),
    _harmless(
        "an unknown type", altered(lambda it: {**it, **({"type": "PROJECT.FROBNICATE"} if "type" in it else {})})
    ),
    _harmless(
        "an unknown status",
        altered(lambda it: {**it, "status": "QUEUED"}),
        kind="endless",
        error="TolokaTimeoutError",
        remedy="is QUEUED",
    ),
    _harmless("`progress: 250`", altered(lambda it: {**it, **({"progress": 250} if "progress" in it else {})})),
    _harmless("times without milliseconds", altered(_times("2026-01-02T03:04:05"))),
    _harmless("times with a zone", altered(_times("2026-01-02T03:04:05.678+03:00"))),
    _harmless("a byte order mark", rewritten(lambda body: b"\xef\xbb\xbf" + body if body else body)),
]

_redirect = _group(
    "Redirects", kind="unreadable", error="TolokaInvalidAnswerError", remedy="is a redirect to '{}', which is not"
)


def _to(where: str) -> dict[str, Any]:
    return {"status": 307, "headers": {"Location": where}, "carry_out": True}


_REDIRECTS = [
    _redirect("to the same host", _to("/api/v1/requester"), remedy="is a redirect to '/api/v1/requester'"),
    _redirect("to another host", _to("https://elsewhere.test/"), remedy="is a redirect to 'https://elsewhere.test/'"),
    _redirect("to itself, in a loop", _to("."), remedy="is a redirect to '.'"),
]

_tls = _group(
    "TLS", kind="passes", error="TolokaTlsError", remedy="Check the connection's host, or set ca_bundle in its extra"
)


_TLS = [
    _tls("a good certificate", misbehaving.pass_on, tls="good", kind="harmless"),
    _redirect(
        "from https to http",
        misbehaving.redirect_to_http,
        tls="good",
        remedy="'http://127.0.0.1/', which is not",
    ),
    _tls("a self-signed certificate", misbehaving.pass_on, tls="self-signed"),
    _tls("an expired certificate", misbehaving.pass_on, tls="expired"),
    _tls("a certificate for another name", misbehaving.pass_on, tls="wrong name"),
]

FAULTS: list[Fault] = [*_RATE, *_SERVICE, *_CONNECTION, *_SIZE, *_ODD, *_READABLE, *_REDIRECTS, *_TLS]
