"""`make bench-capacity`: how many calls one core holds, of Talkspurt's and of two other frameworks'.

`load` places the calls, `systems` starts what is measured, `figures` are the definitions, `__main__` drives.
"""
