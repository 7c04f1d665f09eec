from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.emulator.conftest import Client, Clock, error_of


def test_numbers_order_digit_ids(toloka: TolokaEmulator, client: Client) -> None:
    for project_id in ("100", "99", "1001"):
        toloka.add_project(id=project_id)
    assert client.ids("/projects") == ["99", "100", "1001"]
    assert client.ids("/projects", sort="-id") == ["1001", "100", "99"]
    assert client.ids("/projects", id_gt="99") == ["100", "1001"]
    assert client.ids("/projects", id_gte="100", id_lt="1001") == ["100"]
    assert client.ids("/projects", id_lte="100") == ["99", "100"]


def test_pages_cover_everything_once(toloka: TolokaEmulator, client: Client) -> None:
    made = [toloka.add_project()["id"] for _ in range(650)]
    seen: list[str] = []
    sizes = []
    more = True
    while more:
        query = {"id_gt": seen[-1]} if seen else {}
        page = client.get("/projects", sort="id", limit=300, **query).json()
        seen += [item["id"] for item in page["items"]]
        sizes.append(len(page["items"]))
        more = page["has_more"]
    assert seen == made
    assert sizes == [300, 300, 50]
    assert len(client.ids("/projects")) == 50


def test_a_full_last_page_has_no_more(toloka: TolokaEmulator, client: Client) -> None:
    for _ in range(3):
        toloka.add_project()
    assert client.get("/projects", limit=3).json()["has_more"] is False
    assert client.get("/projects", limit=2).json()["has_more"] is True


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/projects", {"limit": "301"}, "limit"),
        ("/projects", {"limit": "0"}, "limit"),
        ("/projects", {"limit": "ten"}, "limit"),
        ("/projects", {"limit": ["1", "2"]}, "limit"),
        ("/projects", {"sort": "status"}, "sort"),
        ("/projects", {"sort": "id,"}, "sort"),
        ("/pools", {"sort": "public_name"}, "sort"),
        ("/operations", {"sort": "created"}, "sort"),
        ("/projects", {"status": "OPEN"}, "status"),
        ("/projects", {"project_id": "1"}, "project_id"),
        ("/projects", {"id_gt": "abc"}, "id_gt"),
        ("/projects", {"id_ne": "1"}, "id_ne"),
        ("/projects", {"last_started_gt": "2020-01-01"}, "last_started_gt"),
        ("/pools", {"owner": "1"}, "owner"),
        ("/pools", {"created_gt": "yesterday"}, "created_gt"),
        ("/pools", {"created_gt": "2020-13-01"}, "created_gt"),
        ("/pools", {"created_gt": "2020-01-01T00:00:00Z"}, "created_gt"),
        ("/trainings", {"type": "POOL.OPEN"}, "type"),
        ("/operations", {"created_gt": "2020-01-01"}, "created_gt"),
    ],
)
def test_what_a_list_does_not_offer_is_refused(client: Client, path: str, query: dict[str, Any], field: str) -> None:
    body = error_of(client.get(path, **query), 400, "VALIDATION_ERROR")
    assert list(body["payload"]) == [field]
    assert set(body["payload"][field]) == {"code", "message"}


