"""Labelling beyond single API calls: create, fill and collect. Uses a client; independent of Airflow."""
