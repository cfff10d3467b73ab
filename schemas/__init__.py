"""What flows: finance events in, realtime updates out, and the rules that a record must keep."""
