"""Open-loop load at a rate, and what became visible when: an own process sends, another one receives."""
