"""Toloka's API for any Python program."""
