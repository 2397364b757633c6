"""The metrics of several processes in one exposition, as a collector reads it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from talkspurt.server.exposition import collect_metrics, merged, show_metrics


def exposition(calls: int) -> str:
    registry = CollectorRegistry()
    Counter("calls", "Calls.", ["agent"], registry=registry).labels('say "hello"\nand {go}').inc(calls)
    Gauge("live", "Live calls.", registry=registry).set(calls)
    Histogram("latency", "Latency.", buckets=(0.5,), registry=registry).observe(0.1)
    return generate_latest(registry).decode()


def test_every_sample_names_its_process_and_every_family_is_there_once() -> None:
    families = list(text_string_to_metric_families(merged({"worker-0": exposition(1), "jobs": exposition(2)})))
    assert len({family.name for family in families}) == len(families)
    samples = {
        (sample.name, sample.labels["process"]): sample.value for family in families for sample in family.samples
    }
    assert samples["calls_total", "worker-0"] == 1
    assert samples["calls_total", "jobs"] == 2
    assert samples["live", "jobs"] == 2
    assert samples["latency_count", "worker-0"] == 1
    agents = {sample.labels["agent"] for family in families for sample in family.samples if "agent" in sample.labels}
    assert agents == {'say "hello"\nand {go}'}


async def test_a_process_that_is_gone_or_hangs_is_left_out() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        showing = await show_metrics(folder, "jobs")
        (folder / "worker-7.metrics").touch()  # nobody listens there any more
        text = (await collect_metrics(folder, "worker-0")).decode()
        showing.close()
        await showing.wait_closed()
    assert 'talkspurt_process_id{process="worker-0"}' in text
    assert 'talkspurt_process_id{process="jobs"}' in text
    assert "worker-7" not in text
