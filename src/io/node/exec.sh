# The verb `exec`: runs the step of one attempt, once. See node.sh for what is used and not made here.
#
# What the transport started only attaches. It prepares a directory below "$rs_state/new" and starts `rs_supervise` in a
# session of its own, which takes the kernel lock, makes that directory the attempt's, starts the step and records its
# result. Whatever is killed, and wherever: without the rename nothing was started, and after it nothing is started again.
# A step that reboots the node goes other ways from there, which reboot.sh has.
#
# shellcheck shell=sh disable=SC2154,SC2034

# Ends the wrapper of a send that starts nothing. $1: exit status. $2: the state. $3: a sentence. When an earlier send of
# this attempt has been here and cannot be asked, nobody can say that nothing was started, and there is no result line.
rs_refuse() {
    [ -z "$rs_new" ] || rm -rf "$rs_new"
    if [ "$1" = 73 ] && [ -e "$rs_dir" ]; then
        printf 'roundsman: %s\n' "$3" >&2
    else
        rs_line "$rs_record" "$2" ''
        printf 'roundsman: %s\n' "$3"
    fi
    exit "$1"
}
rs_cannot() {
    rs_refuse 73 undelivered "$1"
}
rs_lower() {
    rs_may >/dev/null
    rs_refuse 76 superseded "a later claim ($rs_mark) has been here"
}

# Ends the step when its time is over; until then it keeps the output from filling the disk. By the kernel's uptime, since
# a clock may be set, and a `sleep` be killed. The arguments: this function's name, the
# seconds, and what the end is called.
rs_clock() {
    rs_begin
    rs_timeout=$2
    rs_over=
    while read -r rs_up rs_x </proc/uptime && rs_up=${rs_up%.*} && : "${rs_over:=$((rs_up + rs_timeout + 1))}" &&
        [ "$rs_up" -lt "$rs_over" ]; do
        rs_x=$((rs_over - rs_up))
        sleep $((rs_x < 10 ? rs_x : 10))
        if [ -e "$rs_dir/result" ] || ! rs_runs "$rs_dir"; then
            exit
        fi
        [ -z "$(find "$rs_dir/output" -size +32768)" ] || {
            tail -c 20000 "$rs_dir/output" >"$rs_dir/tail"
            cat "$rs_dir/tail" >"$rs_dir/output"
        }
    done
    rs_end "$rs_dir" "${3:-timed-out}"
}

# Ends the supervisor: something else runs here. Names it.
rs_busy() {
    for rs_each in "$rs_all"/*; do
        [ ! -e "$rs_each/record" ] || [ -e "$rs_each/result" ] || printf '%s ' "${rs_each##*/}"
    done
    exit 75
}

