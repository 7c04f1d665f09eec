"""The package at work: ``make demo`` and ``make ui``."""
