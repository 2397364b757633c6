"""Every metric of the process, in one registry, under one word per thing (see the glossary).

Labels come from closed sets or from `label`, never from what a stranger sent: one label value
per caller would fill the memory of this process and of the one that collects.
"""

import os
from collections.abc import Collection
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)
Gauge("talkspurt_process_id", "Number of this process.", registry=REGISTRY).set_function(os.getpid)

CALLS: Final = Counter("talkspurt_calls", "Calls admitted.", ["agent"], registry=REGISTRY)
CALLS_REFUSED: Final = Counter(
    "talkspurt_calls_refused", "Calls turned away, by reason.", ["reason"], registry=REGISTRY
)
CALLS_ENDED: Final = Counter("talkspurt_calls_ended", "Calls that ended, by end reason.", ["reason"], registry=REGISTRY)
ACTIVE_CALLS: Final = Gauge("talkspurt_active_calls", "Calls with a media attachment now.", registry=REGISTRY)
ATTACHMENTS: Final = Counter("talkspurt_attachments", "Media attachments accepted.", registry=REGISTRY)

FRAMES_DROPPED: Final = Counter(
    "talkspurt_frames_dropped", "Messages from the line dropped, by reason.", ["reason"], registry=REGISTRY
)
FRAMES_NOT_SENT: Final = Counter(
    "talkspurt_frames_not_sent", "Messages to the line dropped, by reason.", ["reason"], registry=REGISTRY
)
CHUNKS: Final = Counter(
    "talkspurt_chunks_out_of_order",
    "Audio chunks that did not come once and in order, by what happened to them.",
    ["kind"],
    registry=REGISTRY,
)
SILENCE_FILLED: Final = Counter(
    "talkspurt_silence_filled_seconds", "Silence put in place of missing audio.", registry=REGISTRY
)
FRAME_ERRORS: Final = Counter("talkspurt_frame_errors", "Exceptions while a frame was handled.", registry=REGISTRY)

WEBHOOKS: Final = Counter("talkspurt_webhooks", "Webhook requests, by outcome.", ["path", "outcome"], registry=REGISTRY)
SOCKETS_REFUSED: Final = Counter(
    "talkspurt_sockets_refused", "Media sockets refused or closed by us, by reason.", ["reason"], registry=REGISTRY
)
CONNECTIONS_DROPPED: Final = Counter(
    "talkspurt_connections_dropped",
    "Connections dropped before they asked for anything: too many waited, or their address had asked too often.",
    ["reason"],
    registry=REGISTRY,
)
SOCKETS_PASSED: Final = Counter(
    "talkspurt_sockets_passed",
    "Media sockets that reached another worker than theirs: given to it, taken from another, or kept.",
    ["what"],
    registry=REGISTRY,
)
PROCESSES_ENDED: Final = Counter(
    "talkspurt_processes_ended",
    "Processes of this server that ended and were started again, by kind and by why.",
    ["kind", "reason"],
    registry=REGISTRY,
)
LOOP_LAG: Final = Gauge(
    "talkspurt_loop_lag_seconds", "p99 of how late the media clock ticked, over five seconds.", registry=REGISTRY
)
PLAYOUT_LATENESS: Final = Gauge(
    "talkspurt_playout_lateness_seconds",
    "p99 of how much later than its lead allows audio went to the carrier, over five seconds.",
    registry=REGISTRY,
)

