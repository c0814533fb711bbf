#!/bin/bash
# A real systemd as process 1 of namespaces of its own, with nothing to run but our unit: what it is asked, and what it answers, on standard
# output. Needs root. Nothing of the machine is changed: what is written is in memory, and goes with the namespaces.
#
# systemd-machine.sh SYSTEMD DEPLOY ETCD ETCDCTL
set -eu
if [ "${1-}" != inside ]; then
  exec 3<&0
  unshare --fork --pid --mount --cgroup --ipc --uts --net bash "$0" inside "$@" 3<&- </dev/null &
  outer=$!
  # Whoever started this ends it by a line, or by going away: process 1 of a namespace hears from outside alone.
  (
    read -r _ <&3 || true
    kill -KILL $(cat /proc/$outer/task/$outer/children)
  ) &
  exec 3<&-
  wait $outer || true
  exit 0
fi
shift
systemd=$1 deploy=$2 etcd=$3 etcdctl=$4

mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir /run/units /run/units/etcd.service.d
cp "$deploy"/*.service "$deploy"/*.socket /run/units/
# Of all that a machine has at its start, these are names that units refer to.
for name in sysinit basic multi-user shutdown sockets network-online; do
  printf '[Unit]\nDefaultDependencies=no\n' >"/run/units/$name.target"
done
printf '[Unit]\nDefaultDependencies=no\nWants=etcd.service\nAfter=etcd.service\n' >/run/units/machine.target
cat >/run/units/etcd.service.d/here.conf <<END
[Service]
ExecStart=
ExecStart=$etcd
Environment=ETCD_MEMORY_MLOCK=true
StandardOutput=append:/run/etcd.log
StandardError=append:/run/etcd.log
END
for file in passwd group; do cp /etc/$file /run/$file; done
echo 'etcd:x:4242:4242::/var/lib/etcd:/usr/sbin/nologin' >>/run/passwd
echo 'etcd:x:4242:' >>/run/group
for file in passwd group; do mount --bind /run/$file /etc/$file; done
for directory in /etc/systemd /usr/lib/systemd/system /usr/lib/systemd/system-generators; do
  [ ! -d $directory ] || mount -t tmpfs tmpfs $directory
done
mkdir -p /etc/systemd/system
cp -r /run/units/. /etc/systemd/system/
ip link set lo up
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup

state() {
  systemctl show etcd.service --property=ActiveState,SubState,NRestarts,Result | sort | tr '\n' ' '
}
main() {
  systemctl show --value --property=MainPID etcd.service
}
# says STEP: what systemd says of the unit behind a step.
says() {
  echo "$1: $(state)"
}
# until_active PID: until the unit is active with another main process.
until_active() {
  while :; do
    case $(main) in
      '' | 0 | "$1") ;;
      *) [ "$(systemctl is-active etcd.service)" != active ] || return 0 ;;
    esac
    sleep 0.1
  done
}

(
  set +e
  trap - EXIT
  until_active none 2>/dev/null
  says start
  echo "put: $("$etcdctl" put key value)"
  echo "directory: $(stat --format='%U %a' /var/lib/etcd)"
  echo "rights: $(grep -h -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$(main)/status" | tr -s '\t\n' ' ')"
  systemctl reload etcd.service
  says reload
  pid=$(main)
  kill -KILL "$pid"
  until_active "$pid"
  says killed
  echo "get: $("$etcdctl" get key --print-value-only)"
  systemctl stop etcd.service
  says stop
  systemctl start etcd-client.socket etcd.service
  says sockets
  echo "get: $("$etcdctl" get key --print-value-only)"
  systemctl stop etcd-client.socket etcd.service
  says stop
  sed 's/^/log: /' /run/etcd.log
  echo done
) 2>&1 &
exec env container=namespaces "$systemd" --system --unit=machine.target --log-target=null --show-status=0 2>/dev/null