def test_date_ranges(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    early, late, never = (toloka.add_pool(project, created="2020-01-01")["id"] for _ in range(3))
    toloka.load(
        {
            "projects": [{"id": project}],
            "pools": [
                {"id": early, "project_id": project, "last_started": "2022-03-01T10:00:00"},
                {"id": late, "project_id": project, "last_started": "2022-03-01T10:00:00.902"},
                {"id": never, "project_id": project},
            ],
        }
    )
    assert client.ids("/pools", last_started_gte="2022-03-01") == [early, late]
    assert client.ids("/pools", last_started_gt="2022-03-01T10:00:00") == [late]
    assert client.ids("/pools", last_started_lt="2022-03-01T10:00:00.902") == [early]
    assert client.ids("/pools", last_started_lte="2022-03-01T10:00:00.9021", sort="-last_started") == [late, early]
    assert client.ids("/pools", last_started_gt="2022-03-01T10:00:00.902") == []
    assert client.ids("/pools", sort="-last_started") == [late, early, never]


def test_filters(toloka: TolokaEmulator, client: Client) -> None:
    active, archived = toloka.add_project()["id"], toloka.add_project(status="ARCHIVED")["id"]
    opened, closed = toloka.add_pool(active, status="OPEN")["id"], toloka.add_pool(active)["id"]
    other = toloka.add_pool(archived)["id"]
    training = toloka.add_training(archived, status="ARCHIVED")["id"]
    assert client.ids("/projects", status="ACTIVE") == [active]
    assert client.ids("/projects", owner=client.get("/requester").json()["id"]) == [active, archived]
    assert client.ids("/projects", owner="somebody") == []
    assert client.ids("/pools", project_id=active) == [opened, closed]
    assert client.ids("/pools", project_id=active, status="OPEN") == [opened]
    assert client.ids("/pools", status="CLOSED") == [closed, other]
    assert client.ids("/pools", project_id="12345") == []
    assert client.ids("/trainings", project_id=archived, status="ARCHIVED") == [training]
    client.post(f"/pools/{opened}/close")
    assert client.ids("/pools", status="OPEN") == []
    assert client.ids("/pools", status="CLOSED") == [opened, closed, other]


def test_sorting_by_several_fields(toloka: TolokaEmulator, client: Client) -> None:
    ids = [
        toloka.add_project(name, created=created)["id"]
        for name, created in [("b", "2020-01-01"), ("a", "2020-01-02"), ("b", "2020-01-03"), ("a", "2020-01-04")]
    ]
    assert client.ids("/projects", sort="public_name,-created") == [ids[3], ids[1], ids[2], ids[0]]
    assert client.ids("/projects", sort="-public_name,id") == [ids[0], ids[2], ids[1], ids[3]]
    assert client.ids("/projects", sort="private_comment,-public_name,created", limit=3) == [ids[0], ids[2], ids[1]]


def test_operations_by_type_and_finish(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    first = toloka.add_operation("POOL.OPEN", finished=clock.now - 50)["id"]
    second = toloka.add_operation("PROJECT.ARCHIVE", finished=clock.now - 100, status="FAIL")["id"]
    toloka.add_operation("PROJECT.ARCHIVE", status="RUNNING")
    assert client.ids("/operations", sort="finished", finished_gte="2020-01-01") == [second, first]
    assert client.ids("/operations", type="PROJECT.ARCHIVE", status="FAIL") == [second]
    assert client.ids("/operations", type="POOL.OPEN", submitted_lte="2100-01-01") == [first]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pools=st.lists(
        st.tuples(st.sampled_from(["OPEN", "CLOSED", "ARCHIVED"]), st.integers(0, 5), st.integers(0, 1)), max_size=12
    ),
    status=st.sampled_from([None, "OPEN", "CLOSED", "ARCHIVED"]),
    project=st.sampled_from([None, "98", "99"]),
    sort=st.sampled_from(["id", "-id", "created", "-created", "created,-id", "-created,id"]),
    days=st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
def test_any_page_is_what_a_plain_search_finds(
    toloka: TolokaEmulator,
    client: Client,
    pools: list[tuple[str, int, int]],
    status: str | None,
    project: str | None,
    sort: str,
    days: tuple[int, int],
) -> None:
    toloka.load({"projects": [{"id": "98"}, {"id": "99"}]})
    for pool_status, day, owner in pools:
        toloka.add_pool(str(98 + owner), status=pool_status, created=f"2020-01-0{day + 1}")
    query = {"created_gte": f"2020-01-0{days[0]}", "created_lt": f"2020-01-0{days[1]}", "sort": sort}
    expected = [
        pool
        for pool in toloka.pools.values()
        if f"2020-01-0{days[0]}" <= pool["created"] < f"2020-01-0{days[1]}"
        and status in (None, pool["status"])
        and project in (None, pool["project_id"])
    ]
    down = sort.startswith("-")
    id_down = sort in ("-id", "created,-id", "-created")
    expected.sort(key=lambda pool: int(pool["id"]), reverse=id_down)
    if "created" in sort:
        expected.sort(key=lambda pool: pool["created"], reverse=down)
    if status:
        query["status"] = status
    if project:
        query["project_id"] = project
    assert client.ids("/pools", **query) == [pool["id"] for pool in expected]


def test_moments_may_be_given_in_any_form(toloka: TolokaEmulator, client: Client) -> None:
    local = datetime(2022, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    utc = datetime(2022, 3, 1, 10)  # noqa: DTZ001  one without a zone is meant
    for created in (local, utc, 1_646_128_800, "2022-03-01T10:00:00", "2022-03-01T10:00:00"):
        project = toloka.add_project(created=created)["id"]
        assert client.get(f"/projects/{project}").json()["created"] == "2022-03-01T10:00:00"


def test_two_filters_sift_each_other(toloka: TolokaEmulator, client: Client) -> None:
    project, other = toloka.add_project()["id"], toloka.add_project()["id"]
    pools = [toloka.add_pool(where, status="OPEN")["id"] for where in (project, other, project)]
    toloka.add_pool(project)
    assert client.ids("/pools", project_id=project, status="OPEN") == [pools[0], pools[2]]


def test_what_is_equal_goes_by_id_in_the_same_direction(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project(created="2020-01-01")["id"]
    pools = [toloka.add_pool(project, created="2020-01-01", last_started="2020-01-02")["id"] for _ in range(3)]
    for field in ("created", "last_started"):
        assert client.ids("/pools", sort=field) == pools
        assert client.ids("/pools", sort=f"-{field}") == pools[::-1]
