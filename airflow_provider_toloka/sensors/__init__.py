"""The sensors of the Toloka provider."""
