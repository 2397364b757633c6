"""An agent for calls whose words do not matter."""

from talkspurt.agent import Agent

agent = Agent(name="shop", prompt="You answer a shop's telephone.", greeting="Thank you for calling. How can I help?")
