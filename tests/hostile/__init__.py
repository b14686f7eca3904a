"""Attacks on the library: a hostile feed, kills and mutated files.

The tests run a short part of them. ``python -m tests.hostile --minutes N`` runs them for long and
prints counts.
"""
