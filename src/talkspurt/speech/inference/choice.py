"""Which inference a configuration means."""

from talkspurt.config import Config
from talkspurt.speech.inference.asking import Inference
from talkspurt.speech.inference.local import LocalInference


def open_inference(config: Config) -> Inference:
    """Make it; nothing is loaded yet. Whoever asked for it closes it."""
    return LocalInference.shared(config)
