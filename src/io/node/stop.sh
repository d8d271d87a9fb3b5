# The verb `stop`: ends one attempt, or a run's up to step rs_steps. With a claim it raises the mark
# first, so that no earlier one starts anything any more. An attempt that has not begun is recorded as ended, and so never
# does.
#
# shellcheck shell=sh disable=SC2154,SC2034

# Whether an attempt is meant. $1: its directory.
rs_meant() {
    [ -z "$rs_step" ] || { [ "$1" = "$rs_dir" ]; return; }
    rs_x=${1#"$rs_all/$rs_run."}
    [ "$rs_x" != "$1" ] && [ "${rs_x%%.*}" -le "$rs_steps" ]
}

# One pass over what may run. Counts what was ended, and what lives all the same, or beside it.
rs_pass() {
    rs_lives=0 rs_beside=0
    for rs_each in "$rs_all"/*; do
        [ ! -e "$rs_each/result" ] || continue
        if ! rs_meant "$rs_each"; then
            ! rs_runs "$rs_each" || rs_beside=1
            continue
        fi
        if rs_runs "$rs_each"; then
            rs_count=$((rs_count + 1))
            rs_end "$rs_each" interrupted
        fi
        [ ! -e "$rs_each/result" ] || continue
        if rs_runs "$rs_each"; then
            rs_lives=$((rs_lives + 1))
        else
            rs_close "$rs_each"
        fi
    done
}

rs_stop() {
    rs_begin
    rs_error=
    [ -z "$rs_claim" ] || rs_error=$({ rs_place && rs_raise; } 2>&1)
    if [ -n "$rs_step" ] && [ ! -e "$rs_dir" ]; then
        rs_place && rs_make && rs_close "$rs_new" && rs_keep
        rm -rf "$rs_new"
    fi
    rs_count=0 rs_passes=0 rs_lives=0
    rs_status=0
    [ -z "$rs_claim" ] || rs_may >/dev/null || rs_status=$?
    while [ "$rs_status" != 76 ]; do
        rs_pass
        # Who holds the lock and has no record yet may have looked at the mark before it was raised.
        if [ "$rs_lives" != 0 ] || [ -n "$rs_step" ] || [ "$rs_beside" != 0 ] || rs_free; then
            break
        elif [ "$rs_passes" -ge 25 ]; then
            rs_lives=1
            break
        fi
        rs_passes=$((rs_passes + 1))
        rs_blink
    done
    printf 'roundsman v1 ended=%s lives=%s mark=%s\n' "$rs_count" "$rs_lives" "${rs_mark-}"
    [ -z "$rs_error" ] || printf 'roundsman: %s\n' "$rs_error" >&2
    [ "$rs_lives" = 0 ] || rs_status=75
    exit "$rs_status"
}
