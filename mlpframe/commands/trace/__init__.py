"""``mlpframe trace``."""
