"""Benchmark sets: what they hold, how the published layouts are read, and how a set is frozen."""
