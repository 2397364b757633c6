"""One step of the schema per module, never changed once released."""
