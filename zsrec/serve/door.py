"""How many requests may be inside at once, whatever they do there."""

from __future__ import annotations


class Door:
    """Counts the requests that were read and are not answered yet.

    The queue counts only who asks the model. What comes before and after, reading a request or ordering items
    without the model, keeps the processor busy too: past its capacity a service that takes everybody in makes all
    of them late, those in the queue included.

    Args:
        room: How many may be inside.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self.inside = 0

    def enter(self) -> bool:
        """Takes one in, where there is room; whoever was taken in has to `leave`."""
        if self.inside >= self._room:
            return False
        self.inside += 1
        return True

    def leave(self) -> None:
        """Lets one out."""
        self.inside -= 1
