"""Credentials: patterns for keys, tokens and passwords in text. Pure.

The formats are those that the issuers of the credentials publish. A credential has no end of its
own: the whole run of its characters counts, so that a longer one of tomorrow is removed whole.
"""

import math
import re
from collections import Counter

from actors.guards import patterns
from actors.guards.leaks.flow import word_begin

TOKENS = {
    "1password": r"ops_eyJ[\w+/-]{100,}|A3-[A-Z0-9]{6}-[A-Z0-9-]{11,13}(?:-[A-Z0-9]{5}){3}",
    "adobe": r"p8e-[a-z0-9]{32}",
    "age": r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}",
    "airtable": r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}",
    "alibaba": r"LTAI[A-Za-z0-9]{16,}",
    "anthropic": r"sk-ant-[a-z0-9]{3,12}-[\w-]{20,}",
    "artifactory": r"AKCp[A-Za-z0-9]{60,}|cmVmd[A-Za-z0-9]{59}",
    "atlassian": r"AT(?:ATT|CTT|BB)3?[\w=-]{24,}",
    "authress": r"(?:authress|ext|sc|scauth)_[a-z0-9]{5,30}\.[a-z0-9]{4,6}\.acc[_-][\w.+/=-]{40,}",
    "aws": r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z2-7]{16}",
    "aws bedrock": r"ABSK[A-Za-z0-9+/]{100,}={0,2}|bedrock-api-key-[A-Za-z0-9+/]{20,}={0,2}",
    "azure": r"\w[\w~.]{2}\dQ~[\w~.-]{31,34}|sig=[\w%+/-]{40,}={0,2}",
    "brevo": r"xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}",
    "clickhouse": r"4b1d[A-Za-z0-9]{38}",
    "clojars": r"CLOJARS_[a-z0-9]{60}",
    "cloudflare": r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}",
    "databricks": r"dapi[a-f0-9]{32}(?:-\d)?",
    "digitalocean": r"do[opr]_v1_[a-f0-9]{64}",
    "discord": r"[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}",
    "discord webhook": r"discord(?:app)?\.com/api/webhooks/\d+/[\w-]{60,}",
    "doppler": r"dp\.(?:audit|ct|pt|sa|scim|st)\.[\w.-]{40,}",
    "duffel": r"duffel_(?:live|test)_[\w=-]{43}",
    "dynatrace": r"dt0[a-z]\d{2}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{64}",
    "easypost": r"EZ[AT]K[A-Za-z0-9]{54}",
    "facebook": r"EAA[A-Za-z0-9]{90,}",
    "figma": r"fig[duo]_[\w-]{40,}",
    "flutterwave": r"FLWSECK(?:_TEST)?-[A-Za-z0-9]{12,}(?:-X)?",
    "fly": r"fo1_[\w-]{40,}|fm[12][ar]?_[A-Za-z0-9+/]{80,}={0,3}",
    "frame.io": r"fio-u-[\w=-]{64}",
    "github": r"gh[oprsu]_[A-Za-z0-9]{36,}|github_pat_\w{60,}",
    "gitlab": r"gl(?:agent|cbt|dt|ffct|ft|imt|oas|pat|ptt|rtr?|soat)-[\w.-]{20,}",
    "gitlab runner": r"GR1348941[\w-]{20,}",
    "google": r"AIza[\w-]{35,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{28}|1//0[\w-]{40,}",
    "grafana": r"gl(?:c|sa)_[\w+/]{32,}={0,3}|eyJrIjoi[A-Za-z0-9]{70,}={0,3}",
    "groq": r"gsk_[A-Za-z0-9]{40,}",
    "harness": r"[ps]at\.[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}",
    "heroku": r"HRKU-[\w-]{36,}",
    "huggingface": r"(?:hf|api_org)_[A-Za-z0-9]{30,}",
    "infracost": r"ico-[A-Za-z0-9]{32}",
    "intra42": r"s-s4t2(?:af|ud)-[a-f0-9]{64}",
    "json web token": r"eyJ[\w-]{14,}(?:\.[\w-]{14,})+={0,2}",
    "linear": r"lin_(?:api|oauth)_[A-Za-z0-9]{32,}",
    "mailchimp": r"[a-f0-9]{32}-us\d{1,2}",
    "mailgun": r"key-[a-f0-9]{32}",
    "microsoft teams": r"webhook\.office\.com/webhookb2/[\w@-]{60,}/IncomingWebhook/[\w/-]{40,}",
    "maxmind": r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk",
    "new relic": r"NR(?:AK|II|IQ|RA|JS)-[\w-]{19,}",
    "notion": r"ntn_[A-Za-z0-9]{43,}|secret_[A-Za-z0-9]{43}",
    "npm": r"npm_[A-Za-z0-9]{36,}",
    "nuget": r"oy2[a-z0-9]{43}",
    "octopus": r"API-[A-Z0-9]{26,}",
    "openai": r"sk-(?:proj|svcacct|admin)-[\w-]{20,}|sk-[A-Za-z0-9]{32,}",
    "openrouter": r"sk-or-v1-[a-f0-9]{32,}",
    "openshift": r"sha256~[\w-]{43}",
    "perplexity": r"pplx-[A-Za-z0-9]{40,}",
    "planetscale": r"pscale_[a-z]{2,5}_[\w=.-]{32,}",
    "postman": r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
    "prefect": r"pn[bu]_[A-Za-z0-9]{36}",
    "pulumi": r"pul-[a-f0-9]{40}",
    "pypi": r"pypi-AgE[\w-]{50,}",
    "readme": r"rdme_[a-z0-9]{70}",
    "replicate": r"r8_[A-Za-z0-9]{37,}",
    "rubygems": r"rubygems_[a-f0-9]{48}",
    "scalingo": r"tk-us-[\w-]{48}",
    "sendgrid": r"SG\.[\w=-]{10,30}\.[\w=.-]{30,60}",
    "sentry": r"sntry[su]_[\w+/]{40,}={0,2}[\w+/]*",
    "settlemint": r"sm_[aps]at_[A-Za-z0-9]{16,}",
    "shippo": r"shippo_(?:live|test)_[a-fA-F0-9]{40}",
    "shopify": r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    "slack": r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{10,}",
    "slack webhook": r"hooks\.slack\.com/[a-z]+/[A-Za-z0-9+/]{40,}",
    "sourcegraph": r"sgp_(?:[a-fA-F0-9]{16}_|local_)?[a-fA-F0-9]{40}",
    "square": r"sq0[a-z]{3}-[\w-]{22,}|EAAA[\w-]{22,}",
    "stripe": r"[rs]k_(?:live|prod|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/]{24,}={0,2}",
    "supabase": r"sb[ps]_[a-f0-9]{40}|sb_secret_[\w-]{20,}",
    "tailscale": r"tskey-[a-z]{3,9}-[A-Za-z0-9]{8,}-[A-Za-z0-9]{16,}",
    "telegram": r"\d{8,10}:AA[\w-]{33}",
    "tencent": r"AKID[A-Za-z0-9]{32,}",
    "terraform": r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,}",
    "twilio": r"SK[a-fA-F0-9]{32}",
    "vault": r"hv[brs]\.[\w-]{24,}",
    "xai": r"xai-[A-Za-z0-9]{60,}",
}
"""Formats of credentials that can be told from other text without any context, by their issuer."""

