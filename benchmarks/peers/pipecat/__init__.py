"""A Pipecat bot, in an environment of its own."""
