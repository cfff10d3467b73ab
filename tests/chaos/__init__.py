"""Real servers and real workers, and what goes wrong with them: `python -m tests.chaos`, `make chaos`.

    plan       what a seed stands for: which faults, in which order, how hard
    faults     each kind of fault: how it strikes, how it is healed, what proves that it fired;  catalogue: all by name
    link       the network between workers and a server: refuses, resets, holds, swallows, delays, cuts at a COMMIT
    nodes      PostgreSQL with its standby;  broker, cache: the other two servers
    crew       the workers;  records, load: what producers send meanwhile;  reader: who reads balances by the cache
    arena      all of it together;  guard: what clears it up, however we end
    trial      one fault: struck, proved, healed, drained, reconciled;  checks: what must hold afterwards
    campaign   trial after trial;  report: what came of them

What is not here: power loss, more than one broker, clocks. The simulation (tests/simulation) has clocks, and orders of
events that real processes seldom take.
"""
