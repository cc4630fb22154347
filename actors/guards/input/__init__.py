"""Scores and sanitises what comes in. `scoring` is what other packages use.

- `scoring`: the score of a text, and the text without what caused it
- `phrases`: what attacks say, in a notation for sequences of words (`phrases.toml`)
- `context`: reasons why such a phrase is not an attack, such as a quotation
- `normalise`: a text as the rules see it
- `folding`: the plain form of characters (`confusables.txt`)
- `decoding`: what encoded runs say
- `layers`: texts made from others, with positions that can be traced back
- `recall`: how many texts of the corpora (`corpus/`) are found
"""