_KINDS = (
    *("access", "account", "api", "app", "auth", "client", "consumer", "encryption", "master"),
    *("private", "refresh", "secret", "service", "session", "shared", "signing", "storage"),
)
_KIND = rf"(?:(?:{'|'.join(_KINDS)})[_. -]?)"
_PASSWORD = r"(?:passw(?:or)?d|passphrase|passcode|pwd|passwort|kennwort|(?:\b|_)pass)"
_TOKEN = rf"(?:\b|_){_KIND}{{0,3}}(?:{_KIND}key|secret|token|credentials?)"
_QUOTES = r"[*\"'`\\\])]{0,4}"
_SPACE = r"[ \t]{0,16}"
_TYPE = rf":{_SPACE}[\w\[\]|]{{1,24}}{_SPACE}"
_ASSIGNS = rf"{_QUOTES}{_SPACE}(?:=>|:=|={{1,2}}|:|>|is:?|{_TYPE}=)[ \t*\"'`\\]{{0,16}}"
_OPTION = r"--[\w-]{0,30}"
_HEADER = r"authorization[\"'\\]{0,4}[ \t]{0,4}[:=][ \t\"'`\\]{0,8}"
# Visible ASCII without quotes, brackets and what separates fields of a connection string.
_VALUE = r"(?-i:[!#$%&*+./0-9:=?@A-Z^_a-z~-])"

