"""The gateway of realtime updates: one feed of the topic, one hub, many subscribers (docs/realtime.md)."""
