"""Compute statistics and gradients. This package prints and draws nothing."""
