"""Creating, filling and collecting: what labelling needs beyond single API calls. Takes a client, knows no Airflow."""
