# What runs on a node: POSIX sh, for dash, bash and busybox alike.
#
# `wrapper.rs` sets the variables that are used here and not set here, defines `rs_payload`, appends this file
# without its comments, and calls one verb on the last line: a text that was cut short by its transport does
# nothing. All names begin with `rs_`, because setting a variable that the node exports would change what the step
# sees. A process id is never written with two dollar signs: SSM may make one of them.
#
# Files of an attempt, in "$rs_state/attempts/<run>.<step>.<attempt>":
#   wrapper   boot id, pid and start time of the shell that was sent
#   script    the payload
#   group     pid of the step, which leads a session and a process group of its own
#   clock     pid of the `sleep` that measures the timeout
#   output    what the step prints, both streams
#   stop      why the step is being ended, when it is: timed-out or interrupted
#   result    the result line, once there is one
#
# shellcheck shell=sh disable=SC2154

set -u

# Prints the result line. $1: the state, a label of model::outcome::Outcome. $2: the step's own status, or nothing.
rs_line() {
    printf 'roundsman v1 run=%s claim=%s step=%s attempt=%s boot=%s state=%s status=%s\n' \
        "$rs_run" "$rs_claim" "$rs_step" "$rs_attempt" "$rs_boot" "$1" "$2"
}

# Ends the wrapper of a step that was not started. $1: exit status. $2: the state. $3: a sentence.
rs_refuse() {
    if [ -n "$rs_signal" ]; then
        set -- 1 interrupted 'stopped before the step was started'
    fi
    rs_line "$2" ''
    printf 'roundsman: %s\n' "$3"
    exit "$1"
}

# Ends the wrapper for want of a place or a tool. Nothing was started, for certain, unless an earlier send of this
# attempt left its directory: then nobody can say, and no result line is printed. $1: a sentence.
rs_no_place() {
    if [ -n "${rs_made:-}" ]; then
        rm -rf "$rs_dir"
    elif [ -e "$rs_dir" ]; then
        printf 'roundsman: %s\n' "$1" >&2
        exit 73
    fi
    rs_refuse 73 undelivered "$1"
}

# Prints what is recorded of the attempt, and ends the wrapper.
rs_report() {
    rs_result=
    IFS= read -r rs_result 2>/dev/null <"$rs_dir/result"
    if [ -z "$rs_result" ]; then
        printf 'roundsman: no result was recorded in %s\n' "$rs_dir" >&2
        exit 1
    fi
    printf '%s\n' "$rs_result"
    tail -c 20000 "$rs_dir/output"
    case $rs_result in
    *' state=ok status='*) exit 0 ;;
    esac
    exit 1
}

