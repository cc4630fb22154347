"""Dialects: client protocols, rendered from a turn's events.

- `openai_chat`, `openai_responses`, `anthropic_messages`: one package per dialect
- `base`: what a dialect consists of: its stream and the object for non-streaming requests
- `frames`: numbers of frames
- `turn_errors`: errors of ended turns, and OpenAI's error object

Imports `actors.turn`, `actors.answer`, `actors.journal` and `actors.writer`; neither Quart nor
surfaces. Request validation belongs in `web.surfaces`.
"""
