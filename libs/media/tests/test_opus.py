import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voisnap_media.opus import OpusDecoder, OpusEncoder, OpusError, packet_ms
from voisnap_media.pcm import Pcm

pytestmark = pytest.mark.media


def sine(rate: int, frames: int, hertz: float = 440.0) -> list[Pcm]:
    time = np.arange(rate // 50 * frames) / rate
    samples = (10000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)
    return [Pcm(part, rate) for part in np.split(samples, frames)]


def pitch(audio: Pcm) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(audio.samples.astype(float)))) * audio.rate / len(audio))


def test_speech_rate_in_recogniser_rate_out():
    encoder, decoder = OpusEncoder(24000), OpusDecoder(16000)
    packets = [encoder.encode(frame) for frame in sine(24000, 50)]
    out = Pcm.concat([decoder.decode(packet) for packet in packets])
    assert out.rate == 16000
    assert out.duration_ms == 1000
    assert pitch(out) == pytest.approx(440, abs=5)
    assert out.slice(200).rms_dbfs() == pytest.approx(Pcm.concat(sine(24000, 40)).rms_dbfs(), abs=1.5)
    assert all(packet_ms(packet) == 20 for packet in packets)
    assert sum(map(len, packets)) < 32000 / 8 * 1.3


def test_a_lost_packet_is_concealed_with_something_alike():
    encoder, decoder = OpusEncoder(24000), OpusDecoder(16000)
    for frame in sine(24000, 30):
        decoder.decode(encoder.encode(frame))
    guess = decoder.conceal(20)
    assert guess.duration_ms == 20
    assert guess.rms_dbfs() > -25
    silent = [decoder.conceal(20) for _ in range(50)][-1]
    assert silent.rms_dbfs() < -50


def test_in_band_correction_brings_a_lost_frame_back():
    frames = sine(24000, 40, hertz=300)
    encoder, decoder = OpusEncoder(24000, expected_loss=20, bitrate=32000), OpusDecoder(16000)
    packets = [encoder.encode(frame) for frame in frames]
    for packet in packets[:30]:
        decoder.decode(packet)
    recovered = decoder.recover(packets[31], 20)
    assert recovered.duration_ms == 20
    assert recovered.rms_dbfs() > -22


def test_wrong_lengths_rates_and_packets_are_refused():
    with pytest.raises(OpusError, match="16000"):
        OpusEncoder(24000).encode(Pcm.silence(16000, 20))
    with pytest.raises(OpusError):
        OpusEncoder(24000).encode(Pcm.silence(24000, 17))
    with pytest.raises(OpusError):
        OpusEncoder(44100)
    with pytest.raises(OpusError):
        OpusDecoder().decode(b"")


@given(st.binary(min_size=1, max_size=200))
def test_no_packet_from_the_network_breaks_the_decoder(packet: bytes):
    decoder = OpusDecoder()
    try:
        sound = decoder.decode(packet)
    except OpusError:
        sound = decoder.conceal(20)
    assert sound.rate == 16000
    assert len(sound) <= 16000 * 0.12


def test_a_reset_encoder_starts_like_a_new_one():
    used = OpusEncoder(24000)
    for frame in sine(24000, 10):
        used.encode(frame)
    used.reset()
    assert used.encode(sine(24000, 1)[0]) == OpusEncoder(24000).encode(sine(24000, 1)[0])