# The fields of a process that name it for good: pid and start time. $1: its directory in /proc.
rs_identity() {
    read -r rs_stat <"$1/stat" || return 1
    # The second field is the name in brackets, which may hold spaces.
    rs_pid=${rs_stat%% *}
    # shellcheck disable=SC2086 # numbers, to be split
    set -- ${rs_stat##*) }
    shift 19
    printf '%s %s\n' "$rs_pid" "$1"
} 2>/dev/null

# Whether the wrapper of an earlier send of this attempt lives, or anything of its step.
rs_lives() {
    rs_found=
    rs_group=
    rs_ours=
    read -r rs_found rs_ours 2>/dev/null <"$rs_dir/wrapper"
    # Without a record: between its first two commands, so it lives.
    [ -n "$rs_found" ] || return 0
    [ "$rs_found" = "$rs_boot" ] || return 1
    [ "$(rs_identity "/proc/${rs_ours%% *}")" != "$rs_ours" ] || return 0
    read -r rs_group 2>/dev/null <"$rs_dir/group"
    [ -n "$rs_group" ] && kill -0 "-$rs_group" 2>/dev/null
}

# Ends the step: TERM to its process group, and KILL after a while. $1: why. (`kill -TERM -n` is the one way to
# name a group that dash, bash and busybox share.)
rs_stop() {
    [ ! -e "$rs_dir/result" ] || return 0
    # The first reason is the true one.
    (set -C && printf '%s\n' "$1" >"$rs_dir/stop") 2>/dev/null
    rs_group=
    rs_tries=0
    # It is written by the step's first process; a moment too early is no reason to let it run.
    until read -r rs_group <"$rs_dir/group" && [ -n "$rs_group" ]; do
        [ "$rs_tries" -lt 25 ] && [ ! -e "$rs_dir/result" ] || return 0
        rs_tries=$((rs_tries + 1))
        rs_blink
    done 2>/dev/null
    kill -TERM "-$rs_group" 2>/dev/null || return 0
    rs_tries=0
    while [ "$rs_tries" -lt "$((rs_grace * 5))" ] && kill -0 "-$rs_group" 2>/dev/null; do
        rs_tries=$((rs_tries + rs_blinks))
        rs_blink
    done
    kill -KILL "-$rs_group" 2>/dev/null
}

# Waits a fifth of a second, or a whole one where `sleep` knows no fractions; `rs_blinks` says how many fifths.
rs_blinks=1
rs_blink() {
    [ "$rs_blinks" = 1 ] && sleep 0.2 2>/dev/null && return
    rs_blinks=5
    sleep 1
}

# Ends the step when its time is over.
rs_clock() {
    sleep "$rs_timeout" &
    printf '%s\n' "$!" >"$rs_dir/clock"
    wait "$!"
    trap : TERM
    rs_stop timed-out
}

# Runs the step and records its result. The arguments are its environment, interpreter and file.
rs_supervise() {
    # Handlers, not `trap ''`: what is ignored would stay ignored in the step.
    trap : TERM INT HUP
    rs_clock >/dev/null 2>&1 &
    rs_clock=$!
    cd / || return
    umask "$rs_umask"
    # The brackets keep the output's redirection away from this shell, which may have to complain (see below).
    # shellcheck disable=SC2016 # for the inner shell
    (
        exec >"$rs_dir/output" 2>&1 setsid sh -c 'read -r pid rest </proc/self/stat
            printf "%s\n" "$pid" >"$1" && shift && exec env -- "$@"' sh "$rs_dir/group" "$@"
    )
    rs_status=$?
    umask 077
    rs_why=
    read -r rs_why 2>/dev/null <"$rs_dir/stop"
    # A shell reports 137 for `exit 137` and for a KILL alike, but only of the latter it complains (to "report").
    if [ -n "$rs_why" ]; then
        set -- "$rs_why" ''
    elif [ "$rs_status" -gt 128 ] && [ -s "$rs_dir/report" ]; then
        set -- interrupted ''
    elif [ "$rs_status" = 0 ]; then
        set -- ok 0
    else
        set -- failed "$rs_status"
    fi
    # While a time-out is at work it also looks after what the step has started. Otherwise the clock is stopped, by
    # KILL: a trap that is being set up may lose a TERM.
    if [ "$rs_why" != timed-out ]; then
        kill -s KILL "$rs_clock"
        rs_sleep=
        read -r rs_sleep <"$rs_dir/clock"
        [ -z "$rs_sleep" ] || kill -s KILL "$rs_sleep"
    fi 2>/dev/null
    wait "$rs_clock" 2>/dev/null
    # Into the room that was set aside: a disk that the step has filled does not lose its result.
    rs_line "$1" "$2" 1<>"$rs_dir/room" && mv "$rs_dir/room" "$rs_dir/result"
}

# Answers a send of an attempt that was begun here before: with its result, once there is one. A send that was
# delivered twice runs the step once, and both are told how it ended; whoever is told `busy` would send it anew, beside
# the one that runs. Returns when it has ended without a result. What outlives its time by far says nothing.
rs_attach() {
    rs_waited=0
    while [ -d "$rs_dir" ] && [ ! -e "$rs_dir/result" ] && rs_lives; do
        if [ "$rs_waited" -ge "$(((rs_timeout + 2 * rs_grace) * 5))" ]; then
            printf 'roundsman: this attempt still runs here, beyond its time\n' >&2
            exit 75
        fi
        if [ -n "$rs_signal" ]; then
            rs_signal=
            rs_stop interrupted
        fi
        rs_waited=$((rs_waited + rs_blinks))
        rs_blink
    done
    [ -d "$rs_dir" ] || rs_refuse 73 undelivered 'another send of this attempt found no place here'
    [ ! -e "$rs_dir/result" ] || rs_report
}

# Makes the attempt's directory and the files in it, or ends the wrapper.
rs_prepare() {
    for rs_tool in base64 setsid env sleep tail; do
        command -v "$rs_tool" >/dev/null 2>&1 || rs_no_place "this node has no $rs_tool"
    done
    rs_error=$(mkdir -p "$rs_state/attempts" 2>&1 && chmod 700 "$rs_state" 2>&1) ||
        rs_no_place "no place to keep state: $rs_error"
    find "$rs_state/attempts/." ! -name . -prune -mtime +30 -exec rm -rf {} + 2>/dev/null </dev/null
    if ! rs_error=$(mkdir "$rs_dir" 2>&1); then
        [ -d "$rs_dir" ] || rs_no_place "no place to keep state: $rs_error"
        rs_attach
        rs_refuse 1 interrupted 'this attempt was begun here before and ended without a result'
    fi
    rs_made=yes
    rs_error=$({
        printf '%s %s\n' "$rs_boot" "$(rs_identity "/proc/${$}")" >"$rs_dir/wrapper" &&
            : >"$rs_dir/output" && printf '%4096s\n' '' >"$rs_dir/room" && rs_payload >"$rs_dir/script"
    } 2>&1) || rs_no_place "the step could not be stored in $rs_dir: $rs_error"
    if command -v sha256sum >/dev/null 2>&1; then
        rs_sum=$(sha256sum <"$rs_dir/script")
        [ "${rs_sum%% *}" = "$rs_sha256" ] || rs_no_place 'the step was damaged on its way: its checksum is wrong'
    fi
}

# The verb `exec`.
rs_exec() {
    rs_signal=
    trap 'rs_signal=yes' TERM INT
    trap : HUP
    rs_umask=$(umask)
    umask 077
    rs_begin
    # An attempt that was begun is answered for, however late it is asked after.
    if [ ! -e "$rs_dir" ] && [ "$(date +%s)" -gt "$rs_not_after" ]; then
        rs_refuse 77 too-late "it is $(date -u +%Y-%m-%dT%H:%M:%SZ) here, and the step was not to start after $rs_until"
    fi
    rs_prepare
    set --
    for rs_word in $rs_env; do
        # The x keeps newlines at the end, which `$( )` would drop.
        rs_pair=$(printf '%s\n' "$rs_word" | base64 -d && printf x) || rs_no_place 'the environment was damaged on its way'
        set -- "$@" "${rs_pair%x}"
    done
    # As the kernel reads it: one interpreter, and all that follows as one argument.
    rs_first=
    IFS= read -r rs_first 2>/dev/null <"$rs_dir/script"
    case $rs_first in
    '#!'*)
        rs_first=$(printf '%s\n' "${rs_first#??}" | sed 's/^[[:space:]]*//; s/[[:space:]]*$//')
        set -- "$@" "${rs_first%%[[:space:]]*}"
        case $rs_first in
        *[[:space:]]*) set -- "$@" "$(printf '%s\n' "$rs_first" | sed 's/^[^[:space:]]*[[:space:]]*//')" ;;
        esac
        ;;
    *) set -- "$@" "$(command -v sh)" ;;
    esac
    [ -z "$rs_signal" ] || rs_no_place ''
    # By `exec`, since for a function some shells keep the old descriptors open, and so the transport.
    (exec </dev/null >/dev/null 2>"$rs_dir/report" && rs_supervise "$@" "$rs_dir/script") &
    rs_supervisor=$!
    while :; do
        if [ -n "$rs_signal" ]; then
            rs_signal=
            rs_stop interrupted
        fi
        # A trapped signal ends it early.
        wait "$rs_supervisor"
        [ -n "$rs_signal" ] || break
    done
    rs_report
}

# The verb `stop`: 0 when something was told to end, 1 when there was nothing.
rs_end() {
    rs_begin
    if [ -e "$rs_dir/result" ] || ! rs_lives || [ -z "$rs_ours" ]; then
        printf 'roundsman: nothing of this attempt runs here\n'
        exit 1
    fi
    # The wrapper sees to the rest itself, and reports it.
    [ -n "$rs_group" ] || kill -s TERM "${rs_ours%% *}" || exit 1
    [ -z "$rs_group" ] || rs_stop interrupted
    exit 0
}

# What both verbs need.
rs_begin() {
    rs_boot=
    read -r rs_boot 2>/dev/null </proc/sys/kernel/random/boot_id
    rs_boot=${rs_boot:--}
    rs_dir=$rs_state/attempts/$rs_run.$rs_step.$rs_attempt
}
