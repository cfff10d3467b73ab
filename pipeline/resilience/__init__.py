"""What stands between the pipeline and a part that may be away or overloaded (docs/resilience.md).

opening.new_guard(part, settings, ...)   the guard of one part, made from settings
guard.Guard.call(work)                   one call through everything below, tried again where that may help
evidence                                 what the end of a call says about the part, decided by values alone
breaker, retrying, limiter, bulkhead     one job each, over one library each; budget: how many retries are affordable
"""
