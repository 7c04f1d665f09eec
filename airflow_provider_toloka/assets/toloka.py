"""Assets for Toloka's projects, pools and trainings: ``toloka://toloka.dev/pools/2004``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Validate and normalize the URI of an asset; Airflow calls this for the scheme ``toloka``.

    :param uri: the URI: the API's host, and a path, such as the kind and the id of an object.
    :raises ValueError: the host or the path is missing.
    """
    if not uri.netloc or uri.path in ("", "/"):
        raise ValueError(
            f"{uri.geturl()} needs a host and a path. Write the API's host, and the object as in the API's paths: "
            "toloka://toloka.dev/projects/1001, toloka://toloka.dev/pools/2004, toloka://toloka.dev/trainings/3001."
        )
    return uri._replace(netloc=uri.netloc.lower(), query="", fragment="")


def convert_asset_to_openlineage(asset: Any, lineage_context: Any) -> OpenLineageDataset:  # noqa: ARG001
    """Return the OpenLineage dataset of an asset; the OpenLineage provider calls this for the scheme ``toloka``.

    :param asset: the asset.
    :param lineage_context: the OpenLineage provider's context.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    uri = urlsplit(asset.uri)
    return Dataset(namespace=f"{uri.scheme}://{uri.netloc}", name=uri.path.lstrip("/"))
