"""The extra links of the Toloka provider."""
