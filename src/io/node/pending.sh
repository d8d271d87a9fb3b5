# What `look`, and an `exec` that reboots the node, have to know of attempts that go over a reboot.
#
# shellcheck shell=sh disable=SC2154,SC2034

# Whether an attempt reboots the node, or has done so and goes on when it is sent again. $1: its directory.
rs_pending() {
    rs_old='' rs_why=''
    [ ! -e "$1/result" ] && read -r rs_old <"$1/reboot" && read -r rs_why <"$1/stop" && [ -z "$rs_why" ] || return
    [ "$rs_old" != "$rs_boot" ] || rs_runs "$1"
} 2>/dev/null

# Tells of the own attempt that it does.
rs_tell() {
    rs_other=
    if rs_pending "$rs_dir" && read -r rs_other <"$rs_dir/record"; then
        rs_line "$rs_other" rebooting ''
        exit 0
    fi
}
