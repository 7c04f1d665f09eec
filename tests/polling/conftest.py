"""What all tests of polling are held to."""

from tests.retrieved import errors_are_retrieved

__all__ = ["errors_are_retrieved"]
