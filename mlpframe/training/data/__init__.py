"""From a data set as loaded to the arrays of a run."""
