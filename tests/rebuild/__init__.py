"""Rebuilding: what follows from the event store, made anew in place."""
