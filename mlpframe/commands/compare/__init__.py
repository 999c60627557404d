"""``mlpframe compare``."""
