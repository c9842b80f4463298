# shellcheck shell=dash
# What guest scripts share. Source it first; call done_testing last: a script without its plan counts as dead.

count=0
failures=0

ok() {
    count=$((count + 1))
    echo "ok - $*"
}

not_ok() {
    count=$((count + 1))
    failures=$((failures + 1))
    echo "not ok - $*"
}

# is GOT WANTED TEXT: both strings are the same.
is() {
    if [ "$1" = "$2" ]; then
        ok "$3"
    else
        not_ok "$3"
        printf 'got:    %s\nwanted: %s\n' "$1" "$2"
    fi
}

# succeeds TEXT COMMAND...: the command's exit status is 0.
succeeds() {
    local text="$1"
    shift
    if "$@"; then ok "$text"; else not_ok "$text"; fi
}

# fails TEXT COMMAND...: the command's exit status is not 0.
fails() {
    local text="$1"
    shift
    if "$@"; then not_ok "$text"; else ok "$text"; fi
}

# wait_until TRIES COMMAND...: runs the command up to TRIES times, a tenth of a second apart, until it succeeds.
wait_until() {
    local tries="$1"
    shift
    while ! "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

# loaded NAME: the kernel has that module.
loaded() {
    grep -q "^$1 " /proc/modules
}

# Prints the plan, and with it says that the script came to its end.
done_testing() {
    echo "1..$count"
    [ "$failures" = 0 ]
    exit
}
