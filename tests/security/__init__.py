"""The stream on servers that trust nobody: TLS everywhere, a login for each role, and no right beyond what is granted.

authority   certificates: the servers' own, and those of somebody else
servers     Kafka with SCRAM, TLS and ACLs; PostgreSQL that takes TLS alone; Redis with a login over TLS
logins      who there is, and what each is given: deploy/kafka-acls.txt, the roles of the schema
"""
