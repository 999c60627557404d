"""A package that extends mlpframe: components in ``plugins/``, presets in ``conf/``."""
