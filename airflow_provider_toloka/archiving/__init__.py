"""Archiving: the rules, one project, and an account."""
