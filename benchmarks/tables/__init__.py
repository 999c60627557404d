"""``python -m benchmarks tables``: the defaults of mlpframe on tables of data, against scikit-learn."""
