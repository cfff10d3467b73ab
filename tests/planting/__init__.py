"""Bugs planted by hand, each of which must turn its test red: `make plant`."""
