"""What a task read and wrote, for OpenLineage. Nothing of OpenLineage is imported until its provider asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_toloka.client.config import Settings
    from airflow_provider_toloka.client.resources import Resource


@dataclass(frozen=True, slots=True)
class Place:
    """What a task reads or writes.

    :param namespace: the system that it is in, as OpenLineage names systems: ``toloka://toloka.dev``, ``s3://bucket``.
    :param name: its name there: ``projects/1001``.
    :param rows: the number of rows that were read or written; None: not counted.
    :param change: what has happened to it as a whole.
    """

    namespace: str
    name: str
    rows: int | None = None
    change: Literal["CREATE", "ALTER"] | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a task read and wrote.

    :param operation_ids: the operations that did it.
    :param source: the Toloka that they ran at; see ``source_of``.
    """

    inputs: Sequence[Place] = ()
    outputs: Sequence[Place] = ()
    operation_ids: Sequence[str] = ()
    source: str = ""


def file_place(path: ObjectStoragePath | str, rows: int | None = None) -> Place:
    """Return the place of a file.

    :param path: the file.
    :param rows: the number of its rows.
    """
    uri = urlsplit(str(path))
    if uri.scheme in ("", "file"):
        return Place("file", uri.path, rows)
    # Airflow puts the id of the storage's connection before the bucket.
    return Place(f"{uri.scheme}://{uri.netloc.rpartition('@')[2]}", uri.path.lstrip("/"), rows)


def toloka_place(source: str, resource: Resource, object_id: str, **more: Any) -> Place:
    """Return the place of an object at Toloka; assets of the scheme ``toloka`` have the same.

    :param source: what ``source_of`` returns.
    :param resource: the object's kind.
    :param object_id: the object's id.
    :param more: further fields of the place.
    """
    return Place(source, f"{resource.path}/{object_id}", **more)


def source_of(settings: Settings) -> str:
    """Return the namespace of a connection's Toloka.

    :param settings: the connection's.
    """
    return f"toloka://{urlsplit(settings.base_url).netloc.lower()}"


class LineageMixin:
    """Lets an operator tell OpenLineage what it did; it adds what it knows as it goes."""

    _lineage: Lineage | None = None

    def _add_lineage(self, **facts: Any) -> None:
        """Add to what is known.

        :param facts: fields of ``Lineage``.
        """
        self._lineage = replace(self._lineage or Lineage(), **facts)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:  # noqa: ARG002
        """Return what the task did; the OpenLineage provider calls this.

        :param task_instance: the task instance.
        """
        return None if self._lineage is None else _to_openlineage(self._lineage)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return what the task did before it failed; the OpenLineage provider calls this.

        :param task_instance: the task instance.
        """
        return self.get_openlineage_facets_on_complete(task_instance)


def _to_openlineage(lineage: Lineage) -> OperatorLineage[Any, Any]:
    from airflow.providers.common.compat.openlineage.facet import ExternalQueryRunFacet
    from airflow.providers.openlineage.extractors import OperatorLineage

    run_facets: dict[str, Any] = {}
    if lineage.operation_ids:
        run_facets["externalQuery"] = ExternalQueryRunFacet(
            externalQueryId=",".join(lineage.operation_ids), source=lineage.source
        )
    return OperatorLineage(
        inputs=[_input(place) for place in lineage.inputs],
        outputs=[_output(place) for place in lineage.outputs],
        run_facets=run_facets,
    )


def _input(place: Place) -> Any:
    from airflow.providers.common.compat.openlineage.facet import InputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset

    facets: dict[str, Any] = {}
    if place.rows is not None:
        facets["inputStatistics"] = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rowCount=place.rows)
    return InputDataset(namespace=place.namespace, name=place.name, inputFacets=facets)


def _output(place: Place) -> Any:
    from airflow.providers.common.compat.openlineage.facet import (
        LifecycleStateChange,
        LifecycleStateChangeDatasetFacet,
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
    )

    facets: dict[str, Any] = {}
    if place.change:
        change = LifecycleStateChange[place.change]
        facets["lifecycleStateChange"] = LifecycleStateChangeDatasetFacet(lifecycleStateChange=change)
    statistics: dict[str, Any] = {}
    if place.rows is not None:
        statistics["outputStatistics"] = OutputStatisticsOutputDatasetFacet(rowCount=place.rows)
    return OutputDataset(namespace=place.namespace, name=place.name, facets=facets, outputFacets=statistics)
