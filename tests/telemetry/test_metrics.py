"""Metrics are exposed in Prometheus' format, with labels from closed sets."""

from prometheus_client.parser import text_string_to_metric_families

from talkspurt.telemetry import metrics


def test_all_metrics_are_exposed_and_parse() -> None:
    metrics.CALLS_ENDED.labels("agent_goodbye").inc()
    metrics.TURN_LATENCY.observe(0.7)
    families = {family.name: family for family in text_string_to_metric_families(metrics.exposition().decode())}
    assert {"talkspurt_active_calls", "talkspurt_calls_ended", "talkspurt_turn_latency_seconds"} <= set(families)
    assert all(family.documentation for name, family in families.items() if name.startswith("talkspurt_"))


def test_a_label_from_outside_becomes_other() -> None:
    assert metrics.label("busy", {"busy", "failed"}) == "busy"
    assert metrics.label("<script>", {"busy", "failed"}) == "other"
