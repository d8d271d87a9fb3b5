# The verb `look`: the journal, read only. Of one attempt: waits for its end, and tells how. Else: a line for the node, one
# for each attempt since rs_since and each that runs, and one more with their number.
#
# shellcheck shell=sh disable=SC2154,SC2034

rs_look() {
    rs_begin
    if [ -n "$rs_run" ]; then
        [ ! -e "$rs_dir" ] || rs_attach
        printf 'roundsman: the journal here has no such attempt\n' >&2
        exit 1
    fi
    rs_may >/dev/null
    printf 'roundsman v1 boot=%s now=%s mark=%s\n' "$rs_boot" "$rs_now" "$rs_mark"
    rs_count=0
    for rs_each in "$rs_all"/*; do
        if [ ! -e "$rs_each/result" ] && rs_runs "$rs_each"; then
            rs_result='state=running status='
        elif rs_pending "$rs_each"; then
            rs_result='state=rebooting status='
        else
            rs_ended "$rs_each" || continue
            rs_result=${rs_result#* state=} rs_result=state=${rs_result}
        fi
        read -r rs_other <"$rs_each/record" || continue
        rs_began=${rs_other##* began=}
        if [ "$rs_result" = 'state=running status=' ] || [ "${rs_began%% *}" -ge "$rs_since" ]; then
            printf '%s %s\n' "$rs_other" "$rs_result"
            rs_count=$((rs_count + 1))
        fi
    done 2>/dev/null
    printf 'roundsman v1 attempts=%s\n' "$rs_count"
}
