"""What a package gives to mlpframe: components in ``plugins/``, presets in ``conf/``."""
