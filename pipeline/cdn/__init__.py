"""A CDN before the API, told to forget what has changed (docs/cache.md, docs/decisions/0022).

queue.py     which tags are due, decided by values alone
purges.py    the task that purges them, behind the CDN's guard
client.py    one request
opening.py   the assembly
"""
