"""The report that mlpframe grew out of, run again: its numbers, what is measured, the page that shows both.

"Assignment 1: Implementing MLP using Numpy", Deep Learning, 2022.
"""
