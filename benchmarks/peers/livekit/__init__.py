"""A LiveKit Agents bot, in an environment of its own."""
