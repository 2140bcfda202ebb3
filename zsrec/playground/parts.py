"""Small pieces that the page's parts share. All texts become text nodes: nothing here makes HTML of a string."""

from __future__ import annotations

from nicegui import html, ui
from nicegui.element import Element


def say(box: Element, text: str) -> None:
    """Puts one text into a box, in the place of what was there."""
    box.clear()
    with box:
        html.span(text)


def scrollable(label: str) -> Element:
    """A box of text that a keyboard can scroll and a screen reader can name."""
    box: Element = html.pre().classes("text")
    return named(box, label, tabindex="0", role="region")


def named(element: Element, label: str, **further: str) -> Element:
    """An element with a name for screen readers, and other attributes."""
    element.props.update({"aria-label": label, **further})
    return element


def copyable(code: str, label: str) -> None:
    """Code in a box, with a button that copies it."""

    def copy() -> None:
        ui.clipboard.write(code)
        ui.notify("Copied")

    ui.button(label, on_click=copy).props("outline no-caps size=sm")
    with scrollable(label.removeprefix("Copy ")):
        html.span(code)
