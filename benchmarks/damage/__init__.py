"""Damaged and hostile files: every one must end in a result, or in a message where the file is read."""
