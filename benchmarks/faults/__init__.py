"""What callers notice when a provider fails: every fault at every stage, in real calls (`make bench-faults`)."""
