"""Measure speed against other libraries, and quality on tables of data.

Contenders whose speeds are compared take turns in one process. The result is the median ratio of their times.
"""
