# Progress and failure, the same in tools/demo and tools/test. Sourced, not run. Expects $log (a folder).

started=$SECONDS
phaseName='' phaseStart=0
phaseTimes=()

# clock SECONDS: 1:07
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# say TEXT: a line with the time since the start
say() { printf '[%5s] %s\n' "$(clock $((SECONDS - started)))" "$1"; }

# phase NAME: ends the phase before and begins one
phase() {
  endPhase
  phaseName=$1 phaseStart=$SECONDS
  say "$1"
}

# endPhase: notes how long the running phase took, for phaseSummary
endPhase() {
  if [ -n "$phaseName" ]; then
    phaseTimes+=("$(printf '%8s  %s' "$(clock $((SECONDS - phaseStart)))" "$phaseName")")
  fi
  phaseName=''
}

phaseSummary() {
  endPhase
  printf '%s\n' "${phaseTimes[@]}"
}

# fail TEXT: one sentence, then out
fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

# misused TEXT: the same for words that cannot be read
misused() {
  printf 'error: %s\n' "$1" >&2
  exit 2
}

# logged NAME COMMAND...: runs it with its output in $log/NAME.log. A program keeps the terminal where there is one (ninja then
# counts in place); otherwise the log's last line is shown every 20 seconds. A failure shows the end of the log.
logged() {
  local file=$log/$1.log result=0
  shift
  if [ -t 0 ] && [ -t 1 ] && [ "$(type -t "$1")" = file ] && command -v script >/dev/null; then
    script -qefc "$(printf '%q ' "$@")" "$file" || result=$?
  else
    "$@" >"$file" 2>&1 </dev/null &
    watchLog $! "$file" || result=$?
  fi
  [ "$result" = 0 ] && return
  printf '%s\n' "---- the end of $file" >&2
  tail -n 40 "$file" >&2
  fail "'$1' ended with exit code $result; all it said is in $file"
}

# watchLog PID FILE: waits for a process and tells the exit code; meanwhile shows where it is
watchLog() {
  local seconds=0
  while kill -0 "$1" 2>/dev/null; do
    sleep 1
    seconds=$((seconds + 1))
    if [ $((seconds % 20)) = 0 ]; then
      say "  $(tail -n 1 "$2" | cut -c 1-120)"
    fi
  done
  wait "$1"
}
