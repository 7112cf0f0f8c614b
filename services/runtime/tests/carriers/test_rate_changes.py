"""Sound of many calls changes its rate together: each in order, none the worse for another."""

import numpy as np
import pytest
from voisnap_media.pcm import Pcm
from voisnap_media.polyphase import Polyphase
from voisnap_runtime.carriers.rates import RateChanges

pytestmark = pytest.mark.unit


def frames(rate: int, count: int, seed: int) -> list[Pcm]:
    noise = np.random.default_rng(seed)
    return [Pcm(noise.integers(-9000, 9000, rate // 50).astype(np.int16), rate) for _ in range(count)]


def never() -> None:
    pytest.fail("nothing was wrong")


def test_frames_that_came_together_are_heard_in_order_and_with_their_times():
    changes, heard = RateChanges(), []
    said = {"a": frames(8000, 3, 1), "b": frames(24000, 2, 2), "c": frames(8000, 2, 6), "d": frames(8000, 3, 7)}
    streams = {name: Polyphase(sounds[0].rate, 16000) for name, sounds in said.items()}
    for place in range(3):
        for name, sounds in said.items():
            if place < len(sounds):
                changes.add(
                    streams[name],
                    sounds[place],
                    place / 50,
                    lambda audio, at, name=name: heard.append((name, at, audio)),
                    never,
                )
    assert heard == []
    changes.run()
    for name, sounds in said.items():
        of_it = [(at, audio) for who, at, audio in heard if who == name]
        assert [at for at, _ in of_it] == [place / 50 for place in range(len(sounds))]
        alone = Polyphase(sounds[0].rate, 16000)
        for (_, audio), sound in zip(of_it, sounds, strict=True):
            assert np.abs(audio.samples.astype(int) - alone.process(sound).samples).max() <= 1
    heard.clear()
    changes.run()
    assert heard == []


def test_what_is_not_wanted_any_more_is_not_told():
    changes, heard = RateChanges(), []
    kept, dropped = Polyphase(24000, 8000), Polyphase(24000, 8000)
    (sound,) = frames(24000, 1, 3)
    for name, stream in (("kept", kept), ("dropped", dropped)):
        changes.add(stream, sound, 0.0, lambda audio, at, name=name: heard.append(name), never)
    changes.drop(dropped)
    changes.run()
    assert heard == ["kept"]


def test_a_call_that_breaks_is_told_and_the_others_go_on():
    changes, heard, broken = RateChanges(), [], []
    (sound,) = frames(8000, 1, 4)

    def breaks(audio: Pcm, at: float) -> None:
        raise RuntimeError("a bug")

    changes.add(Polyphase(8000, 16000), sound, 0.0, breaks, lambda: broken.append(True))
    changes.add(Polyphase(8000, 16000), sound, 0.0, lambda audio, at: heard.append(len(audio)), never)
    changes.run()
    assert broken == [True]
    assert heard == [320]


def test_sound_of_another_rate_is_refused_before_it_can_spoil_the_others():
    with pytest.raises(ValueError, match="8000 Hz"):
        RateChanges().add(Polyphase(8000, 16000), frames(16000, 1, 5)[0], 0.0, lambda audio, at: None, never)
