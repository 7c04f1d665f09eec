"""Assets of the scheme ``toloka``."""
