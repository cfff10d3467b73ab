"""The contract of the stream for other people's tools: JSON Schema, AsyncAPI, and a judge of files."""
