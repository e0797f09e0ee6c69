# shellcheck shell=bash
# Shared by start, stop and part: which processes are ours. A pid file holds "pid starttime", so that a reused pid is
# never taken for one of ours. `start` gives each part a session of its own, whose id is that pid.

stat_fields() { # /proc/PID/stat from the state on; empty when the process is gone
  sed 's/.*) //' "/proc/$1/stat" 2>/dev/null || true
}
start_time() { # empty when the process is gone or a zombie
  local fields
  fields="$(stat_fields "$1")"
  case "$fields" in '' | Z*) ;; *) cut -d' ' -f20 <<<"$fields" ;; esac
}
ours() { # ours PIDFILE: sets pid; true while the process that `start` recorded lives
  local began=""
  pid=""
  [ -s "$1" ] || return 1
  read -r pid began <"$1" || true
  [ -n "$began" ] && [ "$(start_time "$pid")" = "$began" ]
}
session_members() { # the living processes of session SID
  local directory state session
  for directory in /proc/[0-9]*; do
    read -r state _ _ session _ <<<"$(stat_fields "${directory#/proc/}")" || true
    if [ "${session:-}" = "$1" ] && [ "$state" != Z ]; then echo "${directory#/proc/}"; fi
  done
}
kill_session() { # kill_session PIDFILE: SIGKILL for the recorded process and all of its session; false when it is not there
  local leader member
  ours "$1" || return 1
  leader="$pid"
  # The id of a session is not given away again while the session has members.
  kill -KILL -- "-$leader" 2>/dev/null || true
  for member in $(session_members "$leader"); do kill -KILL "$member" 2>/dev/null || true; done
  for _ in $(seq 1 100); do ours "$1" || break; sleep 0.05; done
  rm -f "$1"
}
term_signal() { case "$1" in postgres) echo INT ;; *) echo TERM ;; esac; } # PostgreSQL waits for its clients on TERM
