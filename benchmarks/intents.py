"""How well the offline brain understands the bundled agent's callers.

Scores the paraphrases in `tests/data/paraphrases.tsv`, which were written apart from the agent's
examples, and writes `build/bench/intents.json`. A sentence that is not understood counts as
`out_of_scope`, which is what the caller would hear; of two close intents the likelier counts.
Two authors write "I want my money back" independently: sentences that happen to be examples too are
left out of the second figure.

    python benchmarks/intents.py [file.tsv]
"""

import json
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from talkspurt.config import Config
from talkspurt.models.offline.embedding import WEIGHTS, SentenceEmbedder
from talkspurt.models.offline.understanding import Comprehension
from talkspurt.retail.dialogue import DIALOGUE
from talkspurt.speech.weights import WeightStore

REPOSITORY = Path(__file__).resolve().parent.parent
PARAPHRASES = REPOSITORY / "tests/data/paraphrases.tsv"
REPORT = REPOSITORY / "build/bench/intents.json"
TARGET = 0.85


def score(comprehension: Comprehension, path: Path = PARAPHRASES) -> dict[str, Any]:
    """Accuracy overall and per intent, the confusion, and every sentence that was misunderstood."""
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    confusion: dict[str, Counter[str]] = defaultdict(Counter)
    mistakes = []
    clear = clear_and_right = unseen = unseen_and_right = 0
    started = time.perf_counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        intent, _, sentence = line.partition("\t")
        if not sentence or line.startswith("#"):
            continue
        heard = comprehension.understand(sentence)
        found = heard.best.name if heard.best else "out_of_scope"
        total[intent] += 1
        right[intent] += found == intent
        confusion[intent][found] += 1
        clear += heard.clear is not None
        clear_and_right += heard.clear is not None and found == intent
        unseen += not comprehension.knows(sentence)
        unseen_and_right += not comprehension.knows(sentence) and found == intent
        if found != intent:
            mistakes.append({"sentence": sentence, "meant": intent, "understood": found})
    sentences = sum(total.values())
    return {
        "sentences": sentences,
        "accuracy": round(sum(right.values()) / sentences, 4),
        "unseen": unseen,
        "accuracy_unseen": round(unseen_and_right / max(unseen, 1), 4),
        "accuracy_per_intent": {intent: round(right[intent] / count, 4) for intent, count in sorted(total.items())},
        "clear": round(clear / sentences, 4),
        "accuracy_when_clear": round(clear_and_right / max(clear, 1), 4),
        "milliseconds_per_sentence": round(1000 * (time.perf_counter() - started) / sentences, 2),
        "confusion": {intent: dict(row.most_common()) for intent, row in sorted(confusion.items())},
        "mistakes": mistakes,
    }


def main() -> int:
    """Print the score; 1 when it misses the target or the paraphrases are not there."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PARAPHRASES
    if not path.is_file():
        print(f"no paraphrases at {path}: nothing was measured", file=sys.stderr)
        return 1
    folder = WeightStore.from_config(Config()).path(WEIGHTS)
    report = score(Comprehension(DIALOGUE, SentenceEmbedder(folder)), path)
    for intent, accuracy in report["accuracy_per_intent"].items():
        others = {found: count for found, count in report["confusion"][intent].items() if found != intent}
        print(f"{intent:18} {accuracy:7.1%}  {others or ''}")
    print(f"{'all':18} {report['accuracy']:7.1%}  of {report['sentences']} sentences", end="")
    print(f", {report['milliseconds_per_sentence']} ms each; clear {report['clear']:.1%}", end="")
    print(f", of which right {report['accuracy_when_clear']:.1%}")
    print(
        f"{'unlike examples':18} {report['accuracy_unseen']:7.1%}  of {report['unseen']} sentences that are no example"
    )
    if path == PARAPHRASES:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if min(report["accuracy"], report["accuracy_unseen"]) >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
