"""`make bench-effects`: thousands of calls in which everything goes wrong, and what became of the effects.

The caller, the carrier, the model and the systems outside are doubles; conversation, session, switchboard, dispatcher,
ledger, store and tools are the real ones. `referee` judges by what the caller heard and what happened in the world.
"""
