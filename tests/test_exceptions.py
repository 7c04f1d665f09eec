from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_toloka import exceptions
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaError, TolokaOperationFailedError
from tests.driving import operation

FACTS: dict[str, Any] = {
    "status": 409,
    "code": "CONFLICT_STATE",
    "message": "Told so",
    "request_id": "r-1",
    "payload": {"field": ["OPEN"]},
    "retry_after": 3.0,
    "reason": "it is open",
    "remedy": "Close it.",
}
KINDS = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, TolokaError)]
API_KINDS = [kind for kind in KINDS if issubclass(kind, TolokaApiError)]

copied = pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, *(lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(6))],  # noqa: S301
)


@copied
@pytest.mark.parametrize("kind", API_KINDS)
def test_an_api_error_survives_a_copy(copied: Callable[[TolokaApiError], TolokaApiError], kind: type) -> None:
    error = kind("Could not do it", **FACTS)
    twin = copied(error)
    assert type(twin) is kind
    assert vars(twin) == vars(error) == {"summary": "Could not do it", **FACTS}
    assert str(twin) == str(error)


@copied
def test_a_failed_operation_survives_a_copy(
    copied: Callable[[TolokaOperationFailedError], TolokaOperationFailedError],
) -> None:
    json = operation(status="FAIL", submitted="2016-04-07T16:06:15.902", details={"reason": "none"})
    error = TolokaOperationFailedError(Operation.from_json(json), [{"success": False}])
    twin = copied(error)
    assert (twin.operation, twin.log, str(twin)) == (error.operation, error.log, str(error))


def test_an_api_error_shows_what_it_knows() -> None:
    assert str(TolokaApiError("Could not do it.", **{**FACTS, "payload": None})) == (
        "Could not do it. [HTTP status 409, code 'CONFLICT_STATE', message 'Told so', request id 'r-1']"
    )
    assert str(TolokaApiError("Could not do it.")) == "Could not do it."


def test_a_failed_operation_shows_details_and_log() -> None:
    bare = TolokaOperationFailedError(Operation.from_json(operation(status="FAIL")))
    assert str(bare) == (
        "Toloka's operation op1 (PROJECT.ARCHIVE, parameters {'project_id': '1'}) "
        "ended as FAIL. Toloka gave no details."
    )
    told = TolokaOperationFailedError(
        Operation.from_json(operation(status="FAIL", details={"why": "so"})), [{"output": "X"}]
    )
    assert str(told).endswith("ended as FAIL. Details: {'why': 'so'}. Log: [{'output': 'X'}].")


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn: list[tuple[int, str]] = []
    for line in (exceptions.__doc__ or "").splitlines():
        words = line.replace("├──", "").replace("└──", "").replace("│", " ").split()
        if words and words[0].startswith("Toloka") and words[0].endswith("Error"):
            drawn.append((line.index("Toloka"), words[0]))
    assert {name for _, name in drawn} == {kind.__name__ for kind in KINDS}
    parents: list[tuple[int, str]] = []
    for indent, name in drawn:
        parents = [parent for parent in parents if parent[0] < indent]
        if parents:
            assert getattr(exceptions, name).__base__.__name__ == parents[-1][1]
        parents.append((indent, name))
