from __future__ import annotations

import json
import pickle
import re
import time as clock
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.client.models import Operation, Pool, Project, Requester, Training
from airflow_provider_toloka.client.parsing import InvalidModelError, check_id, read_time
from airflow_provider_toloka.client.resources import OPERATION, POOL, PROJECT, TRAINING
from tests.driving import Driver, api, ok, operation, page, pool, project, sample

BAD_IDS = ["1/../pools/2", "", " ", "None", "1?x", "1#", "1\n", "%2e", "é", "٣", None, True, False, 1.0, ["1"], b"1"]
MODELS = [Operation, Requester, Project, Training, Pool]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("value", BAD_IDS)
def test_what_is_no_id_is_refused_by_the_parameters_name(value: object) -> None:
    with pytest.raises(ValueError, match=f"^pool_id should be an id .* but is {re.escape(repr(value))}"):
        check_id("pool_id", value)


@pytest.mark.parametrize("value", ["1", 12, "57068577e4b0bf7b07a0256f", "5c04458e-63c1-46c1-ba0d-6f0756a5358b", "a_b"])
def test_an_id_is_a_text_or_a_whole_number(value: object) -> None:
    assert check_id("pool_id", value) == str(value)


@given(st.text() | st.integers() | JSON)
def test_an_id_never_leads_elsewhere_in_a_url(value: object) -> None:
    told = ""
    try:
        text = check_id("pool_id", value)
    except ValueError as error:
        text, told = "", str(error)
    assert re.fullmatch("[A-Za-z0-9_-]+", text) or "pool_id should be an id" in told


def test_the_requester_of_the_description() -> None:
    requester = Requester.from_json(sample("requester"))
    assert requester == Requester(id="566ec2b0ff0deeaae5f9d500629de162", name="Jack Smith", balance=121.3)


@pytest.mark.parametrize(
    ("names", "name"),
    [({"RU": "R", "EN": "E"}, "E"), ({"RU": "R"}, "R"), ({}, None), (None, None), ({"EN": 5}, None), ({"RU": 5}, None)],
)
def test_a_requester_is_named_in_english_if_it_can_be(names: Any, name: str | None) -> None:
    assert Requester.from_json({"id": "1", "public_name": names}).name == name


def test_the_project_of_the_description() -> None:
    assert Project.from_json(sample("project")) == Project(
        id="83859",
        status="ACTIVE",
        public_name="Elephant color",
        private_comment="My first project",
        created=datetime(2022, 1, 22, 7, 50, 14, 210_000, tzinfo=UTC),
    )


def test_the_pool_of_the_description() -> None:
    pool = Pool.from_json(sample("pool"))
    assert (pool.id, pool.project_id, pool.status, pool.training_id) == ("32267581", "81776", "OPEN", None)
    assert pool.private_name == "Transcript of audio recordings"
    assert pool.last_started is None


def test_a_pool_names_the_training_that_it_requires() -> None:
    assert Pool.from_json(pool("1", training_id="7")).training_id == "7"


def test_the_training_of_the_description() -> None:
    training = Training.from_json(sample("training"))
    assert (training.id, training.project_id, training.last_close_reason) == ("31226418", "74175", "MANUAL")
    assert training.last_stopped == datetime(2022, 2, 24, 13, 40, 29, 754_000, tzinfo=UTC)


def test_the_operation_of_the_description() -> None:
    done = Operation.from_json(sample("operation"))
    assert (done.id, done.type, done.status) == ("57068577e4b0bf7b07a0256f", "PROJECT.ARCHIVE", "SUCCESS")
    assert (done.progress, done.parameters, done.details) == (100, {"project_id": "1"}, {})
    assert done.is_finished
    assert not done.failed
    assert done.summary == "operation 57068577e4b0bf7b07a0256f (PROJECT.ARCHIVE) is SUCCESS, progress 100 %"


def test_ids_that_are_numbers_are_read() -> None:
    assert Project.from_json({**project(), "id": 12}).id == "12"
    requirement = {"training_requirement": {"training_pool_id": 7}}
    numbered = Pool.from_json({**pool("1"), "id": 1, "project_id": 2, "quality_control": requirement})
    assert (numbered.id, numbered.project_id, numbered.training_id) == ("1", "2", "7")


