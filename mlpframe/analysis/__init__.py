"""Arithmetic on results; nothing is printed or drawn here."""
