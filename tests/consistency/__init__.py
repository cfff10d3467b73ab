"""The books held against themselves."""
