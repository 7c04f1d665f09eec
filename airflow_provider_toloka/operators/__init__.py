"""The operators of the Toloka provider."""
