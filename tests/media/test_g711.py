"""The codec against a reference written from the tables of ITU-T G.711."""

import struct
from itertools import pairwise

import pytest

from talkspurt.media import g711

ALL_CODES = bytes(range(256))
ALL_SAMPLES = range(-32768, 32768)


def mulaw_value(code: int) -> int:
    """Tables 2a/2b: inverted code; eight segments of sixteen steps that double; 14 bits."""
    code = ~code & 0xFF
    segment, step = code >> 4 & 7, code & 15
    magnitude = ((2 * step + 33) << segment) - 33
    return -magnitude if code & 0x80 else magnitude


def alaw_value(code: int) -> int:
    """Tables 1a/1b: even bits inverted; the first two segments have equal steps; 13 bits."""
    code ^= 0x55
    segment, step = code >> 4 & 7, code & 15
    magnitude = 2 * step + 1 if segment == 0 else (2 * step + 33) << (segment - 1)
    return magnitude if code & 0x80 else -magnitude


def pcm(*samples: int) -> bytes:
    return struct.pack(f"<{len(samples)}h", *samples)


def samples(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // 2}h", data)


def test_every_mulaw_code_decodes_to_its_value_in_the_table() -> None:
    assert samples(g711.decode_mulaw(ALL_CODES)) == tuple(4 * mulaw_value(code) for code in range(256))


def test_every_alaw_code_decodes_to_its_value_in_the_table() -> None:
    assert samples(g711.decode_alaw(ALL_CODES)) == tuple(8 * alaw_value(code) for code in range(256))


@pytest.mark.parametrize(
    ("encode", "value", "scale", "limit"),
    [(g711.encode_mulaw, mulaw_value, 4, 8031), (g711.encode_alaw, alaw_value, 8, 4032)],
)
def test_every_sample_is_encoded_as_the_nearest_value(encode, value, scale, limit) -> None:  # type: ignore[no-untyped-def]
    levels = sorted({scale * value(code) for code in range(256)})
    gap_above = {low: high - low for low, high in pairwise(levels)}
    for sample, code in zip(ALL_SAMPLES, encode(pcm(*ALL_SAMPLES)), strict=True):
        level = scale * value(code)
        if abs(sample) >= scale * limit:
            assert abs(level) == max(levels)
            continue
        gaps = [gap_above.get(level, 0), gap_above.get(max((x for x in levels if x < level), default=level), 0)]
        # Half the distance to the neighbour, and what truncation to 14 or 13 bits may add.
        assert abs(sample - level) <= max(gaps) / 2 + scale


def test_a_code_survives_decoding_and_encoding() -> None:
    again = g711.encode_mulaw(g711.decode_mulaw(ALL_CODES))
    # µ-law has two zeros; the negative one comes back as the positive one.
    assert again == ALL_CODES.replace(b"\x7f", b"\xff")
    assert g711.encode_alaw(g711.decode_alaw(ALL_CODES)) == ALL_CODES


def test_silence_is_the_code_of_zero() -> None:
    assert g711.encode_mulaw(g711.PCM_SILENCE) == g711.MULAW_SILENCE
    assert samples(g711.decode_mulaw(g711.MULAW_SILENCE)) == (0,)
    assert g711.encode_alaw(g711.PCM_SILENCE) == g711.ALAW_SILENCE


def test_what_was_decoded_last_is_encoded_as_any_other_audio_is() -> None:
    decoded = g711.decode_mulaw(ALL_CODES)
    known = g711.encode_mulaw(decoded)
    assert known == g711.encode_mulaw(bytes(bytearray(decoded)))
    assert known == ALL_CODES.replace(b"\x7f", b"\xff")
    g711.decode_mulaw(b"\x00")
    assert g711.encode_mulaw(decoded) == known
