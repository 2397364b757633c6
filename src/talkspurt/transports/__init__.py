"""The lines a call can come in on. Each module turns one carrier's messages into `ports.Transport`."""
