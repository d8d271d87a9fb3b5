# What `exec` needs besides for a step that reboots the node. One attempt goes over the reboot:
#
#   first send     recorded with the boot id, answered with `rebooting`; `rs_down` reboots the node a moment later
#   every other    answered with `rebooting` until the boot id is another one, and never a second reboot
#   the first of   `rs_return` runs the script, which says that the node is ready, again and again until it succeeds or
#   these after    the step's time is over, and records the result. Nothing is lost when it is killed: then it is asked
#   the reboot     again
#
# shellcheck shell=sh disable=SC2154,SC2034

# Whether the attempt is to be ended. Makes rs_why the reason.
rs_halts() {
    rs_why=
    read -r rs_why 2>/dev/null <"$rs_dir/stop"
    [ -n "$rs_why" ]
}

# Whether the own attempt is about to reboot the node: then whoever has sent it is told so, and waits for nothing.
rs_leaves() {
    rs_pending "$rs_dir" && [ "$rs_old" = "$rs_boot" ]
}

# Whether it has rebooted the node, and nothing of it runs yet.
rs_back() {
    rs_pending "$rs_dir" && [ "$rs_old" != "$rs_boot" ] && ! rs_runs "$rs_dir"
}

# The way of a supervisor from where it would start the step, of which it does not come back. The arguments: the
# environment and interpreter of the script.
rs_over() {
    [ ! -e "$rs_dir" ] || rs_return "$@"
    printf '%s\n' "$rs_boot" >"$rs_new/reboot" || exit 73
    rs_keep || exit 0
    rs_sync "$rs_dir/record" "$rs_dir/reboot" "$rs_dir" "$rs_all"
    if [ "$rs_reboot" = again ]; then
        echo "it was told to reboot, and $rs_state does not have that any more: is that kept over a reboot?" >"$rs_dir/output"
        rs_how=not-back rs_status=
        rs_note
    fi
    # What stays until the reboot ends it has the kernel lock too. What started this supervisor can tell its transport now.
    rs_down </dev/null >/dev/null 2>&1 &
    rs_stat "/proc/$!/stat" && printf '%s\n' "$rs_text" 1<>"$rs_dir/supervisor"
    exit 0
}

# Gives the answer time to arrive, and reboots the node.
rs_down() {
    trap : TERM HUP
    rs_how=interrupted rs_status='' rs_n=0
    # A later claim, or who stops the run, may be here in time.
    until rs_halts || ! rs_may || [ "$rs_n" -ge $((rs_delay * 5)) ]; do
        rs_blink
        rs_n=$((rs_n + rs_blinks))
    done
    if rs_halts || ! rs_may; then
        rs_note
    fi
    : >"$rs_dir/going" && rs_sync "$rs_dir/going" "$rs_dir"
    # Only a test's node has another way.
    sh -c "${rs_reboot_by:-systemctl reboot || reboot || shutdown -r now}" >>"$rs_dir/output" 2>&1 9>&-
    rs_status=$?
    rs_how=failed
    [ "$rs_status" = 0 ] || rs_note
    rs_n=0
    while [ "$rs_n" -lt $((rs_timeout * 5)) ]; do
        rs_blink
        rs_n=$((rs_n + rs_blinks))
    done
    echo 'it was told to reboot, and has not' >>"$rs_dir/output"
    rs_how=not-back rs_status=
    rs_note
}

# The node is back: asks whether it is ready. The arguments: the environment and interpreter of the script.
rs_return() {
    # What was promised of the attempt stays: when it began, and its latest end.
    read -r rs_other <"$rs_dir/record" || exit 73
    rs_record="${rs_record%% job=*} job=${rs_other##* job=}"
    printf '%s\n' "$rs_record" >"$rs_new/record" && printf '%1024s\n' '' 1<>"$rs_dir/group" &&
        rm -f "$rs_dir/going" && mv "$rs_new/supervisor" "$rs_dir/supervisor" &&
        mv "$rs_new/record" "$rs_dir/record" || exit 73
    rm -rf "$rs_new"
    # The rest of its time, but enough to be asked once.
    rs_x=${rs_other##* began=} rs_x=$((${rs_x%% *} + rs_timeout - $(date +%s)))
    [ "$rs_x" -ge 30 ] || rs_x=30
    [ "$rs_x" -lt "$rs_timeout" ] || rs_x=$rs_timeout
    rs_tick "$rs_x" not-back
    rs_how=ok rs_status=0
    while [ -s "$rs_dir/script" ]; do
        : >"$rs_dir/output"
        printf '%1024s\n' '' 1<>"$rs_dir/said"
        rs_run "$@"
        if [ "$rs_how" = ok ] || rs_halts; then
            break
        fi
        rs_n=0
        until [ "$rs_n" -ge 25 ] || rs_halts; do
            rs_blink
            rs_n=$((rs_n + rs_blinks))
        done
        # Its own status stays, when its time is over.
        if rs_halts; then
            rs_how=$rs_why
            break
        fi
    done
    rs_settle
}
