"""The base of all data models."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Base of the data models: immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
