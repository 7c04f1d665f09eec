"""Transports, which send the requests of flows."""
