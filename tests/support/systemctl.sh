#!/bin/sh
# Does with the unit etcd.service what systemctl does, as far as a test needs it. The process is in /var/lib/unit.pid, what it says in
# /var/lib/unit.log.
unit=/etc/systemd/system/etcd.service
pid_file=/var/lib/unit.pid
enabled=/var/lib/unit.enabled

is_alive() {
  [ -f "$pid_file" ] || return 1
  read -r pid <"$pid_file"
  [ -d "/proc/$pid" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status"
}

show() {
  for file in "$unit" "$unit".d/*.conf; do
    [ -f "$file" ] || continue
    echo "# $file"
    cat "$file"
    echo
  done
}

setting() {
  show | sed -e :a -e '/\\$/N; s/\\\n//; ta' | sed -n "s/^$1=//p" | tail -n 1
}

start() {
  is_alive && return 0
  [ -f "$unit" ] || { echo "Failed to start etcd.service: Unit etcd.service not found." >&2; exit 5; }
  variables=$(setting EnvironmentFile)
  if [ -n "$variables" ]; then
    set -a
    . "$variables"
    set +a
  fi
  program=$(setting ExecStart)
  # Only what the unit says is told.
  unset NODE_TEST_CONTEXT
  setsid $program >>/var/lib/unit.log 2>&1 </dev/null &
  echo $! >"$pid_file"
}

stop() {
  is_alive || return 0
  kill "$pid"
  while is_alive; do sleep 0.05; done
  rm -f "$pid_file"
}

case "$*" in
  daemon-reload) ;;
  'cat etcd.service') show ;;
  'enable etcd.service') : >"$enabled" ;;
  'start etcd.service') start ;;
  'stop etcd.service') stop ;;
  'disable --now etcd.service') stop; rm -f "$enabled" ;;
  'is-active --quiet etcd.service') is_alive || exit 3 ;;
  *) echo "systemctl $*: not in this test" >&2; exit 1 ;;
esac
