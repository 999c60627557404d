"""Draw runs, sweeps and comparisons. The figures need only histories and arrays."""
