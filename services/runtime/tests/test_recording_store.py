"""A recording reaches object storage while the call runs, and becomes one file, whatever dies on the way."""

import asyncio
import io
import wave

import av
import msgspec
import pytest
from voisnap_runtime.recording import (
    LateRecording,
    Recordings,
    Segment,
    Silence,
    StoredSegment,
    expected,
    key_of,
    settings_of,
    timeline,
)

pytestmark = pytest.mark.unit


@pytest.fixture
def plan(make_plan):
    return make_plan(recorded=True)


@pytest.fixture
def sound(house, plan):
    """Writes seconds of sound of both sides into a recorder."""

    def write(recorder, seconds: float) -> None:
        call = type(house).fake_call(plan, recorder)
        call.speak(seconds)

    return write


def wav_of(data: bytes) -> tuple[float, int]:
    with wave.open(io.BytesIO(data)) as file:
        return file.getnframes() / file.getframerate(), len(set(file.readframes(2000)))


async def store_due(writer) -> None:
    await writer._store(last=False)


async def test_a_call_becomes_one_file_of_its_length_and_its_segments_are_deleted(house, plan, sound):
    writer = house.recordings.open(plan)
    for _ in range(5):
        sound(writer.recorder, 4)
        await store_due(writer)
    sound(writer.recorder, 1.5)
    assert len([key for key in house.blobs.objects if "/seg-" in key]) == 5

    info, late = await writer.finish(budget=5)

    assert not late
    assert (info.key, info.format) == ("recordings/ten_1/conv_1.wav", "wav")
    assert info.duration_seconds == pytest.approx(21.5)
    assert list(house.blobs.objects) == [info.key]
    assert info.size_bytes == len(house.blobs.objects[info.key])
    seconds, levels = wav_of(house.blobs.objects[info.key])
    assert seconds == pytest.approx(21.5, abs=0.06)
    assert levels > 10, "sound, not silence"
    assert house.blobs.largest_part < info.size_bytes / 2, "never the whole call in memory"


async def test_what_a_killed_process_stored_is_composed_by_another(house, plan, sound, tmp_path):
    writer = house.recordings.open(plan)
    for _ in range(2):
        sound(writer.recorder, 4)
        await store_due(writer)
    another = Recordings(house.blobs, spool=tmp_path / "other")

    info = await another.compose(plan, elapsed=9)

    assert info.duration_seconds == pytest.approx(8)
    assert wav_of(house.blobs.objects[info.key])[0] == pytest.approx(8, abs=0.06)
    assert await another.compose(plan, elapsed=9) == info.__class__(
        key=info.key, format="wav", duration_seconds=9, size_bytes=info.size_bytes
    ), "composing again changes nothing"
    await another.close()


