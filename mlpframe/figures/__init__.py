"""The pictures of runs, sweeps and comparisons, drawn from histories and arrays alone."""
