"""A component of each kind, and its test. ``mlpframe new`` copies both under the name of a new component."""
