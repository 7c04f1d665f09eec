from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.client.work import AggregatedSolution, Task
from airflow_provider_toloka.labelling.results import joined

ids = st.lists(st.from_regex(r"\A[0-9a-f]{1,3}\Z"), unique=True)


@given(tasks=ids, results=ids)
def test_each_answer_has_the_input_of_its_task_whatever_the_order(tasks: list[str], results: list[str]) -> None:
    rows = list(
        joined(
            (AggregatedSolution(task_id=id_, output_values={"result": f"of {id_}"}, confidence=0.5) for id_ in results),
            (Task(id=id_, pool_id="1", input_values={"n": id_}) for id_ in tasks),
        )
    )
    assert [(row["task_id"], row["output"], row["confidence"]) for row in rows] == [
        (id_, {"result": f"of {id_}"}, 0.5) for id_ in results
    ]
    assert [row["input"] for row in rows] == [{"n": id_} if id_ in tasks else None for id_ in results]
