#!/usr/bin/env bash
# Stops the cluster and removes its processes, namespaces, cgroups and files.
. "$(dirname "$0")/settings.sh"
set +e
pids=()
for file in "$state"/*.pid; do
    [ -e "$file" ] && pids+=("$(cat "$file")")
done
# The first process of a node ignores every other signal.
if [ ${#pids[@]} -gt 0 ]; then
    kill -KILL "${pids[@]}" 2>/dev/null
    for pid in "${pids[@]}"; do
        wait_for "the end of $pid" 10 test ! -e "/proc/$pid"
    done
fi
for namespace in $(ip netns list | awk -v p="$KIPFIX_CLUSTER-" 'index($1, p) == 1 { print $1 }'); do
    ip netns delete "$namespace"
done
cgroups() {
    find /sys/fs/cgroup -mindepth 1 -depth -type d -path "*/$KIPFIX_CLUSTER-node*" 2>/dev/null
}
remove_cgroups() {
    cgroups | xargs -r rmdir 2>/dev/null
    [ -z "$(cgroups)" ]
}
wait_for "the end of all in the cgroups" 10 remove_cgroups
[ -d "$state" ] && rm -rf --one-file-system "$state"
exit 0
