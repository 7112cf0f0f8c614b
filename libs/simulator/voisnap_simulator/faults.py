"""What may go wrong on a simulated line, on purpose."""

import msgspec


class Faults(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of one call. Shares are 0 to 1; moments are seconds after the media socket opened.

    `loss` frames are never sent, `jitter_ms` delays each by up to so much, `drop_at` breaks the media socket without a word (once),
    `half_open_at` keeps it open and silent both ways. `codec` is
    what the telephone network negotiated (`pcmu` or `pcma`), where a carrier passes that on whatever was wished for (Telnyx). `webhook_copies` posts every webhook so often, `webhook_delay` seconds late.

    `hands_over`: the call is signalled here, but its sound is not: whoever asked for the call opens the media socket himself, as the event
    `stream.handed` says. Nobody is at the telephone then.
    """

    loss: float = 0.0
    jitter_ms: float = 0.0
    drop_at: float | None = None
    half_open_at: float | None = None
    codec: str = ""
    webhook_copies: int = 1
    webhook_delay: float = 0.0
    seed: int = 1
    hands_over: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.loss < 1 or not 0 <= self.jitter_ms <= 2000:
            raise ValueError("loss is a share below 1, and jitter at most 2000 ms")
        if self.codec not in ("", "pcmu", "pcma"):
            raise ValueError("codec is pcmu or pcma")
        if not 1 <= self.webhook_copies <= 100 or not 0 <= self.webhook_delay <= 30:
            raise ValueError("1 to 100 copies of a webhook, at most 30 s late")


NONE = Faults()
