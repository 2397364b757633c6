"""Bots of other voice frameworks, that the capacity benchmark drives with the same client and timing as Talkspurt."""
