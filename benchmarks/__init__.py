"""What this provider costs, measured: ``make bench``."""
