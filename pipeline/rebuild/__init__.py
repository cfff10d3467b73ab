"""Rebuilding what follows from the event store, in place and beside live traffic: see docs/rebuild.md.

    slices      organisations, cut so that each slice has about as many events
    look        what is wrong in a slice: by sets and sorted cursors, in one snapshot, without a lock
    mend        what was found, in bounded steps under the lane locks, by the writer's own functions
    job         where it stands, in ops.jobs: killed, the same command goes on

A second implementation of the accounting would be a second truth: this package is the one besides the worker's that
may use `batchers`, as far as a contract in pyproject.toml says.
"""
