"""Scores and sanitises what comes in.

- `layers`: texts made from others, with positions that can be traced back
- `folding`: the plain form of characters
- `decoding`: what encoded runs say
- `normalise`: a text as the rules see it
"""
