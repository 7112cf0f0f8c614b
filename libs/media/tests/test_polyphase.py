"""Rates of simple ratios: right in length, in time and in tone, whatever the frames."""

import numpy as np
import pytest
from voisnap_media.pcm import Pcm
from voisnap_media.polyphase import Polyphase, is_simple, process_together

pytestmark = pytest.mark.unit

RATES = [(8000, 16000), (24000, 8000), (24000, 16000), (16000, 24000), (24000, 48000), (48000, 16000)]


def tone(rate: int, hertz: float, seconds: float = 0.5) -> Pcm:
    return Pcm((10000 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.int16), rate)


def frames(sound: Pcm, size: int) -> list[Pcm]:
    return [Pcm(sound.samples[at : at + size], sound.rate) for at in range(0, len(sound), size)]


def level(sound: Pcm, hertz: float) -> float:
    """How loud a tone is in the middle of a sound, in dB of `tone`'s own."""
    middle = sound.samples[len(sound) // 4 : -len(sound) // 4].astype(float)
    turned = np.exp(-2j * np.pi * hertz * np.arange(len(middle)) / sound.rate)
    return 20 * np.log10(abs((middle * np.hanning(len(middle)) * turned).mean()) / 2500 + 1e-9)


@pytest.mark.parametrize(("old", "new"), RATES)
def test_every_frame_of_20_ms_gives_20_ms(old, new):
    converter = Polyphase(old, new)
    assert [len(converter.process(piece)) for piece in frames(tone(old, 500), old // 50)] == [new // 50] * 25


@pytest.mark.parametrize(("old", "new"), RATES)
def test_the_frames_make_no_difference(old, new):
    sound = tone(old, 700)
    whole = Polyphase(old, new).process(sound)
    converter = Polyphase(old, new)
    pieces = Pcm.concat([converter.process(piece) for piece in frames(sound, 167)], new)
    assert np.array_equal(pieces.samples, whole.samples[: len(pieces)])
    assert len(whole) - len(pieces) < 3


@pytest.mark.parametrize(("old", "new"), RATES)
def test_what_a_telephone_carries_passes_and_nothing_else_comes_of_it(old, new):
    converted = Polyphase(old, new).process(tone(old, 1000))
    assert level(converted, 1000) == pytest.approx(0, abs=0.2)
    assert level(Polyphase(old, new).process(tone(old, 3000)), 3000) == pytest.approx(0, abs=0.5)
    if new > old:
        assert level(converted, old - 1000) < -55
    else:
        alias = Polyphase(old, new).process(tone(old, new - 1000))
        assert level(alias, 1000) < -55


@pytest.mark.parametrize(("old", "new"), RATES)
def test_it_is_late_by_no_more_than_two_milliseconds(old, new):
    click = np.zeros(old // 10, np.int16)
    click[old // 20] = 20000
    converted = Polyphase(old, new).process(Pcm(click, old)).samples
    assert 0 <= int(np.abs(converted).argmax()) / new - 0.05 < 0.002


def test_loud_sound_is_limited_and_does_not_wrap():
    square = Pcm((32767 * np.sign(np.sin(np.arange(4000) / 5))).astype(np.int16), 8000)
    converted = Polyphase(8000, 16000).process(square).samples
    assert converted.max() == 32767
    assert converted.min() <= -32767


def test_the_end_comes_out_and_what_follows_follows_nothing():
    converter = Polyphase(24000, 8000)
    first = converter.process(Pcm(np.full(480, 5000, np.int16), 24000))
    rest = converter.finish()
    assert 0 < len(rest) < 20
    assert first.samples[-1] == pytest.approx(5000, abs=50)
    assert abs(int(rest.samples[-1])) < 5000
    assert not converter.process(Pcm(np.zeros(480, np.int16), 24000)).samples.any()
    converter.process(Pcm(np.full(480, 5000, np.int16), 24000))
    converter.drop()
    assert not converter.process(Pcm(np.zeros(480, np.int16), 24000)).samples.any()


def test_other_rates_are_refused():
    assert not is_simple(24000, 22050)
    with pytest.raises(ValueError, match="no simple ratio"):
        Polyphase(24000, 22050)
    with pytest.raises(ValueError, match="takes 8000 Hz"):
        Polyphase(8000, 16000).process(Pcm(np.zeros(10, np.int16), 16000))


@pytest.mark.parametrize(("old", "new"), RATES)
def test_many_streams_together_give_what_each_gives_by_itself(old, new):
    noise = np.random.default_rng(5)
    sounds = [Pcm(noise.integers(-30000, 30000, old // 2).astype(np.int16), old) for _ in range(70)]
    alone, together = ([Polyphase(old, new) for _ in sounds] for _ in range(2))
    cut = [old // 50, old // 50, old // 50 + 7, old // 50, old // 100]
    at = 0
    for size in cut:
        # Most get their usual 20 ms, some another stretch.
        sizes = [size if place % 9 == 0 else old // 50 for place in range(len(sounds))]
        pieces = [Pcm(sound.samples[at : at + some], old) for sound, some in zip(sounds, sizes, strict=True)]
        expected = [stream.process(piece) for stream, piece in zip(alone, pieces, strict=True)]
        made = process_together(together, pieces)
        for one, other in zip(expected, made, strict=True):
            assert one.rate == other.rate
            assert len(one) == len(other)
            assert np.abs(one.samples.astype(int) - other.samples).max(initial=0) <= 1
        at += old // 50 + 7
    assert process_together([], []) == []


def test_streams_of_other_ratios_are_not_mixed_together():
    streams = [Polyphase(8000, 16000), Polyphase(24000, 8000)]
    with pytest.raises(ValueError, match="one ratio"):
        process_together(streams, [tone(8000, 500, 0.02), tone(24000, 500, 0.02)])
