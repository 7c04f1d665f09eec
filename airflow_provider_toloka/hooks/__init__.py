"""The hooks of the Toloka provider."""
