# The verb `reset`: forgets the node's mark, so that claims of any age may execute again.
#
# shellcheck shell=sh disable=SC2154,SC2034

# Under the lock that who raises it holds.
rs_forget() (
    if [ -n "$rs_flock" ]; then
        exec 8>>"$rs_state/mark.lock"
        flock 8 || exit
    fi
    read -r rs_mark 2>/dev/null <"$rs_state/mark" || rs_mark=
    rm -f "$rs_state/mark" && rs_sync "$rs_state" && printf 'roundsman v1 was=%s\n' "$rs_mark"
)

rs_reset() {
    rs_begin
    if [ ! -e "$rs_state/mark" ]; then
        printf 'roundsman v1 was=\n'
        exit 0
    fi
    rs_forget
}
