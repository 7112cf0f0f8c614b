"""Places calls, and looks after attempts, every second or two."""

from voisnap_kit.reconcile import Reconciler

from .dialling import Dialler, LookedAfter, Placed


def due_calls(dialler: Dialler) -> Reconciler[Placed]:
    """Places calls whose time has come, every second."""
    return Reconciler("outbound-calls", 1.0, dialler.place_due)


def dial_attempts(dialler: Dialler) -> Reconciler[LookedAfter]:
    """Looks after attempts that are late or over, every second."""
    return Reconciler("dial-attempts", 1.0, dialler.look_after_due, timeout=120.0)
