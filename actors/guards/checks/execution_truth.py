"""Has the model answer again if it claims work that no tool did, or denies a tool that it has.

Only a tool of the right kind supports a claim: a search that ran does not make `I sent the mail`
true. A tool whose name tells no kind supports every claim.
"""

from actors.guards.patterns import Pattern
from actors.guards.prose import sentences
from actors.guards.spec import (
    PASS,
    Action,
    Check,
    GuardContext,
    GuardSpec,
    Retry,
    Scores,
    TextCheck,
    Verdict,
)
from actors.guards.wording.phrases import lines, phrases
from actors.guards.wording.requests import wants_a_voice
from actors.guards.wording.tool_kinds import ToolKind, could, may

_ADVERBS = r"(?: just| now| already| also| successfully| gone ahead and| went ahead and)*"
_DID = {"did": rf"i(?:'ve| have)?{_ADVERBS}", "have": rf"i(?:'ve| have){_ADVERBS}"}
_CLAIMS = {
    ToolKind.WEB: r"""
        <did> (?:searched|browsed|googled|checked|looked|scoured)\b.*\b(?:web|internet|online|google|news sites?)\b
        <did> browsed (?:\w+ ){0,3}(?:web ?sites|web ?pages|sites|pages)\b
        <did> (?:visited|fetched|crawled|loaded) (?:the|your|that|this|their)\b.*\b(?:page|web ?site|site|url|link)\b
        <did> checked (?:the|their|your|its) (?:official )?(?:web ?site|web ?page|site|url|link)\b
        my (?:web |internet |online )?search (?:returned|found|shows|showed|turned up|revealed)\b
        (?:according to|based on) (?:my|the) (?:web|internet|online) search\b
        ich habe\b.*\b(?:im internet|im web|online|im netz)\b.*(?:gesucht|nachgesehen|recherchiert|geprüft|nachgeschaut)
        j'ai\b.*(?:cherché|recherché|consulté|vérifié).*(?:internet|en ligne|sur le web)
        he (?:buscado|consultado|mirado)\b.*(?:internet|en línea|en la web)
        """,
    ToolKind.CODE: r"""
        (?:<did> (?:ran|executed|tested|compiled|benchmarked|deployed|re-ran)|<have> (?:run|rerun))\b (?:\w+ ){0,3}(?:code|scripts?|tests?|programs?|commands?|quer(?:y|ies)|snippet|notebook|build|test suite|suite|benchmarks?|functions?|app)\b
        (?:<did> (?:ran|executed|tested)|<have> run) (?:it|this|that) (?:on|in|locally|against|with)\b
        (?:after|upon) (?:running|executing|testing) (?:the|your|it|this)\b.*\bi (?:can confirm|found|see|saw|got|noticed)\b
        when i (?:ran|executed|tested) (?:the|your|this|it)\b
        ich habe\b.*\b(?:code|skript|tests?|programm|befehl)\b.*(?:ausgeführt|getestet|laufen lassen|kompiliert)
        j'ai (?:exécuté|lancé|testé|compilé).*(?:code|script|tests|programme|commande)
        he (?:ejecutado|probado|compilado|lanzado)\b.*(?:código|script|pruebas|programa|comando)
        """,
    ToolKind.FILES: r"""
        <did> (?:saved|stored|uploaded|exported|written|wrote)\b.*\b(?:to|in|on|onto) (?:your|the) (?:[\w-]+ )?(?:desktop|disk|drive|folder|directory|computer|downloads|repository|repo|server|workspace)\b
        ich habe\b.*\b(?:auf|in) (?:deine[nmr]?|ihre[nmr]?|de[nmr]|die|das) (?:[\pL-]+ )?(?:desktop|festplatte|ordner|verzeichnis|computer|server)\b.*(?:gespeichert|abgelegt|hochgeladen|geschrieben)
        j'ai (?:enregistré|sauvegardé|téléversé).*(?:bureau|disque|dossier|répertoire|ordinateur|serveur)
        he (?:guardado|subido|exportado)\b.*(?:escritorio|disco|carpeta|directorio|ordenador|servidor)
        """,
    ToolKind.MESSAGES: r"""
        <did> (?:sent|forwarded|e-?mailed|posted)\b (?:\w+ ){0,5}(?:e-?mails?|messages?|mail|sms|invitations?|invites?|notifications?|slack|newsletter)\b
        <did> (?:e-?mailed|notified|messaged|texted|pinged) (?:him|her|them|your|the|everyone|all)\b
        ich habe\b.*\b(?:e-?mail|mail|nachricht|einladung|sms)\w*\b.*(?:gesendet|geschickt|verschickt|weitergeleitet|abgeschickt)
        j'ai (?:envoyé|transféré|posté).*(?:e-?mail|mail|courriel|message|invitation)
        he (?:enviado|reenviado|mandado)\b.*(?:correo|e-?mail|mensaje|invitación)
        """,
    ToolKind.CALENDAR: r"""
        <did> (?:scheduled|booked|rescheduled|reserved|cancell?ed)\b (?:\w+ ){0,3}(?:meetings?|appointments?|reminders?|calls?|events?|flights?|hotel|rooms?|table|reservation|jobs?|backups?)\b
        <did> (?:set|set up|created) (?:an?|the|your) (?:\w+ )?(?:reminder|alarm|timer|calendar event|calendar entry|cron job|recurring \w+)\b
        <did> (?:added|put|entered)\b.*\b(?:to|in|into|on) your calendar\b
        ich habe\b.*\b(?:termin|erinnerung|wecker|kalender\w*|besprechung|flug|tisch|zimmer)\b.*(?:eingetragen|gestellt|eingerichtet|gebucht|vereinbart|angelegt|reserviert|verschoben)
        j'ai (?:planifié|réservé|programmé|ajouté).*(?:réunion|rendez-vous|rappel|calendrier|agenda|vol|table|chambre)
        he (?:programado|reservado|agendado|añadido|creado)\b.*(?:reunión|cita|recordatorio|calendario|agenda|vuelo|mesa|alarma)
        """,
    ToolKind.DATABASE: r"""
        <did> (?:queried|updated|searched|checked) (?:the|your|our) (?:\w+ )?(?:database|crm|customer records?|records)\b
        <did> (?:inserted|deleted|updated|added) (?:\w+ ){1,4}(?:in|into|from|to) (?:the|your|our) (?:\w+ )?(?:database|crm)\b
        ich habe\b.*\b(?:datenbank|crm)\b.*(?:abgefragt|aktualisiert|geprüft|eingetragen|gelöscht)
        j'ai (?:interrogé|consulté|mis à jour)\b.*(?:base de données|crm)
        he (?:consultado|actualizado)\b.*(?:base de datos|crm)
        """,
}
_FILE_CLAIM = r"""
<did> (?:saved|written|wrote|created|updated|edited|modified|deleted|moved|renamed|opened|read|searched)\b (?:\w+ ){0,3}(?:files?|folders?|director(?:y|ies)|repository|repo|config)\b
ich habe\b.*\b(?:datei|ordner|verzeichnis)\w*\b.*(?:gespeichert|erstellt|geändert|gelöscht|gelesen|geöffnet|angelegt|aktualisiert|verschoben)
j'ai (?:créé|modifié|supprimé|lu|ouvert|enregistré|mis à jour)\b.*(?:fichier|dossier|répertoire)
he (?:creado|modificado|eliminado|leído|abierto|guardado|actualizado)\b.*(?:archivo|fichero|carpeta)
"""
"""Claims that can also be about text in the conversation, if there is no tool for files."""
_CANNOT = r"""(?:i(?:'m| am)?(?: currently| also| unfortunately)? (?:can't|cannot|can not|unable to|not able to|won't be able to)(?: currently| directly| actually| really)* (?:access|browse|search|open|visit|read|view|see|use|run|execute|test|write|edit|create|send|set|schedule|query|connect|fetch|check|perform|retrieve|modify|save)|i(?: currently)? (?:don't|do not) have(?: the| an?| any)?(?: \w+)? (?:access|ability|way|means|capability|capabilities|tools?)|i (?:lack|have no) (?:the |any )?(?:access|ability|way|means|capability|tools?))"""
_OTHER = r"(?:ich (?:kann|habe|bin)|kann ich|habe ich)\b.*\b(?:nicht|keine?n?)\b.*|je (?:ne|n')\b.*|no (?:puedo|tengo|soy capaz|dispongo)\b.*"
_WORK = {
    ToolKind.WEB: r"""
        (?:internet|web|online|real-?time|live (?:data|information)|web ?pages?|web ?sites?|urls?|links|naviguer|navegar)
        """,
    ToolKind.CODE: r"""
        (?:code|scripts?|commands?|programs?|tests?|shell|terminal)\b
        (?:code|skripte?|befehle|programme|tests?) (?:ausführen|testen)|exécuter|ejecutar
        """,
    ToolKind.FILES: r"""
        (?:files?|file ?systems?|folders?|director(?:y|ies)|disk|repository|dateien|datei|dateisystem|ordner|fichiers?|dossiers?|archivos?|carpetas?)\b
        """,
    ToolKind.MESSAGES: r"""
        (?:e-?mails?|messages?|sms|notifications?)\b|nachrichten (?:senden|verschicken)
        (?:envoyer|enviar)\b.*(?:mail|message|courriel|correo|mensaje)
        """,
    ToolKind.CALENDAR: r"""
        (?:calendars?|reminders?|appointments?|alarms?|timers?|meetings?|kalender|termine|erinnerung\w*|rappels?|calendrier|recordatorios?|calendario)\b
        """,
    ToolKind.DATABASE: r"""
        (?:databases?|crm|datenbank|base de données|base de datos)\b
        """,
}
_CLAIMED = {kind: phrases(claims, **_DID) for kind, claims in _CLAIMS.items()}
_CLAIMED_OF_FILES = phrases(_CLAIMS[ToolKind.FILES] + _FILE_CLAIM, **_DID)
_DENIED = {
    kind: phrases(
        "<cannot>(?: [\\w'-]+){0,5}? <work>\n(?:<other>)<work>",
        cannot=_CANNOT,
        other=_OTHER,
        work=lines(work),
    )
    for kind, work in _WORK.items()
}
_CONDITION = phrases(
    r"""
    (?:if|once|until|unless|without|before|would|could have|should|let me|i'll|i will|please)\b
    (?:wenn|falls|sobald|ohne|bevor|si|dès que|sans|avant|cuando|sin)\b
    """
)
_REASON = phrases(
    r"""
    (?:because|since|as (?:it|the|you|they)|due to|you (?:sent|attached|pasted|shared))\b
    (?:weil|da|wegen|parce que|car|puisque|porque|ya que|debido)\b
    """
)
_CLAIM_RETRY = Retry(
    "Claim only work that a tool has done in this turn: call the tool, or say that it was not done."
)
_DENIAL_RETRY = Retry("You have a tool for this: call it instead of saying that you cannot.")


