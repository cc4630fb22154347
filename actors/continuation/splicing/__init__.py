"""Splicing: joins the answer of a second attempt to an interrupted first answer, without I/O.

- `splice`: entry point; passes on the part of the second answer that follows the shown text
- `seams`: decides where the two meet (the seam), or refuses
- `anchors`: rates repeated words as proof of a seam
- `openings`: detects second answers that start over
- `seam_space`: white space at the seam
- `repetition`, `folding`: streaming comparison of the two texts
- `boundaries`, `scripts`, `seam_words`: facts about lines, sentences, characters and words
"""
