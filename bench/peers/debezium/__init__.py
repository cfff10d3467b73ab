"""Debezium's JDBC sink on a standalone Kafka Connect worker."""
