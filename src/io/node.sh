# What runs on a node: POSIX sh, for dash, bash and busybox alike. This file is what the verbs share, which have a file
# each: node/exec.sh, node/look.sh, node/stop.sh. What a reboot adds is in node/pending.sh and node/reboot.sh; where it is not
# wanted, `wrapper.rs` puts functions that do nothing in its place.
#
# `wrapper.rs` puts it, without its comments, behind variables that say what is wanted, and calls the verb on the last
# line: a text that was cut short by its transport does nothing. All names begin with `rs_`, because setting a variable
# that the node exports would change what the step sees. A process id is never written with two dollar signs: SSM may make
# one of them. Functions that are asked set what they find: rs_other, rs_pid, rs_born …
#
# Files of an attempt, in "$rs_state/attempts/<run>.<step>.<attempt>". It is renamed to there when they are all written, so
# an attempt is there with its record, or not at all:
#   code        this text, for the supervisor and the clock
#   record      run, claim, step, attempt, boot id; job, when it began, its latest end
#   script      the payload
#   supervisor  the /proc/…/stat of who holds the kernel lock, waits for the step and records its result
#   group       the same of the step, once it has one; it leads a session and a process group of its own
#   output      what the step prints, both streams
#   stop        why the step is being ended, when it is: timed-out or interrupted
#   result      the result line, once there is one; until then its room, so that a full disk cannot lose it
#   reboot      of a step that reboots the node: the boot id from before. Under another one the same attempt goes on
#   going       the same, when the node has been told to reboot
# Beside them: `mark`, the highest claim id that was here, under `mark.lock`; and `lock`, the kernel lock.
#
# shellcheck shell=sh disable=SC2154,SC2034

set -u

# Prints a result line. $1: the record. $2: the state, a label of model::outcome::Outcome. $3: the step's own status.
rs_line() {
    printf '%s state=%s status=%s\n' "${1%% job=*}" "$2" "$3"
}

# Waits a fifth of a second, or a whole one where `sleep` knows no fractions; `rs_blinks` says how many fifths.
rs_blinks=1
rs_blink() {
    [ "$rs_blinks" = 1 ] && sleep 0.2 2>/dev/null && return
    rs_blinks=5
    sleep 1
}

# Reads a /proc/…/stat, or what is kept of one. $1: the file. The process's name may hold anything.
rs_stat() {
    rs_text=
    while IFS= read -r rs_part || [ -n "$rs_part" ]; do
        case $rs_part in *') '*) rs_text=$rs_part ;; esac
    done <"$1" || return
    rs_pid=${rs_text%% *}
    # shellcheck disable=SC2086 # words, to be split
    set -- ${rs_text##*) }
    [ "$#" -gt 20 ] && rs_is=$1 rs_in=$3 rs_born=${20}
} 2>/dev/null

# Whether anything of a process group lives. What has ended and waits for its parent does not. $1: the group.
rs_scan() {
    for rs_proc in /proc/[0-9]*; do
        rs_stat "$rs_proc/stat" && [ "$rs_in" = "$1" ] && [ "$rs_is" != Z ] && return
    done
    return 1
}
rs_alive() {
    # Twice, since a child that is born during a look is not in it.
    rs_scan "$1" || { kill -0 "-$1" && rs_scan "$1"; } 2>/dev/null
}

# Whether nobody holds the kernel lock. By a shared one, so that those who only ask are not in each other's way.
rs_free() {
    [ -z "$rs_flock" ] || [ ! -e "$rs_state/lock" ] || (flock -ns 9) 9<"$rs_state/lock"
} 2>/dev/null

# Whether anything of an attempt without a result runs, or is about to. $1: its directory. Whoever hears no looks again
# for a result before believing that there is none.
rs_runs() {
    rs_other=
    read -r rs_other <"$1/record"
    case $rs_other in
    *" boot=$rs_boot "*) ;;
    *) return 1 ;;
    esac
    # What has told the node to reboot may be among the first things that the reboot ends.
    [ ! -e "$1/going" ] || [ "$(date +%s)" -gt "${rs_other##* ends=}" ] || return 0
    if rs_stat "$1/supervisor"; then
        rs_was=$rs_born
        ! rs_stat "/proc/$rs_pid/stat" || [ "$rs_is" = Z ] || [ "$rs_born" != "$rs_was" ] || return 0
    fi
    # Before the group: what becomes the step lets go of the lock only after it has recorded itself there.
    [ -n "$rs_holds" ] || rs_free || return 0
    rs_stat "$1/group" || return
    rs_was=$rs_born rs_group=$rs_pid
    # A younger process has this id: the kernel would not have given it away while the group lived.
    ! rs_stat "/proc/$rs_group/stat" || [ "$rs_born" = "$rs_was" ] || return
    rs_alive "$rs_group"
} 2>/dev/null

# Ends a process group: TERM, and KILL after a while. $1: the group. (`kill -TERM -n` is the one way to name a group
# that dash, bash and busybox share.)
rs_kill() {
    rs_n=0
    while rs_alive "$1" && [ "$rs_n" -lt $((rs_grace * 5 + 25)) ]; do
        if [ "$rs_n" = 0 ]; then
            kill -TERM "-$1"
        elif [ "$rs_n" -ge $((rs_grace * 5)) ]; then
            kill -KILL "-$1"
        fi
        rs_blink
        rs_n=$((rs_n + rs_blinks))
    done
} 2>/dev/null

