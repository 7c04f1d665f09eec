"""The triggers of the Toloka provider."""
