"""Measurements: ratios of medians within one run, never single times."""
