"""Measurements, each against its baseline in the same run, for the machine's own speed comes and goes."""
