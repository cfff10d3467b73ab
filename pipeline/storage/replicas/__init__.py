"""Reads by declared intent: over healthy replicas in turn, else from the primary (docs/replicas.md).

opening.open_readers(settings, endpoints)   the readers of a process, with its health checks
router.ReplicaReaders.read(...)             one read, wherever it may be answered
choice                                      which servers, decided by values alone
health                                      what each server says of itself, every 30 s and on an error
pool                                        bounded connections to one server, and a reader's transaction
"""
