#!/bin/bash
# A real Slurm cluster on this machine, for as long as a command runs.
#
#   cluster.sh HOSTS COMMAND [ARGUMENT...]     e.g.  cluster.sh 2 srun -N2 hostname
#
# Hosts h1..hN have network, mounts, processes and a name of their own and one slurmd each; COMMAND runs on the login host h0, beside
# slurmctld. All of them see this machine's files, as on a shared file system; /run and /dev/shm are their own. No route leads outside.
# Whatever happens to COMMAND or to this script, SIGKILL included, every process, mount and interface of the cluster goes with it.
# Its exit code is COMMAND's. For COMMAND:
#   on-host HOST COMMAND [ARGUMENT...]   runs a command on a host
#   power-off HOST                       the host is gone at once, with all that ran on it
# Needs root, and Debian's packages slurm-wlm, munge, iproute2.
set -euo pipefail

state=/run/cluster
network=10.77.0

fail() {
    echo "cluster.sh: $*" >&2
    exit 1
}

check_requirements() {
    local program missing=()
    for program in slurmctld slurmd srun munged ip unshare nsenter setpriv; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    [[ ${#missing[@]} -eq 0 ]] || fail "${missing[*]} not found; install the packages slurm-wlm, munge and iproute2 (scripts/setup --tests)"
    [[ $(id -u) -eq 0 ]] || fail "only root may make network namespaces and start Slurm's daemons; run this as root, e.g. in a container"
    unshare --net --mount --pid --fork true 2>/dev/null ||
        fail "namespaces cannot be made here; in a container, CAP_SYS_ADMIN and CAP_NET_ADMIN are needed"
}

make_login_host() {
    mount -t tmpfs cluster /run
    mount -t tmpfs cluster /dev/shm
    mkdir -p "$state"/{bin,hosts,log,munge,slurmctld}
    chmod 711 "$state"
    hostname h0
    ip link set lo up
    ip link add cluster type bridge
    ip addr add "$network.254/24" dev cluster
    ip link set cluster up
    local host
    {
        echo "127.0.0.1 localhost"
        echo "$network.254 h0"
        for ((host = 1; host <= hosts; host++)); do
            echo "$network.$host h$host"
        done
    } >"$state/etc-hosts"
    mount --bind "$state/etc-hosts" /etc/hosts
}

write_helpers() {
    cat >"$state/bin/on-host" <<END
#!/bin/bash
host=\${1:?usage: on-host HOST COMMAND [ARGUMENT...]}
shift
exec nsenter --target "\$(<"$state/hosts/\$host")" --mount --net --uts --pid -- "\$@"
END
    # The first process of a host takes all others along.
    cat >"$state/bin/power-off" <<END
#!/bin/bash
kill -KILL "\$(<"$state/hosts/\${1:?usage: power-off HOST}")"
END
    chmod +x "$state"/bin/*
    PATH=$state/bin:$PATH
}

# What is process 1 on a host: does nothing but collect orphans.
host_init() {
    hostname "$1"
    mount -t tmpfs cluster /dev/shm
    ip link set lo up
    exec bash -c 'while :; do sleep 3600 & wait; done'
}

# Process id, as seen from h0, of the process 1 that unshare started.
host_process() {
    local children
    for ((try = 0; try < 500; try++)); do
        read -r children _ <"/proc/$1/task/$1/children" || true
        # It is there before it is in its namespaces and has its name.
        if [[ -n $children && $(nsenter --target "$children" --uts uname --nodename 2>/dev/null) == "$2" ]]; then
            echo "$children"
            return
        fi
        sleep 0.01
    done
    fail "host $2 did not start"
}

make_host() {
    local name=h$1 unshare_process
    # In the background: no host waits for its forerunner.
    unshare --net --uts --mount --pid --fork --kill-child --mount-proc bash -c "$(declare -f host_init); host_init $name" 2>>"$state/log/$name" &
    unshare_process=$!
    host_process "$unshare_process" "$name" >"$state/hosts/$name"
    mkdir "$state/spool-$name" "$state/tmp-$name"
    ip link add "port$1" master cluster type veth peer name eth0 netns "$(<"$state/hosts/$name")"
    ip link set "port$1" up
    on-host "$name" ip addr add "$network.$1/24" dev eth0
    on-host "$name" ip link set eth0 up
}

# cred_expire: a requeued job must wait for its predecessor's credential to be out of date, 120 s by default.
# TmpFS: PMIx names its folders there by job and step alone, which two hosts must not share.
# config_overrides: the processors below are believed without looking. CR_Core_Memory: as on most clusters, memory is shared out too.
write_configuration() {
    echo "CgroupPlugin=cgroup/v1" >"$state/cgroup.conf"
    cat >"$SLURM_CONF" <<END
ClusterName=test
SlurmctldHost=h0($network.254)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$state/munge/socket,cred_expire=5
StateSaveLocation=$state/slurmctld
SlurmctldPidFile=$state/slurmctld.pid
SlurmctldLogFile=$state/log/slurmctld
SlurmdSpoolDir=$state/spool-%n
TmpFS=$state/tmp-%n
SlurmdPidFile=$state/slurmd-%n.pid
SlurmdLogFile=$state/log/slurmd-%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,sched_min_interval=50000,bf_interval=1
MpiDefault=none
ReturnToService=2
KillWait=3
SlurmdTimeout=10
MessageTimeout=5
TCPTimeout=1
NodeName=h[1-$hosts] NodeAddr=$network.[1-$hosts] CPUs=4 RealMemory=2000
PartitionName=test Nodes=ALL Default=YES MaxTime=60
END
}

start_daemons() {
    head -c 128 /dev/urandom >"$state/munge/key"
    chmod 711 "$state/munge"
    chmod 600 "$state/munge/key"
    munged --socket="$state/munge/socket" --key-file="$state/munge/key" --pid-file="$state/munge/pid" \
        --log-file="$state/log/munged" --seed-file="$state/munge/seed"
    slurmctld
    local host
    for ((host = 1; host <= hosts; host++)); do
        on-host "h$host" slurmd
    done
}

wait_until_idle() {
    local try states
    for ((try = 0; try < 300; try++)); do
        states=$(timeout 5 sinfo --noheader --format=%T 2>/dev/null | sort -u) || true
        [[ $states != idle ]] || return 0
        sleep 0.1
    done
    tail -n 20 "$state"/log/* >&2
    fail "the hosts are not ready after 30 s (\"$states\"); the daemons' logs are above"
}

inside() {
    hosts=$1
    shift
    export SLURM_CONF=$state/slurm.conf
    make_login_host
    write_helpers
    write_configuration
    local host
    for ((host = 1; host <= hosts; host++)); do
        make_host "$host"
    done
    start_daemons
    wait_until_idle
    local code=0
    "$@" || code=$?
    exit "$code"
}

if [[ ${1:-} == --inside ]]; then
    inside "${@:2}"
fi
[[ $# -ge 2 && $1 =~ ^[1-9][0-9]?$ ]] || fail "usage: cluster.sh HOSTS COMMAND [ARGUMENT...], with 1 to 99 hosts"
check_requirements
# The first process of the namespaces dies with unshare, which dies with this script, and the kernel takes down all that is in them.
# unshare itself is deaf to every other signal.
env --default-signal=INT,QUIT setpriv --pdeathsig KILL \
    unshare --mount --uts --ipc --net --pid --fork --kill-child --mount-proc bash "$0" --inside "$@" <&0 &
cluster=$!
take_down() {
    kill -KILL "$cluster"
    wait "$cluster" 2>/dev/null || true
    exit $((128 + $1))
}
trap 'take_down 1' HUP
trap 'take_down 2' INT
trap 'take_down 15' TERM
wait "$cluster"
