"""Requests of users that excuse what a guard would object to otherwise. Pure."""

from actors.guards.wording.phrases import phrases

_VOICE = phrases(
    r"""
    (?:pretend|imagine|role-?play|act as|act like|speak as|talk like|play the|in the voice)\b
    (?:write|compose|draft|create|tell|continue|give)\b.*\b(?:story|poem|song|scene|script|dialogue)
    (?:write|compose|draft|create|continue|give)\b.*\b(?:monologue|letter|speech|novel|fiction|joke)
    (?:write|compose|draft|create|give|show)\b.*\b(?:e-?mail|bio|example|sample|template|parody|ad)\b
    (?:stell dir vor|rollenspiel|tu so|spiel|spreche? wie)\b
    (?:schreib|verfass|erzähl|erfinde)\w*\b.*(?:geschichte|gedicht|lied|szene|dialog|brief|rede|mail)
    (?:imagine|fais semblant|joue le rôle|parle comme|incarne)\b
    (?:rédige|raconte|invente)\w*.*(?:histoire|poème|chanson|scène|dialogue|lettre|discours|mail)
    écri\w*.*(?:histoire|poème|chanson|scène|dialogue|lettre|discours|mail|exemple)
    (?:rédige|donne)\w*.*(?:exemple|modèle)
    (?:imagina|finge|haz de|actúa como|habla como)\b
    (?:escrib|redact|cuent|inventa)\w*.*(?:historia|cuento|poema|canción|escena|diálogo|carta|correo)
    """
)
_SAME_TEXT = phrases(
    r"""
    (?:repeat|again|once more|same (?:text|answer|thing|message|sentence)|copy|echo|quote|say)\b
    (?:print|output|reproduce|paste|verbatim)\b
    (?:translat|rephras|paraphras|rewrit|reword|revis|updat|chang|modif|adjust|edit|correct|fix)
    (?:proofread|spell-?check|format|shorten|shorter|longer|expand|simplif|improv|polish|convert)
    (?:add|remove|replace|insert|delete|summari[sz]|improve|capitali[sz]|punctuat|complete|full)
    (?:wiederhol|nochmal|noch einmal|gleich|korrigier|kürz|ergänz|ersetz)
    übersetz|änder|überarbeit
    (?:formatier|verbesser|umformulier|sag|zitier|schreib\w* .*um\b)
    (?:répèt|répét|encore|même|tradui|corrig|modifi|reformul|raccourci|remplac|ajout|supprim|cite)
    (?:repit|repet|otra vez|de nuevo|mism|traduc|corrig|corrij|modific|reescrib|acort|reemplaz|añad)
    (?:agreg|elimina|cita)
    """
)


def wants_a_voice(question: str) -> bool:
    """Return True if the user asks for words of another speaker, such as a story or a letter."""
    return _VOICE.search(question) is not None


def wants_the_same_text(question: str) -> bool:
    """Return True if the user asks for a text again, or for one with small changes."""
    return _SAME_TEXT.search(question) is not None
