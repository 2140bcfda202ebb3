"""Talking to the model: requests, replies and the OpenAI-compatible client.

`OpenAIClient` is reached as `zsrec.llm.client.OpenAIClient`: importing the openai package takes a second, and
whoever only grounds answers should not wait for it.
"""

from zsrec.llm.protocol import LLM, ChatRequest, Label, LabelSet, ServerInfo

__all__ = ["LLM", "ChatRequest", "Label", "LabelSet", "ServerInfo"]
