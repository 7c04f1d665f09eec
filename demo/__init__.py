"""Demos: ``make demo`` and ``make ui``."""
