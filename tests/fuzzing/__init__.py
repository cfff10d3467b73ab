"""Records by the million that nobody would write: both decoders must agree on each, and the books account for all.

mutation   from samples and the poison corpus to what a broken producer, a bad link or an attacker might send
judging    the worker's codec and the oracle's decoder over one record: neither may crash, both say the same
__main__   so many messages on all cores, seeded: `make fuzz MESSAGES=1000000`
"""