SPECULATION: Final = Counter(
    "talkspurt_speculation",
    "Replies asked for before the caller's turn was over, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
SPECULATION_CHARACTERS: Final = Counter(
    "talkspurt_speculation_characters",
    "Characters synthesized ahead, whether or not they were spoken.",
    registry=REGISTRY,
)

TURN_LATENCY: Final = Histogram(
    "talkspurt_turn_latency_seconds",
    "From the caller's last voiced sample to the first sample of the model's reply that is played.",
    buckets=(0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0),
    registry=REGISTRY,
)
INFERENCE_QUEUED: Final = Histogram(
    "talkspurt_inference_queued_seconds",
    "What a piece of local inference waited until it was begun, by kind.",
    ["kind"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0),
    registry=REGISTRY,
)
INFERENCE_RUN: Final = Histogram(
    "talkspurt_inference_run_seconds",
    "What a piece of local inference took once it was begun, by kind.",
    ["kind"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0),
    registry=REGISTRY,
)
INFERENCE_REFUSED: Final = Counter(
    "talkspurt_inference_refused",
    "Pieces of local inference that were not done, by kind and reason.",
    ["kind", "reason"],
    registry=REGISTRY,
)
INFERENCE_RESTARTS: Final = Counter(
    "talkspurt_inference_restarts",
    "Inference processes started again, by what had become of them.",
    ["reason"],
    registry=REGISTRY,
)
ANOMALIES: Final = Counter(
    "talkspurt_anomalies", "Things a conversation did not expect, by name.", ["name"], registry=REGISTRY
)

RUNG_FAILURES: Final = Counter(
    "talkspurt_provider_failures",
    "Requests that a provider failed, by stage and provider.",
    ["port", "vendor"],
    registry=REGISTRY,
)
KNOWN_ANSWERS: Final = Counter(
    "talkspurt_known_answers",
    "Answers to common questions that were kept, and told again without asking a model.",
    ["outcome"],
    registry=REGISTRY,
)
RUNGS_SKIPPED: Final = Counter(
    "talkspurt_providers_skipped",
    "Requests that went past a provider, because it was full or its breaker open.",
    ["port", "vendor", "reason"],
    registry=REGISTRY,
)
RUNG_SWITCHES: Final = Counter(
    "talkspurt_provider_switches",
    "Requests that another provider was asked to fulfil as well, by why: failed, late, or slower than usual (hedged).",
    ["port", "vendor", "reason"],
    registry=REGISTRY,
)
SWITCH_SECONDS: Final = Histogram(
    "talkspurt_provider_switch_seconds",
    "From a provider's failure, or the end of the patience with it, to the first useful output of who took over.",
    ["port"],
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0),
    registry=REGISTRY,
)
BREAKERS_OPEN: Final = Gauge(
    "talkspurt_provider_breaker_open",
    "Whether a provider is left alone now (1) or not (0).",
    ["port", "vendor"],
    registry=REGISTRY,
)

HANDOVERS: Final = Counter(
    "talkspurt_handovers", "Attempts to reach a person, by outcome.", ["outcome"], registry=REGISTRY
)
CALLBACKS: Final = Counter("talkspurt_callbacks", "Call-backs noted.", registry=REGISTRY)

EFFECTS: Final = Counter(
    "talkspurt_effects",
    "Effects of tools by what came of them; refused ones were never begun.",
    ["outcome"],
    registry=REGISTRY,
)
EFFECTS_RESOLVED: Final = Counter(
    "talkspurt_effects_resolved",
    "Effects without an outcome that were looked up, by what was found.",
    ["outcome"],
    registry=REGISTRY,
)
EFFECTS_FOR_A_PERSON: Final = Counter(
    "talkspurt_effects_for_a_person",
    "Effects that somebody has to look at, in doubt or confirmed and not done: talkspurt effects lists them.",
    registry=REGISTRY,
)

MCP_CONNECTED: Final = Gauge(
    "talkspurt_mcp_connected",
    "Whether a server of [mcp.servers] can be called now (1) or not (0).",
    ["server"],
    registry=REGISTRY,
)

TURNS_WAITING: Final = Gauge("talkspurt_turns_waiting", "Turns not yet in the database.", registry=REGISTRY)
TURNS_DROPPED: Final = Counter("talkspurt_turns_dropped", "Turns lost, by reason.", ["reason"], registry=REGISTRY)
STORE_FAILURES: Final = Counter(
    "talkspurt_store_failures",
    "Database operations that failed, by what they were for.",
    ["purpose"],
    registry=REGISTRY,
)


def label(value: str, known: Collection[str]) -> str:
    """`value` when it is one of the `known`, else "other"."""
    return value if value in known else "other"


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
