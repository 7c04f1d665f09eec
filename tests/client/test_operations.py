from __future__ import annotations

import itertools
import logging
from typing import Any

import pytest

from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.api.waits import look_up, timeout_message
from airflow_provider_toloka.client.backoff import backing_off, quick_first
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Request
from airflow_provider_toloka.exceptions import (
    TolokaAuthenticationError,
    TolokaNotFoundError,
    TolokaOperationFailedError,
    TolokaTimeoutError,
    TolokaTlsError,
)
from tests.driving import NOW, SETTINGS, Answer, Driver, answer, api, error, lost, ok, operation

LOG = [{"type": "T", "success": True}, {"type": "T", "success": False, "output": "broken"}]


def standing(status: str, progress: float | None = None, id_: str = "op1") -> Answer:
    return ok(operation(status=status, progress=progress, id_=id_))


def test_the_wait_ends_with_success() -> None:
    driver = Driver([standing("PENDING"), standing("RUNNING"), standing("SUCCESS")])
    assert driver.run(api().waits.wait_for("op1")).status == "SUCCESS"
    assert driver.calls == ["GET /operations/op1"] * 3


def test_a_finished_operation_is_not_waited_for() -> None:
    driver = Driver([standing("SUCCESS")])
    driver.run(api().waits.wait_for("op1"))
    assert driver.sleeps == []


def test_the_first_looks_come_quickly() -> None:
    driver = Driver([*[standing("RUNNING")] * 7, standing("SUCCESS")])
    driver.run(api().waits.wait_for("op1", poll_interval=5))
    assert driver.sleeps == [0.25, 0.25, 0.5, 1.0, 2.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [
        (lambda: quick_first(60), [0.25, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 60, 60]),
        (lambda: quick_first(0.1), [0.1, 0.1, 0.1]),
        (lambda: backing_off(3, 10), [3, 6, 10, 10]),
    ],
)
def test_the_seconds_between_looks(intervals: Any, seconds: list[float]) -> None:
    assert list(itertools.islice(intervals(), len(seconds))) == seconds


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        (ok(LOG), [LOG[1]]),
        (ok([]), []),
        (error(404, "DOES_NOT_EXIST"), []),
        (ok("no log"), []),
    ],
)
def test_a_failed_operation_is_raised_with_what_failed_in_its_log(log: Answer, shown: list[Any]) -> None:
    driver = Driver([ok(operation(status="FAIL", details={"why": "so"})), log])
    with pytest.raises(
        TolokaOperationFailedError, match=r"operation op1 .* ended as FAIL. Details: {'why': 'so'}"
    ) as caught:
        driver.run(api().waits.wait_for("op1"))
    assert driver.calls == ["GET /operations/op1", "GET /operations/op1/log"]
    assert list(caught.value.log) == shown


@pytest.mark.parametrize(
    "outage",
    [
        *(lost(kind) for kind in ("unreachable", "tls", "timeout", "broken", "too large")),
        *(error(status) for status in (408, 429, 500, 502, 503, 504)),
        answer(200, b"<html>"),
        answer(302),
    ],
    ids=str,
)
def test_an_outage_does_not_end_the_wait(outage: Answer) -> None:
    driver = Driver([standing("RUNNING"), *[outage] * 20, standing("SUCCESS")])
    assert driver.run(api().waits.wait_for("op1")).status == "SUCCESS"


def test_a_refused_token_ends_the_wait() -> None:
    with pytest.raises(TolokaAuthenticationError):
        Driver([error(401)]).run(api().waits.wait_for("op1"))


def test_an_id_that_stays_unknown_ends_the_wait() -> None:
    driver = Driver(lambda _: error(404, "DOES_NOT_EXIST"))
    with pytest.raises(TolokaNotFoundError):
        driver.run(api().waits.wait_for("op1"))
    # Once at the start, and again after two and four seconds; the polls in between do not count.
    assert driver.now == NOW + 4
    assert len(driver.requests) == 6


def test_an_id_that_is_looked_at_and_stays_unknown_ends_the_wait() -> None:
    driver = Driver([error(404, "DOES_NOT_EXIST")] * 3)
    with pytest.raises(TolokaNotFoundError):
        driver.run(api().waits.look(api().waits.watch(["op1"])))
    assert driver.sleeps == [2, 2]


def test_quick_polls_do_not_make_an_id_unknown() -> None:
    driver = Driver([*[error(404, "DOES_NOT_EXIST")] * 5, standing("SUCCESS")])
    assert driver.run(api().waits.wait_for("op1")).status == "SUCCESS"