def test_a_call_takes_the_object_that_it_asked_for_whether_its_id_is_a_text_or_a_number() -> None:
    assert Driver([ok({**project("12"), "id": 12})]).run(api().projects.get("12")).id == "12"
    running = operation(parameters={"project_id": 12})
    found = Driver([page(), page(running)]).run(api().projects.archive("12"))
    assert found
    assert found.id == "op1"


def test_equal_models_have_equal_hashes() -> None:
    made = [
        Project.from_json(project()),
        Pool.from_json(pool("1")),
        Training.from_json(pool("1")),
        Operation.from_json(operation()),
        Requester.from_json({"id": "1"}),
    ]
    again = [
        Project.from_json(project()),
        Pool.from_json(pool("1")),
        Training.from_json(pool("1")),
        Operation.from_json(operation()),
        Requester.from_json({"id": "1"}),
    ]
    assert len({*made, *again}) == len(made)
    other = Operation.from_json(operation(parameters={"project_id": "2"}))
    assert other != made[3]
    assert len({other, made[3]}) == 2


@pytest.mark.parametrize("absent", [{}, dict.fromkeys(("started", "finished", "progress", "parameters", "details"))])
def test_much_of_an_operation_may_be_absent(absent: dict[str, None]) -> None:
    fresh = Operation.from_json({"id": "1", "type": "NEW.TYPE", "status": "NEW", **absent})
    assert (fresh.started, fresh.finished, fresh.progress) == (None, None, None)
    assert (fresh.parameters, fresh.details) == ({}, {})
    assert not fresh.is_finished
    assert fresh.summary == "operation 1 (NEW.TYPE) is NEW"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2016-04-07T16:06:15.902", datetime(2016, 4, 7, 16, 6, 15, 902_000, tzinfo=UTC)),
        ("2016-04-07T16:06:15", datetime(2016, 4, 7, 16, 6, 15, tzinfo=UTC)),
        ("2016-04-07T16:06:15.902Z", datetime(2016, 4, 7, 16, 6, 15, 902_000, tzinfo=UTC)),
        ("2016-04-07T18:06:15+02:00", datetime(2016, 4, 7, 16, 6, 15, tzinfo=UTC)),
        ("", None),
        (None, None),
    ],
)
def test_times_are_utc_without_a_zone(text: str | None, moment: datetime | None) -> None:
    created = Project.from_json({**project(), "created": text}).created
    assert created == moment
    assert created is None or created.tzinfo is UTC