# Takes the kernel lock for as long as this process lives, or ends it: with 0 when the same attempt runs already.
rs_lock() {
    exec 9>>"$rs_state/lock"
    rs_n=0
    until flock -n 9; do
        [ ! -e "$rs_dir" ] || exit 0
        # Those who look hold it for a moment.
        [ "$rs_n" -lt 10 ] || rs_busy
        rs_n=$((rs_n + 1))
        rs_blink
    done
    rs_holds=yes
    for rs_each in "$rs_all"/*; do
        if [ ! -e "$rs_each/result" ] && ! { [ "$rs_each" = "$rs_dir" ] && rs_back; }; then
            ! rs_runs "$rs_each" || rs_busy
            rs_close "$rs_each"
        fi
    done
}

# Runs the step, and makes what became of it rs_how and rs_status. The arguments: its environment and interpreter.
rs_run() {
    # A shell reports 137 for `exit 137` and for a KILL alike, but only of the latter it complains.
    exec 2<>"$rs_dir/said"
    # The brackets keep the output's redirection away from this shell. What becomes the step holds the lock, on descriptor
    # 9, until it has recorded itself.
    # shellcheck disable=SC2016 # for the inner shell
    (
        umask "$rs_umask"
        cd / || exit
        exec >>"$rs_dir/output" 2>&1 setsid sh -c 'read -r rs_x </proc/self/stat
printf "%s\n" "$rs_x" 1<>"$1" && shift && exec env -- "$@" 9>&-' sh "$rs_dir/group" "$@" "$rs_dir/script"
    )
    rs_status=$?
    rs_why='' rs_said=''
    read -r rs_why <"$rs_dir/stop"
    read -r rs_said <"$rs_dir/said"
    if [ -n "$rs_why" ] || ! rs_stat "$rs_dir/group" || { [ "$rs_status" -gt 128 ] && [ -n "$rs_said" ]; }; then
        # It did not end by itself: neither may what it has started go on.
        ! rs_stat "$rs_dir/group" || rs_kill "$rs_pid"
        rs_how=${rs_why:-interrupted} rs_status=
    elif [ "$rs_status" = 0 ]; then
        rs_how=ok
    else
        rs_how=failed
    fi
}

# Owns the kernel lock, the step and its result, in a session of its own. The arguments: this function's name, the new
# directory, the node's umask, and the step's environment and interpreter.
rs_supervise() {
    # Handlers, not `trap ''`: what is ignored would stay ignored in the step.
    trap : TERM INT HUP
    rs_begin
    rs_new=$2 rs_umask=$3
    shift 3
    read -r rs_record <"$rs_new/record"
    [ "$rs_fence" = off ] || rs_lock
    [ ! -e "$rs_dir" ] || rs_back || exit 0
    rs_may || exit
    [ "$(date +%s)" -le "$rs_not_after" ] || exit 77
    find "$rs_all/." "$rs_state/new/." ! -name . -prune -mtime +30 -exec rm -rf {} + 2>/dev/null
    read -r rs_text </proc/self/stat && printf '%s\n' "$rs_text" >"$rs_new/supervisor" || exit 73
    rs_over "$@"
    rs_keep || exit 0
    rs_sync "$rs_dir/record" "$rs_dir" "$rs_all"
    rs_tick "$rs_timeout"
    rs_run "$@"
    rs_settle
}

# Starts the clock. The arguments: after how many seconds it ends the step, and what that is called.
rs_tick() {
    setsid sh "$rs_dir/code" clock "$@" </dev/null >/dev/null 2>&1 9>&- &
    rs_clock=$!
}

# Stops it, and records what became of the step, which is the supervisor's last deed.
rs_settle() {
    # Stopped first, because it may be about to leave this group for its own.
    for rs_x in "-STOP $rs_clock" "-KILL -$rs_clock" "-KILL $rs_clock"; do
        # shellcheck disable=SC2086
        kill $rs_x 2>/dev/null
    done
    rs_note
}

# Records it. Nothing follows.
rs_note() {
    rs_line "$rs_record" "$rs_how" "$rs_status" 1<>"$rs_dir/room" && mv "$rs_dir/room" "$rs_dir/result"
    rs_sync "$rs_dir/result" "$rs_dir"
    exit 0
}

# Makes rs_x a text without blanks at its ends. $1: the text.
rs_trim() {
    rs_x=${1#"${1%%[![:space:]]*}"}
    rs_x=${rs_x%"${rs_x##*[![:space:]]}"}
}

# Stores what is sent in the new directory.
rs_store() {
    # shellcheck disable=SC2016 # for the file
    rs_make && rs_payload >"$rs_new/script" && rs_code >"$rs_new/code" && printf '%s\n' 'rs_$1 "$@"' >>"$rs_new/code"
}

rs_exec() {
    rs_umask=$(umask)
    rs_begin
    for rs_x in base64 cat date env mv setsid sleep tail; do
        command -v "$rs_x" >/dev/null 2>&1 || rs_cannot "this node has no $rs_x"
    done
    [ -n "$rs_flock" ] || [ "$rs_fence" = off ] ||
        rs_cannot 'this node has no flock (util-linux), which keeps two runs apart; fence = "off" does without'
    rs_error=$({ rs_place && rs_raise; } 2>&1) || {
        [ "$?" != 76 ] || rs_lower
        rs_cannot "no place to keep state: $rs_error"
    }
    [ ! -e "$rs_dir" ] || rs_back || rs_attach
    rs_new=$rs_state/new/$rs_name.${$}
    rs_error=$(rs_store 2>&1) || rs_cannot "it could not be stored: $rs_error"
    if command -v sha256sum >/dev/null; then
        rs_sum=$(sha256sum <"$rs_new/script")
        [ "${rs_sum%% *}" = "$rs_sha256" ] || rs_cannot 'damaged on its way: its checksum is wrong'
    fi
    set --
    for rs_word in $rs_env; do
        # The x keeps newlines at the end, which `$( )` would drop.
        rs_pair=$(printf '%s\n' "$rs_word" | base64 -d && printf x) || rs_cannot 'its environment was damaged'
        set -- "$@" "${rs_pair%x}"
    done
    # As the kernel reads it: one interpreter, and all that follows as one argument.
    rs_first=
    IFS= read -r rs_first 2>/dev/null <"$rs_new/script"
    case $rs_first in
    '#!'*)
        rs_trim "${rs_first#??}"
        rs_word=${rs_x%%[[:space:]]*}
        rs_trim "${rs_x#"$rs_word"}"
        set -- "$@" "$rs_word" ${rs_x:+"$rs_x"}
        ;;
    *) set -- "$@" "$(command -v sh)" ;;
    esac
    # In the foreground, since what is started by `&` ignores INT and QUIT for good. The brackets keep complaints away.
    { setsid sh "$rs_new/code" supervise "$rs_new" "$rs_umask" "$@" </dev/null >"$rs_new/answer" 2>&1; } 2>/dev/null
    rs_status=$?
    [ "$rs_status" != 76 ] || rs_lower
    if [ -e "$rs_dir" ]; then
        rm -rf "$rs_new"
        rs_attach
    fi
    rs_said=
    read -r rs_said 2>/dev/null <"$rs_new/answer"
    case $rs_status in
    75) rs_refuse 75 busy "what runs here: $rs_said" ;;
    77) rs_refuse 77 too-late "it is $(date -u +%Y-%m-%dT%H:%M:%SZ) here, and the step was not to start after $rs_until" ;;
    esac
    rs_cannot "it could not be started: ${rs_said:-its supervisor was killed}"
}
