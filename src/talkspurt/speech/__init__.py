"""Local inference shared by all calls of a worker, and the store of the weights it needs."""
