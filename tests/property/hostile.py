"""Texts that are meant to hurt: too deep, too long, too many, too strange; and selectors as people mistype them."""

from random import Random

from tests.property import mutations

RULES = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [%s]}\n"
SET = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: p}\nspec: {nets: [%s]}\n"
SELECTED = "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {selector: %s}\n"
STRANGE = "\0\x07\x1b\x85\u2028\ufeff\ud800\U0001f600é\t\r"

SELECTORS = (
    *("", "all()", "global()", "has(a)", "!has(a)", 'a == "b"', "a != 'b'", "a in {'b', \"c\"}", "a not in {}"),
    *("a contains 'x'", "a starts with 'x'", "a endswith 'x'", "!(a == 'b')", "a == 'b' && c == 'd' || !has(e)"),
    *(
        "((a == 'b') || (has(c/d.e_f-g))) && all()",
        "projectcalico.org/namespace == 'x'",
        "in in {'in'}",
        "has == 'has'",
    ),
)
WORDS = (
    *("a", "in", "not", "not in", "has(", "has (", "all()", "all(", "global()", "(", ")", "!", "&&", "||", "&", "|"),
    *("==", "!=", "=", "'x'", '"x"', "'", '"', "{", "}", ",", "contains", "starts with", "ends  with", "ü", " ", "\t"),
    *("\n", "\0", "\u2028", "\ud800", "a" * 513, "(" * 300, "!" * 300, "&&!(" * 300),
)


def document(random: Random) -> str:
    """A text that asks for time, memory or stack, or that mixes encodings, ends of lines and tabs."""
    made = random.choice((_deep, _bomb, _long, _foreign, _strange, _wide))
    return made(random)


def _deep(random: Random) -> str:
    count = random.choice([10, 63, 64, 65, 1000, 20_000])
    opening, closing = random.choice([("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", ""), ("!x ", ""), ("&a [", "]")])
    return RULES % (opening * count + closing * random.choice([count, 0, 1]))


def _bomb(random: Random) -> str:
    levels, width = random.choice([(3, 3), (9, 9), (30, 2), (4, 200)])
    lines = ["a0: &a0 {action: Allow}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    merges = ["", f"<<: [{', '.join([f'*a{levels - 1}'] * width)}]", f"spec: *a{levels - 1}", "a: &a [*a]"]
    return "\n".join([*lines, random.choice(merges)]) + "\n---\n" + RULES % "{action: Allow}"


def _long(random: Random) -> str:
    count = random.choice([100, 1025, 5000])
    one = random.choice(["{action: Allow}", "{action: allow}", "{}", "x", "[]", "{action: Deny, protocol: TCP}"])
    return random.choice(
        [RULES % ", ".join([one] * count), SET % ", ".join(f"10.0.{n % 300}.0/24" for n in range(count))]
    )


def _wide(random: Random) -> str:
    text = random.choice([*WORDS, *STRANGE, "a", "'", "\\"]) * random.choice([10, 2000, 30_000])
    return SELECTED % random.choice([text, "'" + text, '"' + text + '"', "|\n  " + text])


def _foreign(random: Random) -> str:
    text = mutations.text(random)
    how = random.randrange(5)
    if how == 0:
        return text.replace("\n", random.choice(["\r\n", "\r", "\n\n", "\x85", "\u2028"]))
    if how == 1:
        return "\ufeff" + text + random.choice(["", "\n---\n\ufeff" + text])
    if how == 2:
        return text.replace("  ", "\t")
    if how == 3:
        return text.encode("utf-16-le", "surrogatepass").decode("latin-1")
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _strange(random: Random) -> str:
    text = mutations.text(random)
    for _ in range(random.choice([1, 5, 50])):
        place = random.randint(0, len(text))
        text = text[:place] + random.choice(STRANGE) + text[place:]
    return text


def selector(random: Random) -> str:
    """Selectors joined, cut, and sprinkled with words and characters that do not belong."""
    text = random.choice([" && ", "||", " ", ""]).join(random.choices(SELECTORS, k=random.choice([1, 1, 2, 3])))
    for _ in range(random.choice([0, 1, 1, 2, 3, 8])):
        place, cut = random.randint(0, len(text)), random.choice([0, 0, 1, 2, 5])
        added = random.choice(WORDS) if random.random() < 0.7 else random.choice(mutations.CHARACTERS)
        text = text[:place] + random.choice([added, ""]) + text[place + cut :]
    return text
