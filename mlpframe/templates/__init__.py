"""A component of each kind and its test, to begin with: what ``mlpframe new`` writes under another name."""
