"""Properties loaded by command: rules as plain functions, the file they come from, and the transaction that writes."""