TOKEN = patterns.compile(rf"(?:\b|\\[nrt])({'|'.join(TOKENS.values())})")
PASSWORD_SET = patterns.compile(rf"{_PASSWORD}{_ASSIGNS}({_VALUE}{{8,}})", ignore_case=True)
TOKEN_SET = patterns.compile(rf"{_TOKEN}{_ASSIGNS}({_VALUE}{{16,}})", ignore_case=True)
OPTION_SET = patterns.compile(
    rf"{_OPTION}(?:{_PASSWORD}|{_TOKEN})[ \t=]{{1,4}}[\"'`]?({_VALUE}{{8,}})", ignore_case=True
)
BEARER = patterns.compile(rf"\bbearer[ \t]{{1,4}}({_VALUE}{{20,}})", ignore_case=True)
BASIC = patterns.compile(rf"{_HEADER}basic[ \t]{{1,4}}({_VALUE}{{12,}})", ignore_case=True)
_OF_URL = "[!$%&*+.0-9=A-Z^_a-z~-]"
URL = patterns.compile(
    rf"\b[A-Za-z][\w+.-]{{1,20}}://{_OF_URL}{{0,64}}:({_OF_URL}{{4,128}})@[\w\[]"
)
_NAME = rf"(?:{_PASSWORD}|{_TOKEN})"
_ENDS_WITH_NAME = re.compile(
    rf"(?:{_NAME}{_QUOTES}{_SPACE}(?:{_TYPE})?|authorization[\"'\\]{{0,4}}[ \t]{{0,4}})\Z",
    re.IGNORECASE | re.ASCII,
)
_BEGINS_VALUE = re.compile(
    rf"(?:{_NAME}{_ASSIGNS}|{_OPTION}{_NAME}[ \t]{{1,4}}|{_HEADER}(?:basic[ \t]{{1,4}})?"
    r"|\bbearer[ \t]{1,4})\Z",
    re.IGNORECASE | re.ASCII,
)
_MAY_BE_VALUE = re.compile(r"\S*\d|\S{12}|\W+\Z|basic\Z", re.IGNORECASE)
_VALUE_OF_WORD = re.compile(rf"[*\"'`\\]*({_VALUE}*)")
_MAY_BE_TYPE = re.compile(r"[\w\[\]|]{1,24}[ \t]{0,16}(?:=|\Z)")
_IS_NAME = re.compile(
    rf"(?:{_NAME}|(?:{'|'.join(_KINDS)})[_.-]?|authorization|basic|bearer){_QUOTES}(?:=>|:=|=|:)?\Z",
    re.IGNORECASE | re.ASCII,
)
_LONGEST_NAME = 200
"""Characters of the longest name of a value with what assigns it."""


def joins_value(text: str, gap_end: int) -> int:
    """Return the begin of the words that a gap joins to a name and its value, or `gap_end`."""
    if gap_end > 2 and text[gap_end - 1] in " \t" and _is_in_value(text, gap_end):
        return word_begin(text, gap_end)
    return gap_end