def test_an_object_that_is_unknown_for_a_moment_is_found() -> None:
    driver = Driver([error(404, "DOES_NOT_EXIST")] * 2 + [standing("SUCCESS")])
    assert driver.run(look_up(lambda: api().operations.get("op1"))).status == "SUCCESS"
    assert driver.sleeps == [2, 2]


def test_an_object_that_stays_unknown_does_not_exist() -> None:
    driver = Driver([error(404, "DOES_NOT_EXIST")] * 3)
    with pytest.raises(TolokaNotFoundError):
        driver.run(look_up(lambda: api().operations.get("op1")))


def test_an_id_that_is_unknown_right_after_its_submit_does_not() -> None:
    unknown = error(404, "DOES_NOT_EXIST")
    driver = Driver([unknown, unknown, standing("RUNNING"), unknown, unknown, standing("SUCCESS")])
    assert driver.run(api().waits.wait_for("op1")).status == "SUCCESS"


def test_a_tls_failure_ends_a_wait_only_before_anything_was_received() -> None:
    with pytest.raises(TolokaTlsError):
        Driver([lost("tls")]).run(api().waits.wait_for("op1"))
    driver = Driver([standing("RUNNING"), lost("tls"), standing("SUCCESS")])
    assert driver.run(api().waits.wait_for("op1")).status == "SUCCESS"


@pytest.mark.parametrize(("asked", "kept"), [("47", 47.0), ("31536000", 60.0)])
def test_a_wait_that_toloka_asks_for_is_kept_for_a_minute_at_most(asked: str, kept: float) -> None:
    driver = Driver([error(429, retry_after=asked), standing("SUCCESS")])
    driver.run(api().waits.wait_for("op1", poll_interval=5))
    assert driver.sleeps == [kept]


@pytest.mark.parametrize(
    ("serve", "told"),
    [
        (lambda _: standing("RUNNING", 40), "operation op1 (PROJECT.ARCHIVE) is RUNNING, progress 40 %"),
        (lambda _: error(503), "operation op1 was never seen"),
        (lambda _: error(429, retry_after="9999"), "operation op1 was never seen"),
    ],
)
def test_the_wait_ends_at_its_deadline_with_a_last_look(serve: Any, told: str) -> None:
    driver = Driver(serve)
    with pytest.raises(TolokaTimeoutError, match=r"It keeps running at Toloka. Clear the task") as caught:
        driver.run(api().waits.wait_for("op1", poll_interval=7, timeout=60))
    assert told in str(caught.value)
    assert driver.now == NOW + 60


def test_success_at_the_last_look_is_success() -> None:
    driver = Driver(lambda _: standing("SUCCESS" if driver.now >= NOW + 60 else "RUNNING"))
    assert driver.run(api().waits.wait_for("op1", timeout=60)).status == "SUCCESS"


def test_the_deadline_is_absolute() -> None:
    driver = Driver(lambda _: standing("RUNNING"))
    driver.now += 50  # the task began before, and was restarted
    with pytest.raises(TolokaTimeoutError, match=r"operation op1 .* is RUNNING"):
        driver.run(api().waits.poll(["op1"], intervals=backing_off(4, 4), deadline=NOW + 60))
    assert driver.now == NOW + 60
    driver = Driver(lambda _: standing("RUNNING"))
    driver.now += 90
    with pytest.raises(TolokaTimeoutError):
        driver.run(api().waits.poll(["op1"], intervals=backing_off(4, 4), deadline=NOW + 60))
    assert (driver.calls, driver.sleeps) == (["GET /operations/op1"], [])


def test_without_a_deadline_the_wait_goes_on() -> None:
    driver = Driver([*[standing("RUNNING")] * 500, standing("SUCCESS")])
    driver.run(api().waits.poll(["op1"], intervals=backing_off(60, 60), deadline=None))
    assert driver.now == NOW + 500 * 60


def test_only_changes_are_told() -> None:
    told: list[str] = []
    steps = [("PENDING", None), ("PENDING", None), ("RUNNING", 0), ("RUNNING", 0), ("RUNNING", 50), ("SUCCESS", 100)]
    driver = Driver([standing(*step) for step in steps])
    driver.run(api().waits.wait_for("op1", on_change=lambda operation: told.append(operation.summary)))
    prefix = "operation op1 (PROJECT.ARCHIVE) is "
    assert [text.removeprefix(prefix) for text in told] == [
        "PENDING",
        "RUNNING, progress 0 %",
        "RUNNING, progress 50 %",
        "SUCCESS, progress 100 %",
    ]


