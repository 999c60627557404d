"""Repeat the report that mlpframe grew out of: its printed numbers, new measurements, and a page with both.

"Assignment 1: Implementing MLP using Numpy", Deep Learning, 2022.
"""
