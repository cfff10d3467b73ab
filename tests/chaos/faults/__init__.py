"""Each kind of fault, by what it strikes; `tests.chaos.catalogue` knows all of them by name."""
