# What the scripts share: how they speak, and where they are. Sourced, never run.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
VENV=$ROOT/.venv

# say WORD WHAT: one line for people, on stderr, so that stdout stays the commands' own.
say() { printf '%-8s %s\n' "$1" "$2" >&2; }

# give_up WHAT HOW [EXIT]: what is wrong and what to do about it. 4: the kernel or a permission is missing.
give_up() {
    printf 'error: %s\n  hint: %s\n' "$1" "$2" >&2
    exit "${3:-4}"
}
