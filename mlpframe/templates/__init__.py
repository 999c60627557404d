"""A component of each kind, and its test. ``mlpframe new`` copies them under another name."""
