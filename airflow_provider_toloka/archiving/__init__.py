"""Archiving: the rules, a single project, and batches of projects."""
