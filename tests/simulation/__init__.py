"""Whole days of the library in virtual time, each drawn from one number; see docs/simulation.md."""
