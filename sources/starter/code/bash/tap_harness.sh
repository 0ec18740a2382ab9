#!/bin/bash
# tap_harness.sh - run functions named test_* from shell files, report in TAP
#
#   ./tap_harness.sh tests/*.test.sh | tee results.tap
#
# Each test runs in a subshell with a scratch directory as its working directory
# and its own shell options, so nothing that a test sets or changes outlives it.
# A test passes when its function returns 0. Inside it may call
#
#   skip REASON                   report as skipped
#   assert_eq WANT GOT [LABEL]
#   assert_match REGEX TEXT
#   assert_fails COMMAND...
#   stub NAME [STATUS [OUTPUT]]   shadow a command and log its calls
#   calls NAME                    print the logged calls, one a line

set -u

readonly SKIP_STATUS=77
readonly TEST_TIMEOUT=${TEST_TIMEOUT:-30}

fail() {
  local depth=1
  # The first frame outside this file is the line the reader wants to see.
  while [[ ${BASH_SOURCE[depth]:-} == "${BASH_SOURCE[0]}" ]]; do ((depth++)); done
  printf '%s:%s: %s\n' "${BASH_SOURCE[depth]:-?}" "${BASH_LINENO[depth - 1]}" "$1" >&2
  exit 1
}

skip() {
  printf '%s\n' "$*" >"$HARNESS_DIR/skip"
  exit "$SKIP_STATUS"
}

assert_eq() {
  [[ $1 == "$2" ]] && return
  fail "${3:-values differ}
  want: ${1@Q}
  got:  ${2@Q}"
}

assert_match() {
  [[ $2 =~ $1 ]] || fail "no match for /$1/ in ${2@Q}"
}

assert_fails() {
  local output
  if output=$("$@" 2>&1); then
    fail "expected failure of: $*
  output: ${output@Q}"
  fi
}

# A stub is a script on the PATH and not a function, so that it also shadows the
# command for programs that the code under test starts.
stub() {
  local name=$1 status=${2:-0} output=${3:-}
  mkdir -p "$HARNESS_DIR/bin"
  {
    printf '#!/bin/bash\n'
    printf 'printf "%%q " "$@" >>%q\n' "$HARNESS_DIR/calls.$name"
    printf 'echo >>%q\n' "$HARNESS_DIR/calls.$name"
    printf 'printf %%s %q\n' "$output"
    printf 'exit %d\n' "$status"
  } >"$HARNESS_DIR/bin/$name"
  chmod +x "$HARNESS_DIR/bin/$name"
  PATH=$HARNESS_DIR/bin:$PATH
  hash -r
}

calls() {
  [[ -f $HARNESS_DIR/calls.$1 ]] && sed 's/ $//' "$HARNESS_DIR/calls.$1"
}

# Runs in a subshell of its own. Its exit status is the result of the test.
run_one() {
  local file=$1 name=$2
  HARNESS_DIR=$3
  mkdir -p "$HARNESS_DIR/work"
  # shellcheck source=/dev/null
  source "$file"
  cd "$HARNESS_DIR/work" || exit 1
  if declare -F set_up >/dev/null; then set_up || fail "set_up failed"; fi
  if declare -F tear_down >/dev/null; then trap tear_down EXIT; fi
  set -e
  "$name"
}

list_tests() (
  # shellcheck source=/dev/null
  source "$1" >/dev/null 2>&1 || exit 1
  # Definition order: extdebug makes declare -F print line numbers.
  shopt -s extdebug
  declare -F | awk '$3 ~ /^test_/ { print $3 }' | while read -r name; do
    declare -F "$name"
  done | sort -k2,2n | awk '{ print $1 }'
)

report() {
  local number=$1 status=$2 title=$3 log=$4 seconds=$5
  case $status in
    0) printf 'ok %d - %s # time=%ds\n' "$number" "$title" "$seconds" ;;
    "$SKIP_STATUS") printf 'ok %d - %s # SKIP %s\n' "$number" "$title" "$(<"${log%/*}/skip")" ;;
    *)
      printf 'not ok %d - %s\n' "$number" "$title"
      printf '  ---\n  status: %d\n  output: |\n' "$status"
      sed 's/^/    /' "$log"
      printf '  ...\n'
      ;;
  esac
}

main() {
  local root count=0 failures=0 file name status start dir watchdog pid
  root=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf -- ${root@Q}" EXIT
  printf 'TAP version 13\n'
  for file; do
    file=$(realpath -- "$file")
    while read -r name; do
      dir=$root/$((++count))
      mkdir "$dir"
      start=$SECONDS
      (run_one "$file" "$name" "$dir") >"$dir/log" 2>&1 </dev/null &
      pid=$!
      (sleep "$TEST_TIMEOUT" && echo "timed out" >>"$dir/log" && kill "$pid") 2>/dev/null &
      watchdog=$!
      wait "$pid"
      status=$?
      kill "$watchdog" 2>/dev/null
      ((status == 0 || status == SKIP_STATUS)) || ((++failures))
      report "$count" "$status" "${name#test_}" "$dir/log" $((SECONDS - start))
    done < <(list_tests "$file")
  done
  printf '1..%d\n' "$count"
  ((failures == 0))
}

main "$@"
