"""A run, from composing its configuration to writing its results into its folder."""
