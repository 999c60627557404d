"""Measurements. Every result is a median of ratios between contenders that take turns in one process."""
