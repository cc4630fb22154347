"""Example values for JSON schemas, used as arguments of simulated tool calls."""

from collections.abc import Mapping

from actors.turn.model_call import JSON

_WORDS = ("harbour", "lantern", "curtain", "violin", "velvet", "rehearsal", "spotlight")
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T20:15:00Z",
    "time": "20:15:00Z",
    "email": "trouper@example.com",
    "uri": "https://example.com/stage",
    "uuid": "6f1c2f3e-8d1b-4c55-9a37-0d2b4c6e8f10",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "stage.example.com",
}
_DEEP = 6
"""Depth from which only required properties are filled in, so that recursive schemas end."""
_MOST = 5000
"""Maximum number of subschemas resolved; values after that are null. Schemas come from the client,
and a short one can demand exponentially many values."""


def example(schema: JSON, seed: int) -> JSON:
    """Return a value that fits `schema`, the same for the same seed.

    Supports types, `enum`, `const`, `default`, local `$ref`, `anyOf` and `oneOf` (the first
    option), `allOf`, bounds of numbers, lengths and formats, but not `pattern`.
    """
    return _Maker(schema, seed).make(schema, 0)


class _Maker:
    def __init__(self, root: JSON, seed: int) -> None:
        self._root = root
        self._seed = seed
        self._left = _MOST

    def make(self, schema: JSON, depth: int) -> JSON:
        rules = self._resolved(schema, depth)
        for fixed in ("const", "default"):
            if fixed in rules:
                return rules[fixed]
        choices = rules.get("enum")
        if isinstance(choices, list) and choices:
            return choices[self._next() % len(choices)]
        return self._of_type(_type(rules), rules, depth)

    def _resolved(self, schema: JSON, depth: int) -> dict[str, JSON]:
        rules = dict(schema) if isinstance(schema, dict) else {}
        self._left -= 1
        if self._left < 0 or depth > 4 * _DEEP:
            return {"type": "null"}
        if isinstance(target := rules.pop("$ref", None), str):
            rules |= self._resolved(self._lookup(target), depth + 1)
        for several in ("anyOf", "oneOf"):
            if isinstance(options := rules.pop(several, None), list) and options:
                # At depth the last option is more likely to end a recursion (`… | null`).
                rules |= self._resolved(options[-1 if depth >= _DEEP else 0], depth + 1)
        for part in _list(rules.pop("allOf", None)):
            rules = _merged(rules, self._resolved(part, depth + 1))
        return rules

    def _lookup(self, target: str) -> JSON:
        found = self._root
        for step in target.removeprefix("#").strip("/").split("/"):
            found = found.get(step) if step and isinstance(found, dict) else found
        return found

    def _of_type(self, type: JSON, rules: dict[str, JSON], depth: int) -> JSON:
        match type:
            case "object":
                return self._object(rules, depth)
            case "array":
                return self._array(rules, depth)
            case "integer" | "number":
                return _number(rules, type == "integer", self._next())
            case "boolean":
                return self._next() % 2 == 0
            case "null":
                return None
            case _:
                return _string(rules, _WORDS[self._next() % len(_WORDS)])

    def _object(self, rules: dict[str, JSON], depth: int) -> dict[str, JSON]:
        properties = rules.get("properties")
        known: Mapping[str, JSON] = properties if isinstance(properties, dict) else {}
        required = [name for name in _list(rules.get("required")) if isinstance(name, str)]
        names = required if depth >= _DEEP else list(dict.fromkeys([*known, *required]))
        return {name: self.make(known.get(name, {}), depth + 1) for name in names}

    def _array(self, rules: dict[str, JSON], depth: int) -> list[JSON]:
        least = _int(rules.get("minItems"), 0)
        length = least if depth >= _DEEP else max(1, least)
        length = min(length, _int(rules.get("maxItems"), length))
        values: list[JSON] = []
        while len(values) < length and self._left > 0:
            values.append(self.make(rules.get("items", {}), depth + 1))
        return values

    def _next(self) -> int:
        # Knuth's MMIX generator; its low bits have a short period, so only the high ones are used.
        self._seed = (self._seed * 6364136223846793005 + 1442695040888963407) % 2**64
        return self._seed >> 33


def _type(rules: dict[str, JSON]) -> JSON:
    type = rules.get("type")
    if isinstance(type, list):
        return next((one for one in type if one != "null"), "null")
    if type is None and "properties" in rules:
        return "object"
    return "array" if type is None and "items" in rules else type


def _merged(one: dict[str, JSON], other: dict[str, JSON]) -> dict[str, JSON]:
    merged = one | other
    first, second = one.get("properties"), other.get("properties")
    if isinstance(first, dict) and isinstance(second, dict):
        merged["properties"] = first | second
    if "required" in one and "required" in other:
        merged["required"] = [*_list(one["required"]), *_list(other["required"])]
    return merged


def _number(rules: dict[str, JSON], whole: bool, pick: int) -> JSON:
    step = _float(rules.get("multipleOf"), 1)
    step = step if step > 0 else 1
    low = _low(rules, step)
    high = _high(rules, step, low)
    value = low + step * (pick % (int(max(0, high - low) / step) + 1))
    return int(value) if whole or float(value).is_integer() else value


def _low(rules: dict[str, JSON], step: float) -> float:
    if "exclusiveMinimum" in rules:
        return (_float(rules["exclusiveMinimum"], 0) // step + 1) * step
    if "minimum" in rules:
        return -(-_float(rules["minimum"], 0) // step) * step
    upper = _float(rules.get("maximum", rules.get("exclusiveMaximum")), 10)
    return step if upper > step else (upper // step - 1) * step


def _high(rules: dict[str, JSON], step: float, low: float) -> float:
    if "exclusiveMaximum" in rules:
        return (-(-_float(rules["exclusiveMaximum"], 0) // step) - 1) * step
    return _float(rules.get("maximum"), low + 9 * step)


def _string(rules: dict[str, JSON], word: str) -> str:
    format = rules.get("format")
    if isinstance(format, str) and format in _FORMATS:
        return _FORMATS[format]
    least = _int(rules.get("minLength"), 0)
    padded = word if len(word) >= least else (word + " ") * (least // len(word) + 1)
    return padded[: _int(rules.get("maxLength"), max(least, len(word)))]


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


def _int(value: JSON, default: int) -> int:
    # Bounded, since a client's `minLength` or `minItems` may be any number.
    return min(value, 10_000) if isinstance(value, int) else default


def _float(value: JSON, default: float) -> float:
    return value if isinstance(value, int | float) else default
