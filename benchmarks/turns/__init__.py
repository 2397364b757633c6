"""`make bench-turns`: calls through the real server, and what can be measured on them.

`run` places the frozen calls of `scenarios.json` and leaves artefacts on disk (`artefacts` says which);
measuring reads nothing but those.
"""
