"""Which inference a configuration means."""

from talkspurt.config import Config
from talkspurt.speech.inference.asking import Inference
from talkspurt.speech.inference.local import LocalInference
from talkspurt.speech.inference.remote import RemoteInference


def open_inference(config: Config) -> Inference:
    """Make it; nothing is loaded yet. Whoever asked for it closes it."""
    sockets = config.inference.sockets
    return RemoteInference(sockets) if sockets else LocalInference.shared(config)
