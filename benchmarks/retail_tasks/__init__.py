"""`make bench-retail-tasks`: tau2-bench's 74 retail tasks, with a scripted oracle in place of the model.

`scripts` holds what each caller says, in our own words; `oracle` makes the calls that a task expects, with arguments
taken from nothing but those words; `reference` says what the shop should look like afterwards, `exporter` what it looks
like, and `judge` whether the two agree. `text` holds the calls in text, `voice` over the line.
"""