async def test_a_call_that_went_on_elsewhere_is_one_recording_with_silence_in_the_gap(house, plan, sound, tmp_path):
    first = house.recordings.open(plan, generation=3)
    sound(first.recorder, 4)
    await store_due(first)
    sound(first.recorder, 2)  # killed before it was stored
    another = Recordings(house.blobs, spool=tmp_path / "other")
    second = another.open(plan, generation=5)
    second.begin(at=9.0)
    sound(second.recorder, 5)

    info, late = await second.finish(budget=5)

    assert not late
    assert info.duration_seconds == pytest.approx(14)
    assert list(house.blobs.objects) == [info.key]
    with wave.open(io.BytesIO(house.blobs.objects[info.key])) as file:
        rate, frames = file.getframerate(), file.getnframes()
        levels = []
        for second in range(14):
            file.setpos(second * rate + rate // 4)
            levels.append(max(file.readframes(rate // 2)))
    assert frames / rate == pytest.approx(14, abs=0.06)
    assert [level > 0 for level in levels] == [True] * 4 + [False] * 5 + [True] * 5
    await another.close()


async def test_a_recording_handed_over_keeps_its_last_half_second(house, plan, sound, tmp_path):
    first = house.recordings.open(plan, generation=3)
    sound(first.recorder, 4.5)
    await first.leave(budget=2)
    second = house.recordings.open(plan, generation=6)
    second.begin(at=4.6)
    sound(second.recorder, 1)

    info, _ = await second.finish(budget=2)

    assert info.duration_seconds == pytest.approx(5.6)
    assert wav_of(house.blobs.objects[info.key])[0] == pytest.approx(5.6, abs=0.06)


@pytest.mark.parametrize("format", ["mp3", "ogg"])
async def test_a_compressed_recording_of_two_processes_plays_through(house, make_plan, sound, format):
    plan = make_plan(recorded=True)
    config = plan.agent.config
    config = msgspec.structs.replace(config, recording=msgspec.structs.replace(config.recording, format=format))
    agent = msgspec.structs.replace(plan.agent, config=config)
    plan = msgspec.json.decode(msgspec.json.encode(msgspec.structs.replace(plan, agent=agent)), type=type(plan))
    for generation, at in ((1, 0.0), (2, 5.0)):
        writer = house.recordings.open(plan, generation=generation)
        writer.begin(at=at)
        sound(writer.recorder, 4)
        await writer.leave(budget=2)

    info = await house.recordings.compose(plan)

    assert info.duration_seconds == pytest.approx(9)
    with av.open(io.BytesIO(house.blobs.objects[info.key])) as file:
        heard = sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    assert heard == pytest.approx(9, abs=0.25)


async def test_what_a_process_wrote_after_another_had_gone_on_is_left_out():
    def segment(generation: int, start: int, milliseconds: int = 4000) -> StoredSegment:
        return StoredSegment(
            key=f"{generation}/{start}", generation=generation, start=start, milliseconds=milliseconds, size_bytes=1
        )

    slept = [segment(1, 0), segment(1, 4000), segment(1, 8000), segment(1, 12000)]
    awake = [segment(4, 9000), segment(4, 13000, 500)]

    line = timeline([*awake, *slept])

    assert line == (slept[0], slept[1], Silence(milliseconds=1000), *awake)


async def test_a_composer_killed_between_writing_and_deleting_loses_nothing(house, plan):
    house.blobs.objects[key_of(plan)] = b"whole file"
    house.blobs.objects["recordings/ten_1/conv_1/seg-00002-000000000-4000.wav"] = b"rest"

    info = await house.recordings.compose(plan, elapsed=8)

    assert house.blobs.objects == {key_of(plan): b"whole file"}
    assert (info.duration_seconds, info.size_bytes) == (8, 10)


async def test_while_object_storage_is_away_segments_wait_in_the_spool(house, plan, sound, tmp_path):
    writer = house.recordings.open(plan)
    house.blobs.away = True
    sound(writer.recorder, 4)
    await store_due(writer)
    sound(writer.recorder, 2)

    info, late = await writer.finish(budget=2)

    assert late
    assert (info.key, info.duration_seconds) == (key_of(plan), pytest.approx(6))
    assert len(list((tmp_path / "spool").rglob("seg-*"))) == 2
    with pytest.raises(LateRecording):
        await house.recordings.compose(plan)
    house.blobs.away = False

    await house.recordings._catch_up()

    assert list(house.blobs.objects) == [key_of(plan)]
    assert wav_of(house.blobs.objects[info.key])[0] == pytest.approx(6, abs=0.06)
    assert not list((tmp_path / "spool").rglob("seg-*"))


async def test_a_lost_call_whose_last_segments_are_spooled_here_is_composed_where_it_was_linked(house, plan, sound):
    writer = house.recordings.open(plan)
    house.blobs.away = True
    sound(writer.recorder, 4)
    await store_due(writer)
    with pytest.raises(LateRecording):
        await house.recordings.compose(plan, elapsed=4)
    house.recordings.finish_later(plan)
    house.blobs.away = False

    await house.recordings._catch_up()

    assert list(house.blobs.objects) == [expected(plan, seconds=4).key]


async def test_a_store_that_hangs_does_not_hold_up_the_end(house, plan, sound, monkeypatch):
    stuck = asyncio.Event()

    async def hang(key, parts):
        await stuck.wait()

    monkeypatch.setattr(house.blobs, "put_stream", hang)
    writer = house.recordings.open(plan)
    sound(writer.recorder, 1)

    info, late = await writer.finish(budget=0.05)

    assert (late, info.key) == (True, key_of(plan))
    stuck.set()


async def test_nothing_is_recorded_for_an_agent_that_wants_none(house, make_plan):
    assert house.recordings.open(make_plan(recorded=False)) is None
    assert settings_of(make_plan(recorded=False)) is None


async def test_a_call_without_sound_has_no_recording(house, plan):
    info, late = await house.recordings.open(plan).finish(budget=2)

    assert (info, late) == (None, False)
    assert house.blobs.objects == {}


async def test_an_empty_segment_is_not_stored(house, plan):
    await house.recordings.put(plan, Segment(generation=1, start=0, milliseconds=0, data=b""))

    assert house.blobs.objects == {}


async def test_a_hipaa_call_is_never_recorded_whatever_its_recording_setting_says(house, plan):
    config = msgspec.structs.replace(plan.agent.config, hipaa_compliant=True)
    strict = msgspec.structs.replace(plan, agent=msgspec.structs.replace(plan.agent, config=config))

    assert plan.agent.config.recording.enabled
    assert settings_of(plan) is not None
    assert settings_of(strict) is None
    assert house.recordings.open(strict) is None
