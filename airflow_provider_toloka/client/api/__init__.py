"""The calls of Toloka's API, as flows."""
