"""Guards: rules about what comes in and what goes out.

- `spec`: the vocabulary of output guards
- `patterns`: regular expressions that take linear time
- `units`: words, lines and sentences, at whose ends checks of flowing text settle
- `leaks`: finds credentials, copies of the prompt and other things that must not get out
- `prose`: sentences without code and quotations, which guards leave alone
- `wording`: what a text says, however it is worded
- `gate`: decides which drafts of an answer may pass, and when
- `context`: tells guards about a call, and asks the model again
- `rewriting`: replaces texts of a call
- `checks`: the output guards, one file each with its corpus beside it
- `input`: scores and sanitises what comes in
- `boundaries`: marks around the system prompt

The actor that runs output guards is `actors.guard`. Imports the vocabulary in `turn`.
"""
