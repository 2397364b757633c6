"""Recognition, speech and judgement of turns by local models, for all calls of a worker or of a machine.

`open_inference` gives the `Inference` that the configuration describes: threads of this process (`local.py`), or
inference processes that all workers of the machine share (`remote.py`), which `inference_processes` starts and keeps
alive (`supervision.py`). Both do one piece of work at a time for whom it is due first (`fair_queue.py`).
"""

from talkspurt.speech.inference.asking import Ask, Inference, Purpose, context_for, current_purpose, made_ahead
from talkspurt.speech.inference.choice import open_inference

__all__ = ["Ask", "Inference", "Purpose", "context_for", "current_purpose", "made_ahead", "open_inference"]
