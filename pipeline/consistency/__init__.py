"""The books held against themselves, online: what follows from the store must be what stands in the tables."""
