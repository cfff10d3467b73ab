"""From the topic to judged records: membership, lanes, claims, fetching."""
