"""Waiting for many operations with few requests."""