@pytest.mark.parametrize(
    ("model", "good", "change"),
    [
        (Project, project(), {"id": None}),
        (Project, project(), {"id": ""}),
        (Project, project(), {"id": 1.5}),
        (Project, project(), {"id": True}),
        (Project, project(), {"id": 10**20}),
        (Project, project(), {"id": "1/../2"}),
        (Project, project(), {"id": "\ud800"}),
        (Project, project(), {"status": None}),
        (Project, project(), {"public_name": 5}),
        (Project, project(), {"created": "yesterday"}),
        (Project, project(), {"created": 1460045175}),
        (Project, project(), {"created": "0001-01-01T00:00:00+23:59"}),
        (Pool, pool("1"), {"project_id": None}),
        (Pool, pool("1"), {"quality_control": []}),
        (Pool, pool("1"), {"quality_control": {"training_requirement": {"training_pool_id": []}}}),
        (Operation, operation(), {"type": None}),
        (Operation, operation(), {"progress": "50"}),
        (Operation, operation(), {"progress": True}),
        (Operation, operation(), {"progress": 10**400}),
        (Operation, operation(), {"progress": float("nan")}),
        (Operation, operation(), {"parameters": ["1"]}),
        (Operation, operation(), {"details": "none"}),
        (Requester, {"id": "1"}, {"public_name": "Jack"}),
        (Requester, {"id": "1"}, {"balance": "121.3"}),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(model: type[Project], good: dict[str, Any], change: dict[str, Any]) -> None:
    model.from_json(good)
    with pytest.raises(InvalidModelError) as caught:
        model.from_json({**good, **change})
    field = "training_pool_id" if "training_pool_id" in str(change) else next(iter(change))
    assert repr(field) in str(caught.value)


@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
def test_any_json_object_is_a_model_or_an_error(model: type[Project], data: st.DataObject) -> None:
    fields = st.sampled_from([*model.__dataclass_fields__, "quality_control", "public_name"])
    values = JSON | st.just("1") | st.datetimes().map(lambda moment: moment.isoformat())
    given = data.draw(st.dictionaries(fields, values, max_size=8))
    try:
        made = model.from_json({"id": "1", "status": "NEW", "type": "T", "project_id": "1", **given})
    except InvalidModelError:
        return
    assert isinstance(made, model)


FIRST, LAST = datetime(3, 1, 1), datetime(9998, 12, 31)  # noqa: DTZ001 - hypothesis adds the zone


@given(
    st.builds(
        Operation,
        id=st.just("1"),
        type=st.just("T"),
        status=st.sampled_from(["PENDING", "FAIL"]),
        submitted=st.none() | st.datetimes(FIRST, LAST, timezones=st.just(UTC)),
        progress=st.none() | st.integers(0, 100) | st.floats(0, 100),
        parameters=st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | st.lists(st.integers())),
    )
)
def test_an_operation_comes_back_from_its_json(one: Operation) -> None:
    told = Operation.from_json(one.to_json()).to_json()
    assert Operation.from_json(json.loads(json.dumps(told))).to_json() == told


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2022-01-22T07:50:14.210", datetime(2022, 1, 22, 7, 50, 14, 210_000, tzinfo=UTC)),
        ("2022-01-22", datetime(2022, 1, 22, tzinfo=UTC)),
        ("2022-01-22T07:50:14+03:00", datetime(2022, 1, 22, 4, 50, 14, tzinfo=UTC)),
        ("2022-01-22T07:50:14Z", datetime(2022, 1, 22, 7, 50, 14, tzinfo=UTC)),
    ],
)
def test_a_time_is_in_utc_wherever_this_machine_is(
    monkeypatch: pytest.MonkeyPatch, zone: str, text: str, time: datetime
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", zone)
        clock.tzset()
        try:
            read = read_time({"created": text}, "created")
        finally:
            patched.undo()
            clock.tzset()
    assert read is not None
    assert (read, read.utcoffset()) == (time, timedelta(0))


@pytest.mark.parametrize("text", ["yesterday", "2022-13-01", 7, ["2022"], "0001-01-01", "9999-12-31T23:59:59"])
def test_what_is_no_time_is_named(text: object) -> None:
    with pytest.raises(InvalidModelError, match="'created' should be an ISO 8601 time, but is"):
        read_time({"created": text}, "created")


def test_a_damaged_field_survives_pickling() -> None:
    error = InvalidModelError("status", "a word", 7)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (again.field, again.expected, again.value) == ("status", "a word", 7)
    assert str(again) == str(error) == "'status' should be a word, but is 7"
    assert error.args == ("status", "a word", 7)


@pytest.mark.parametrize(("project_id", "page"), [("1", "1"), ("a/b?c", "a%2Fb%3Fc")])
def test_pages_of_objects(project_id: str, page: str) -> None:
    site = "https://toloka.test"
    assert PROJECT.page_at(site, project_id) == f"{site}/requester/project/{page}"
    assert POOL.page_at(site, project_id, "x/y") == f"{site}/requester/project/{page}/pool/x%2Fy"
    assert TRAINING.page_at(site, project_id, "7") == f"{site}/requester/project/{page}/training/7"
    assert OPERATION.page_at(site, project_id, "7") == site


def test_a_text_is_nothing_else() -> None:
    with pytest.raises(InvalidModelError, match="'public_name' should be a text, but is 7"):
        Project.from_json({**project(), "public_name": 7})


def test_a_wrong_id_is_shown_with_the_remedy() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        check_id("pool_id", "a b")
    assert str(caught.value) == (
        "pool_id should be an id of letters, digits, '_' and '-', but is 'a b'. "
        "If it comes from a template or an XCom, check that this renders to an id."
    )


@pytest.mark.parametrize(("parameters", "id_"), [({"pool_id": 7}, "7"), ({"pool_id": "7"}, "7"), ({}, None)])
def test_the_object_that_an_operation_works_on(parameters: dict[str, Any], id_: str | None) -> None:
    closing = Operation(id="op1", type="POOL.CLOSE", status="SUCCESS", parameters=parameters)
    assert POOL.id_in(closing) == id_
    assert POOL.works_on(closing, "7") is (id_ is not None)
    assert not POOL.works_on(closing, "8")
    assert not TRAINING.works_on(closing, "7")
