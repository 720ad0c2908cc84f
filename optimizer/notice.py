"""What a step in hand may say of itself beyond its name."""


class Notice(str):
    """A step that will take long for a reason: shown at once, whoever watches, and it stays on the screen."""

    __slots__ = ()
