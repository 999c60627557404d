"""Turn a loaded data set into the arrays of a run."""
