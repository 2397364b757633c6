"""`python -m talkspurt` is the command `talkspurt`."""

from talkspurt.cli import main

main()
