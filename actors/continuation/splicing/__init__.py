"""Splicing: joins the answer of a second attempt to an interrupted first answer.

- `splice`: entry point; passes on the part of the second answer that follows the shown text
- `seams`: decides where the two meet (the seam), or refuses
- `anchors`: rates repeated words as proof of a seam
- `fresh_start`: detects second answers that start over
- `whitespace`: white space at the seam
- `repetition`, `normalise`: streaming comparison of the two texts
- `boundaries`, `characters`: facts about lines, sentences, characters and words

Imports nothing of the project: text in, text out, without I/O. Chunks and events belong in
`continuation.filter`.
"""
