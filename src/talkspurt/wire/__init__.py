"""Carrier message formats: bytes in, typed messages out, and back. Pure: no socket, clock or log.

One module per carrier. What a message *means* for a call is the transport's affair.
"""
