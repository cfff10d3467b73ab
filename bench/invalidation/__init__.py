"""Sustained cache invalidation, through the product's own invalidator and against the real cache."""
