"""The images of one call's prompts, as the template's `images:` asks for them."""

from __future__ import annotations

from collections.abc import Sequence

from zsrec.core.errors import ConfigError
from zsrec.core.types import Image, Message
from zsrec.core.untrusted_text import inline
from zsrec.data.images import read_image
from zsrec.prompts.item_view import ItemView
from zsrec.recommender.request import Pipeline

_NAMED = 80  # characters of an item's id in a note


class Pictures:
    """Reads each image once, and keeps why others were not sent."""

    def __init__(self, pipeline: Pipeline) -> None:
        wanted = pipeline.template.images
        self._wanted, self._catalog, self._hosts = wanted, pipeline.catalog, pipeline.settings.image_hosts
        self._read: dict[str, Image | str] = {}
        self._left_out = 0
        if wanted is not None and wanted.column not in self._catalog.attribute_names:
            found = ", ".join(self._catalog.attribute_names) or "none"
            raise ConfigError(
                f"the template {pipeline.template.ref} shows images of the column {wanted.column!r}, which the "
                f"catalog lacks",
                hint=f"its columns: {found}; name one of them in the template: images: {{of: …, column: …}}",
            )

    def beside(
        self, messages: tuple[Message, ...], history: Sequence[ItemView], candidates: Sequence[ItemView]
    ) -> tuple[Message, ...]:
        """The messages with the images of the items that they show after the user's text."""
        if self._wanted is None:
            return messages
        views = [view for view in (history if self._wanted.of == "history" else candidates) if view.id]
        most = self._wanted.most
        self._left_out = max(self._left_out, len(views) - most)
        views = views[-most:] if self._wanted.of == "history" else views[:most]
        found = [(view, image) for view in views if isinstance(image := self._image(view.id), Image)]
        images = tuple(
            image.model_copy(update={"caption": _caption(number, view)})
            for number, (view, image) in enumerate(found, start=1)
        )
        return tuple(
            message.model_copy(update={"images": images}) if images and message.role == "user" else message
            for message in messages
        )

    def _image(self, item: str) -> Image | str:
        if self._wanted is None:
            return ""
        if item not in self._read:
            value = self._catalog[item].attributes.get(self._wanted.column)
            try:
                self._read[item] = (
                    "the catalog has none"
                    if value is None or value == ""
                    else read_image(
                        value,
                        item=item,
                        folder=self._catalog.folder,
                        most_bytes=1000 * self._wanted.kilobytes,
                        hosts=self._hosts,
                    )
                )
            except ValueError as error:
                self._read[item] = str(error)
        return self._read[item]

    def notes(self) -> list[str]:
        """Which images were not sent, and why."""
        reasons: dict[str, list[str]] = {}
        for item, found in self._read.items():
            if isinstance(found, str):
                reasons.setdefault(found, []).append(item)
        notes = [
            f"no image of {inline(items[0], _NAMED)!r}{f' and {len(items) - 1} more items' if items[1:] else ''} "
            f"was sent: {reason}"
            for reason, items in reasons.items()
        ]
        if self._wanted is not None and self._left_out > 0:
            notes.append(
                f"images of {self._left_out} more {self._wanted.of} were not sent: the template shows "
                f"{self._wanted.most} at most"
            )
        return notes


def _caption(number: int, view: ItemView) -> str:
    return f"Image {number}: {f'{view.label}. ' if view.label else ''}{view.display}"