def test_changes_are_logged_unless_told_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    Driver([standing("SUCCESS")]).run(api().waits.wait_for("op1"))
    assert "Toloka's operation op1 (PROJECT.ARCHIVE) is SUCCESS" in caplog.text


def serve_by_id(**statuses: list[str]) -> Any:
    """Answer each poll of an operation with its next status; repeat the last one."""

    def serve(request: Request) -> Answer:
        id_ = request.path.rpartition("/")[2]
        left = statuses[id_]
        return standing(left.pop(0) if len(left) > 1 else left[0], id_=id_)

    return serve


def poll(driver: Driver, ids: list[str]) -> dict[str, Operation]:
    return driver.run(api().waits.poll(ids, intervals=backing_off(1, 1), deadline=NOW + 60))


def test_many_are_waited_for_until_the_last() -> None:
    driver = Driver(serve_by_id(a=["RUNNING", "SUCCESS"], b=["SUCCESS"], c=["PENDING", "RUNNING", "SUCCESS"]))
    found = poll(driver, ["a", "b", "c"])
    assert [operation.status for operation in found.values()] == ["SUCCESS"] * 3
    assert driver.calls.count("GET /operations/b") == 1
    assert driver.now == NOW + 2


def test_one_failure_ends_the_wait_for_many() -> None:
    driver = Driver(serve_by_id(a=["RUNNING"], b=["RUNNING", "FAIL"], c=["RUNNING"]))
    found = poll(driver, ["a", "b", "c"])
    assert [operation.status for operation in found.values()] == ["RUNNING", "FAIL", "RUNNING"]
    assert driver.now == NOW + 1


def test_an_outage_is_met_once_for_all() -> None:
    down = Driver(lambda _: error(503))
    told = "3 of 3 operations unfinished.*The last poll failed: .*Toloka is not available. Try again later"
    with pytest.raises(TolokaTimeoutError, match=told):
        poll(down, ["a", "b", "c"])
    assert set(down.calls) == {"GET /operations/a"}


def serve_some(**statuses: Answer) -> Any:
    return lambda request: statuses[request.path.rpartition("/")[2]]


def test_an_operation_that_may_not_be_read_hides_no_other() -> None:
    driver = Driver(serve_some(a=error(403), b=standing("FAIL", id_="b")))
    assert [one.id for one in poll(driver, ["a", "b"]).values() if one.failed] == ["b"]
    assert driver.now == NOW


def test_an_operation_that_may_never_be_read_is_waited_for_and_the_message_says_why() -> None:
    driver = Driver(serve_some(a=error(403), b=standing("SUCCESS", id_="b")))
    told = "1 of 2 operations unfinished: operation a was never seen.*The last poll failed: .*HTTP status 403"
    with pytest.raises(TolokaTimeoutError, match=told):
        poll(driver, ["a", "b"])
    assert driver.calls.count("GET /operations/b") == 1


def test_an_unknown_id_is_found_beside_one_that_may_not_be_read() -> None:
    driver = Driver(serve_some(a=error(404, "DOES_NOT_EXIST"), b=error(403)))
    with pytest.raises(TolokaNotFoundError):
        driver.run(api().waits.look(api().waits.watch(["a", "b"])))
    assert driver.sleeps == [2, 2]


@pytest.mark.parametrize("fault", [error(503), error(429), lost("broken"), answer(200, "<html>")], ids=str)
def test_an_outage_ends_a_look(fault: Answer) -> None:
    driver = Driver(serve_some(a=fault, b=standing("SUCCESS", id_="b")))
    driver.run(api().waits.look(api().waits.watch(["a", "b"])))
    assert driver.calls == ["GET /operations/a"]


def test_no_operations_are_no_wait() -> None:
    assert poll(Driver(), []) == {}


def test_the_first_failure_of_many_is_raised() -> None:
    ended = [
        Operation.from_json(operation(id_=id_, status=status))
        for id_, status in zip("abc", ["SUCCESS", "FAIL", "FAIL"], strict=True)
    ]
    with pytest.raises(TolokaOperationFailedError, match=r"operation b "):
        Driver([ok([])]).run(api().operations.require_success(ended))
    assert Driver().run(api().operations.require_success(ended[:1])) is None


def test_a_late_wait_names_those_that_are_late() -> None:
    known = {str(i): Operation.from_json(operation(id_=str(i), status="RUNNING")) for i in range(30)}
    known["0"] = Operation.from_json(operation(id_="0", status="SUCCESS"))
    told = timeout_message(known)
    assert "29 of 30 operations unfinished" in told
    assert "operation 1 (PROJECT.ARCHIVE) is RUNNING" in told
    assert "and 9 more. They keep running at Toloka." in told


