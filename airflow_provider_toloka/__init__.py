"""Apache Airflow provider for Toloka: archive projects safely, and wait for Toloka's operations."""

__version__ = "1.0.0"
