import numpy as np
import pytest
from voisnap_media.pcm import Pcm
from voisnap_media.resample import Resampler, ThreeHalves, resample

pytestmark = pytest.mark.unit

PAIRS = [(8000, 16000), (16000, 24000), (24000, 8000), (48000, 16000), (24000, 48000)]


def sine(rate: int, seconds: float, hertz: float = 440.0) -> Pcm:
    time = np.arange(round(rate * seconds)) / rate
    return Pcm((12000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16), rate)


def in_frames(audio: Pcm, resampler: Resampler) -> list[Pcm]:
    size = audio.rate // 50
    return [
        resampler.process(Pcm(audio.samples[start : start + size], audio.rate)) for start in range(0, len(audio), size)
    ]


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
def test_frames_join_without_clicks_and_lag_less_than_three_ms(from_rate: int, to_rate: int):
    out = Pcm.concat(in_frames(sine(from_rate, 1.0), Resampler(from_rate, to_rate)))
    assert 1000 - out.duration_ms < 3.0
    expected = sine(to_rate, 1.0).samples.astype(float)
    got = out.samples.astype(float)
    middle = slice(to_rate // 10, len(got) - to_rate // 100)
    assert np.abs(got[middle] - expected[: len(got)][middle]).max() < 150


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
def test_every_frame_after_the_first_is_a_full_one(from_rate: int, to_rate: int):
    frames = in_frames(sine(from_rate, 1.0), Resampler(from_rate, to_rate))
    sizes = [len(frame) for frame in frames[1:]]
    assert min(sizes) >= to_rate // 50 - 2
    assert max(sizes) <= to_rate // 50 + to_rate * 3 // 1000


def test_equal_rates_pass_through():
    audio = sine(16000, 0.02)
    assert Resampler(16000, 16000).process(audio) is audio
    assert resample(audio, 16000) is audio


def test_finish_hands_out_the_rest_and_starts_anew():
    resampler = Resampler(16000, 24000)
    length = sum(len(frame) for frame in in_frames(sine(16000, 0.2), resampler)) + len(resampler.finish())
    assert length == 4800
    again = Pcm.concat(in_frames(sine(16000, 0.2), resampler))
    fresh = Pcm.concat(in_frames(sine(16000, 0.2), Resampler(16000, 24000)))
    assert again.same_as(fresh)


def test_a_wrong_rate_is_refused():
    with pytest.raises(ValueError, match="8000"):
        Resampler(16000, 24000).process(Pcm.silence(8000, 20))


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
def test_a_whole_sound_keeps_its_length_and_pitch(from_rate: int, to_rate: int):
    out = resample(sine(from_rate, 0.5), to_rate)
    assert len(out) == to_rate // 2
    spectrum = np.abs(np.fft.rfft(out.samples.astype(float)))
    assert np.argmax(spectrum) * to_rate / len(out) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("hz", [300, 1500, 3000, 6000, 6600])
def test_blocks_at_three_halves_are_clean_and_seamless(hz: int):
    tone = np.rint(10_000 * np.sin(2 * np.pi * hz * np.arange(32_000) / 16_000)).astype(np.int16)
    upsampler = ThreeHalves(16_000)
    blocks = [upsampler.process(Pcm(part, 16_000)) for part in np.split(tone, [320, 322, 9_000, 25_000])]
    assert {block.rate for block in blocks} == {24_000}
    sound = np.concatenate([*(block.samples for block in blocks), upsampler.finish().samples])
    assert len(sound) == 48_000
    power = np.abs(np.fft.rfft(sound[4_000:-4_000].astype(float))) ** 2
    wanted = round(hz * 40_000 / 24_000)
    assert 10 * np.log10(power[wanted] / (power.sum() - power[wanted])) > 55
    assert np.sqrt(2 * np.mean(sound[6_000:].astype(float) ** 2)) == pytest.approx(10_000, rel=0.05)


def test_blocks_at_three_halves_keep_their_time_and_refuse_halves_of_pairs():
    click = np.zeros(1600, np.int16)
    click[800] = 20_000
    upsampler = ThreeHalves(16_000)
    for _ in range(2):
        sound = upsampler.process(Pcm(click, 16_000))
        assert int(np.argmax(np.abs(sound.samples))) / 24 == pytest.approx(50, abs=0.03)
        assert len(sound) + len(upsampler.finish()) == 2400
    with pytest.raises(ValueError, match="pairs"):
        ThreeHalves(16_000).process(Pcm(click[:3], 16_000))
    with pytest.raises(ValueError, match="16000 Hz"):
        ThreeHalves(16_000).process(Pcm(click, 8_000))


def test_loud_sound_is_limited_and_not_wrapped():
    square = np.where(np.arange(3200) // 8 % 2, 32767, -32768).astype(np.int16)
    sound = ThreeHalves(16_000).process(Pcm(square, 16_000)).samples.astype(int)
    jumps = np.abs(np.diff(sound))
    assert jumps.max() < 65_000
    assert sound.max() == 32767


@pytest.mark.parametrize(("from_rate", "to_rate"), [*PAIRS, (22050, 16000)])
def test_settling_gives_all_so_far_and_the_stream_goes_on_without_a_click(from_rate: int, to_rate: int):
    sound, resampler = sine(from_rate, 1.0), Resampler(from_rate, to_rate)
    whole = Pcm.concat([Pcm.concat(in_frames(sound, resampler)), resampler.finish()])
    given: list[Pcm] = []
    # Pieces shorter than the filter, settled once, twice or not at all.
    cuts = [*np.cumsum(np.resize([3, 700, 441, 40, 1300], len(sound) // 300)), len(sound)]
    for turn, (start, end) in enumerate(zip([0, *cuts], cuts, strict=False)):
        given.append(resampler.process(Pcm(sound.samples[start:end], from_rate)))
        given.extend(resampler.settle() for _ in range(turn % 3))
        if turn % 3:
            assert sum(map(len, given)) == round(min(end, len(sound)) * to_rate / from_rate)
    given.append(resampler.finish())
    settled = Pcm.concat(given)
    assert len(settled) == len(whole)
    # Anew at every settling it would be 6000 off.
    middle = slice(to_rate // 100, -to_rate // 100)
    assert np.abs(settled.samples.astype(float) - whole.samples)[middle].max() < 600
