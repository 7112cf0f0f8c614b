"""The words between services: events (`events`) and requests (`requests`)."""

from .events import EVENTS, Event, subject_of, tag_of

__all__ = ["EVENTS", "Event", "subject_of", "tag_of"]
