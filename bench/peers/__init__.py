"""Other ways of doing the same work, each as a good user of that tool would write it, run beside the product.

A folder is a peer: its program, and the hash-locked packages of its own environment. Programs share the modules beside
them and nothing else of the project; those run in any peer's environment.
"""
