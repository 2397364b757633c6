"""The bundled agent, which serves an online retailer's customers, and its database.

It is an example of what users write: it imports only what their agents would.
"""

from talkspurt.retail.agent import create_agent

__all__ = ["create_agent"]
