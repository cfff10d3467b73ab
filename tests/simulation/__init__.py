"""The worker's real code on a virtual clock, against servers in memory, with faults at every await.

    plan       what a seed stands for: workers, lanes, records, faults
    loop       an event loop whose time is virtual
    process    a worker's process: it can be killed, frozen and thawed, and its calls can be lost on either way
    broker     topics and the consumer group;  kafka_consumer, kafka_producer: the clients of it
    database   tables, locks, transactions, failover;  statements: each query of sql/queries;  connection: the client
    cache      the three scripts of pipeline.cache.balances
    world      all of it together: one seed, one history, one verdict
    shrinking  from a failing history to a small one

`python -m tests.simulation --seeds N` runs seeds on all cores; `--seed S` runs one and tells its history. What is not
simulated: SQL itself (its statements are written again, and held against PostgreSQL by a contract suite), the clients'
own protocols, the operating system. Acceptance tests on real servers cover these (docs/reliability.md).
"""
