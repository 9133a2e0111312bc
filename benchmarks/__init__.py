"""Measures this project beside others and beside what the machine can do; docs/benchmarks.md explains how. ``make bench``."""