def _make(context: GuardContext) -> Check | None:
    if wants_a_voice(context.question):
        return None
    claims = [
        _CLAIMED_OF_FILES if kind is ToolKind.FILES and could(context.tools, kind) else pattern
        for kind, pattern in _CLAIMED.items()
        if not may(context.tools_run, kind)
    ]
    # A tool that has run can have failed, which the answer may report.
    denied = [
        kind for kind in _DENIED if could(context.tools, kind) and not may(context.tools_run, kind)
    ]
    denials = [_DENIED[kind] for kind in denied]

    def check(text: str, scores: Scores) -> Verdict:
        # Few answers say any of this: the others are not split into sentences.
        plain = text.replace("\u2019", "'")
        suspects = [one for one in claims if one.search(plain)]
        refusals = [one for one in denials if one.search(plain)]
        if not suspects and not refusals:
            return PASS
        prose = [one.text for one in sentences(text)[0]]
        if any(_is_said(one, sentence, _CONDITION) for one in suspects for sentence in prose):
            return _CLAIM_RETRY
        if any(_is_said(one, sentence, _REASON) for one in refusals for sentence in prose):
            return _DENIAL_RETRY
        return PASS

    return TextCheck(check=check)


def _is_said(pattern: Pattern, sentence: str, excuse: Pattern) -> bool:
    found = pattern.search(sentence)
    if found is None or sentence.rstrip().endswith("?"):
        return False
    excused = sentence if excuse is _REASON else sentence[: found[0]]
    return excuse.search(excused) is None


GUARD = GuardSpec(
    name="execution_truth",
    does="Has the model answer again if it claims work that no tool did, or denies its tools.",
    action=Action.RETRY,
    make=_make,
)