def test_a_timeout_says_everything_once() -> None:
    known = {"op1": Operation.from_json(operation(status="RUNNING")), "op2": None}
    told = (
        "Timed out (timeout): 2 of 2 operations unfinished: operation op1 (PROJECT.ARCHIVE) is RUNNING; operation op2 "
        "was never seen. They keep running at Toloka. Clear the task to resume waiting, or increase timeout."
    )
    assert timeout_message(known) == told
    assert timeout_message(known, "no route") == f"{told} The last poll failed: no route"
    assert timeout_message(known, limit="execution_timeout") == told.replace("timeout", "execution_timeout")


def test_one_operation_is_told_in_the_singular() -> None:
    done = {"op0": Operation.from_json(operation(id_="op0", status="SUCCESS"))}
    told = timeout_message({"op1": None})
    assert told.startswith("Timed out (timeout): 1 of 1 operation unfinished: operation op1 was never seen. It keeps ")
    told = timeout_message({**done, "op1": None})
    assert told.startswith("Timed out (timeout): 1 of 2 operations unfinished: operation op1 was never seen. It keeps ")


def test_a_deadline_that_leaves_nothing_unfinished_is_told_as_such() -> None:
    done = {id_: Operation.from_json(operation(id_=id_, status="SUCCESS")) for id_ in ("op1", "op2")}
    assert timeout_message(done, limit="execution_timeout") == (
        "Timed out (execution_timeout): the deadline passed before the next change. Clear the task to resume, or "
        "increase execution_timeout."
    )


@pytest.mark.parametrize(("count", "more"), [(20, False), (21, True)])
def test_up_to_twenty_late_operations_are_named(count: int, more: bool) -> None:
    told = timeout_message({f"op{number}": None for number in range(count)})
    assert told.count("was never seen") == 20
    assert ("and 1 more" in told) is more


class Recorder(Observer):
    def __init__(self) -> None:
        self.seen: list[object] = []

    def finished(self, operation: Operation) -> None:
        self.seen.append(operation.id)

    def outage_began(self) -> None:
        self.seen.append("outage")

    def outage_ended(self, seconds: float) -> None:
        self.seen.append(seconds)


def test_an_outage_and_its_end_are_logged_and_observed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    observer = Recorder()
    toloka = TolokaApi(SETTINGS, RetryPolicy(retries=3), observer)
    driver = Driver([standing("RUNNING"), error(503), error(502), standing("RUNNING"), standing("SUCCESS")])
    driver.run(toloka.waits.wait_for("op1"))
    # Nothing is sent again but by the next poll.
    assert driver.sleeps == [0.25, 0.25, 0.5, 1.0]
    assert [(line.levelname, line.getMessage().partition(": ")[0]) for line in caplog.records] == [
        ("INFO", "Toloka's operation op1 (PROJECT.ARCHIVE) is RUNNING"),
        ("WARNING", "Polling Toloka's operations failed; still waiting"),
        ("INFO", "Polling Toloka's operations works again after 1 s."),
        ("INFO", "Toloka's operation op1 (PROJECT.ARCHIVE) is SUCCESS"),
    ]
    assert observer.seen == ["outage", 0.75, "op1"]


def test_an_unknown_id_does_not_keep_others_from_being_polled() -> None:
    watch = api().waits.watch(["new", "known"])
    driver = Driver([error(404), standing("RUNNING", id_="known")])
    driver.run(watch.poll())
    assert watch.seen["new"] is None
    assert watch.seen["known"]
    assert isinstance(watch.trouble, TolokaNotFoundError)
    driver = Driver([standing("RUNNING", id_="new"), standing("RUNNING", id_="known")])
    driver.run(watch.poll())
    assert watch.trouble is None


def test_the_argument_that_set_the_deadline_is_named() -> None:
    flow = api().waits.poll(["op1"], intervals=backing_off(1, 1), deadline=NOW + 1, limit="execution_timeout")
    with pytest.raises(TolokaTimeoutError, match=r"^Timed out \(execution_timeout\).*or increase execution_timeout\."):
        Driver(lambda _: standing("RUNNING")).run(flow)
    with pytest.raises(TolokaTimeoutError, match=r"^Timed out \(timeout\)"):
        poll(Driver(lambda _: standing("RUNNING")), ["op1"])


def test_the_defaults_of_a_wait() -> None:
    driver = Driver(lambda _: standing("RUNNING"))
    with pytest.raises(TolokaTimeoutError):
        driver.run(api().waits.wait_for("op1"))
    assert driver.now == NOW + 3600
    assert max(driver.sleeps) == 5