# Ends the step of an attempt, and waits until its result is recorded. $1: its directory. $2: why.
rs_end() {
    rs_waits=0
    while [ ! -e "$1/result" ] && rs_runs "$1" && [ "$rs_waits" -lt $((rs_grace * 5 + 75)) ]; do
        rs_why='' rs_n=0
        read -r rs_why <"$1/stop"
        # The first reason is the true one.
        [ -n "$rs_why" ] || printf '%s\n' "$2" 1<>"$1/stop"
        # It is recorded by the step's first process; a moment too early is no reason to let it run.
        ! rs_stat "$1/group" || rs_kill "$rs_pid"
        rs_waits=$((rs_waits + rs_n + rs_blinks))
        [ -e "$1/result" ] || rs_blink
    done
} 2>/dev/null

# Makes rs_result how an attempt ended of which nothing runs. $1: its directory.
rs_ended() {
    rs_result='' rs_other='' rs_why=''
    read -r rs_result <"$1/result" && return
    read -r rs_other <"$1/record" || return
    read -r rs_why <"$1/stop"
    rs_result=$(rs_line "$rs_other" "${rs_why:-interrupted}" '')
} 2>/dev/null

# The same, and records it.
rs_close() {
    rs_ended "$1" && [ ! -e "$1/result" ] &&
        printf '%s\n' "$rs_result" 1<>"$1/room" && mv "$1/room" "$1/result"
} 2>/dev/null

# Reads the mark, and says whether the own claim may act: 76 when a later one has been here. What cannot be read is not
# passed over.
rs_may() {
    rs_mark=
    [ -e "$rs_state/mark" ] || return 0
    read -r rs_mark <"$rs_state/mark"
    case $rs_mark in
    '' | *[!0-9A-Z]*)
        printf 'the mark in %s cannot be read' "$rs_state"
        return 73
        ;;
    esac
    # shellcheck disable=SC3012 # dash, bash and busybox have it; whoever has not refuses
    [ "$rs_claim" = "$rs_mark" ] || [ "$rs_claim" \> "$rs_mark" ] || return 76
}

# Raises the mark to the own claim. It has a lock of its own, since the other one is held for as long as a step runs.
rs_raise() (
    if [ -n "$rs_flock" ]; then
        exec 8>>"$rs_state/mark.lock"
        flock 8 || exit
    fi
    rs_may || exit
    [ "$rs_claim" = "$rs_mark" ] && exit
    cd "$rs_state" && printf '%s\n' "$rs_claim" >mark.new && rs_sync mark.new && mv mark.new mark && rs_sync .
)

# Puts files on the disk for good, where `sync` can do so. What it says is no reason to stop.
rs_sync() {
    sync "$@" 2>/dev/null || :
}

# What every verb needs.
rs_begin() {
    umask 077
    rs_new='' rs_boot='' rs_holds='' rs_flock=''
    # Only a test's node has another file.
    read -r rs_boot <"${rs_boot_file:-/proc/sys/kernel/random/boot_id}"
    rs_boot=${rs_boot:--}
    rs_all=$rs_state/attempts
    rs_name=$rs_run.$rs_step.$rs_attempt
    rs_dir=$rs_all/$rs_name
    command -v flock >/dev/null && rs_flock=yes
    rs_now=$(date +%s)
    rs_record="roundsman v1 run=$rs_run claim=${rs_claim:-00000000000000000000000000} step=$rs_step attempt=$rs_attempt"
    rs_record="$rs_record boot=$rs_boot job=$rs_job began=${rs_now:=0} ends=$rs_ends"
} 2>/dev/null

# Makes the places where state is kept.
rs_place() {
    mkdir -p "$rs_all" "$rs_state/new" && chmod 700 "$rs_state"
}

# Makes the directory that becomes an attempt's.
rs_make() {
    rs_new=$rs_state/new/$rs_name.${$}
    rm -rf "$rs_new" && mkdir "$rs_new" && printf '%s\n' "$rs_record" >"$rs_new/record" && : >"$rs_new/output" &&
        for rs_x in room stop group said; do
            printf '%1024s\n' '' >"$rs_new/$rs_x" || return
        done
}

# Makes it the attempt's, at one blow, unless there is one.
rs_keep() {
    mv "$rs_new" "$rs_dir" 2>/dev/null || return
    [ -e "$rs_dir/${rs_new##*/}" ] || return 0
    rm -rf "${rs_dir:?}/${rs_new##*/}"
    return 1
}

# Waits until an attempt that was begun here has ended, and tells how. A send that was delivered twice runs the step
# once, and both are told; whoever is told `busy` would send it anew, beside the one that runs. A reboot is not waited
# for by who has sent it: an answer after it would be none.
rs_attach() {
    rs_waits=0
    while [ ! -e "$rs_dir/result" ] && rs_runs "$rs_dir"; do
        ! rs_leaves || break
        rs_blink
        rs_waits=$((rs_waits + 1))
        [ "$rs_waits" -lt 50 ] || rs_blinks=5
    done
    rs_tell
    if ! rs_ended "$rs_dir"; then
        printf 'roundsman: there is no record in %s\n' "$rs_dir" >&2
        exit 73
    fi
    printf '%s\n' "$rs_result"
    tail -c 20000 "$rs_dir/output" 2>/dev/null
    case $rs_result in
    *' state=ok status='*) exit 0 ;;
    esac
    exit 1
}
