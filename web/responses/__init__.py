"""Responses: requests, what they go on from, and what becomes of them."""
