"""Wait for many operations with few requests."""
