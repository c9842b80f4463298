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

# has_lines COUNT FILE: the file is there and has at least that many lines.
has_lines() {
    [ -e "$2" ] && [ "$(wc -l <"$2")" -ge "$1" ]
}

# loaded NAME: the kernel has that module.
loaded() {
    grep -q "^$1 " /proc/modules
}

# The line of /proc/sysvipc/msg for the daemon's queue (key 0x6b65726e), when there is one.
daemon_queue() {
    awk '$1 == 1801810542' /proc/sysvipc/msg
}

has_queue() {
    [ -n "$(daemon_queue)" ]
}

# How many messages wait in the daemon's queue.
queue_length() {
    daemon_queue | awk '{ print $5 }'
}

# start_kerneld ARGUMENT...: runs the daemon until stop_kerneld; its log is /run/kerneld.log.
start_kerneld() {
    kerneld --foreground "$@" >/run/kerneld.log 2>&1 &
    kerneld_pid=$!
    succeeds "the daemon opens its queue" wait_until 300 has_queue
}

# The process ids of the daemon, all its processes.
kerneld_pids() {
    local process
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/exe")" != /usr/bin/kerneld ] || echo "${process#/proc/}"
    done
}

# signal_kerneld NAME: sends that signal to each of the daemon's processes.
signal_kerneld() {
    local pid
    for pid in $(kerneld_pids); do
        kill -s "$1" "$pid"
    done
}

# Asks the daemon to end, and says whether it did so cleanly. Shows its log when any test failed.
stop_kerneld() {
    kill -s TERM "$kerneld_pid"
    wait "$kerneld_pid"
    is "$?" 0 "the daemon ends with status 0"
    fails "and removed its queue" has_queue
    is "$(kerneld_pids)" '' "and left no process"
    [ "$failures" = 0 ] || cat /run/kerneld.log
}

# status_of COMMAND...: its exit status.
status_of() {
    "$@" >/dev/null 2>&1
    echo $?
}

# refusal_of REQUEST TEXT: the negative errno that the daemon answers.
refusal_of() {
    kdsend -r "$@" 2>&1 >/dev/null | sed -n 's/^kdsend: answered \(-[0-9]*\) .*/\1/p'
}

# Prints the plan, and with it says that the script came to its end.
done_testing() {
    echo "1..$count"
    [ "$failures" = 0 ]
    exit
}
