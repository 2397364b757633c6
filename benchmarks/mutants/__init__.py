"""Mutation testing of the conversation core: how many small faults in it do its tests notice? See docs/mutation.md."""