def _is_in_value(text: str, gap_end: int) -> bool:
    before, behind = text[gap_end - 2], text[gap_end]
    if behind in "kKsStTcC" and text[max(0, gap_end - 11) : gap_end - 1].lower().endswith(_KINDS):
        return True
    # The patterns take some microseconds, so look for what they need first.
    begin = max(0, gap_end - _LONGEST_NAME)
    if behind in "=:>iI*\"'`\\" and _ENDS_WITH_NAME.search(text, begin, gap_end):
        return True
    last = text[gap_end - 3 : gap_end - 1].lower()
    if before in "=:>*\"'`\\ \t" or last in {"is", "er", "ic"} or "--" in text:  # bearer, basic
        return _BEGINS_VALUE.search(text, begin, gap_end) is not None and (
            _may_be_value(text[gap_end : gap_end + _LONGEST_NAME].split(None, 1))
            or (before == ":" and _MAY_BE_TYPE.match(text, gap_end) is not None)
        )
    return False


def _may_be_value(words: list[str]) -> bool:
    """Return False if the first of the words is whole and no value; others join without end."""
    if len(words) < 2:
        return True
    value = _VALUE_OF_WORD.match(words[0])
    may_be = value is not None and (words[0].lower() == "basic" or not is_name(value[1]))
    return may_be and _MAY_BE_VALUE.match(words[0]) is not None


def is_name(value: str) -> bool:
    """Return whether a value ends like a name, and so is the name of what follows."""
    return _IS_NAME.search(value, max(0, len(value) - _LONGEST_NAME)) is not None


_PLACEHOLDER = re.compile(
    r"example|placeholder|your|changeme|dummy|redacted|sample|insert|xxxx|\.\.\.|\*\*\*|abcdef"
    r"|1234567|000000|IkpvaG4gRG9l",  # the last is John Doe in the token that jwt.io shows
    re.IGNORECASE,
)
_WEAK = re.compile(
    r"(?:my|your|the|some|db|super|test|default|app)?[_.-]?(?:passw(?:or)?d|p[a@]ssw[o0]rd|pass|pwd"
    r"|secret|user|username|admin|root|postgres|mysql|guest|test|letmein|token|foo|bar|baz|open"
    r"|key|api[_-]?key|pw)[_.-]?(?:word|name|here|value|sesame)?[\d!]{0,4}",
    re.IGNORECASE,
)
_NOT_LITERAL = re.compile(
    r"[$%@&][\w.:{(%-]*[%}]?|(?:[A-Za-z][\w-]*[.:/]){2,}.*|[\w.+-]+://.*|(?:~|\.{0,2})/.*"
)
"""References to variables, paths and URLs."""
_WORD = r"(?:[A-Za-z]+\d{0,2}|\d*)"
_WORDS = re.compile(rf"{_WORD}(?:[_.-]{_WORD})+")
"""Names and versions, as in `expected_password2`."""
_LEAST_ENTROPY = 3.0
"""Fewest bits for each character of a credential; text has less in so short a run."""


def entropy(text: str) -> float:
    """Return the Shannon entropy of a text, in bits for each character."""
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values())


def is_token(text: str) -> bool:
    """Return False for what stands in examples in place of a token."""
    return _PLACEHOLDER.search(text) is None and entropy(text) >= _LEAST_ENTROPY


def is_password(text: str) -> bool:
    """Return False for what stands in examples in place of a password."""
    return _PLACEHOLDER.search(text) is None and _WEAK.fullmatch(text) is None


def is_literal(text: str) -> bool:
    """Return whether a value looks random, unlike words, names and references to variables."""
    return (
        any(map(str.isdigit, text))
        and any(map(str.isalpha, text))
        and _WORDS.fullmatch(text) is None
        and _NOT_LITERAL.fullmatch(text) is None
        and entropy(text) >= _LEAST_ENTROPY - 0.5
    )
