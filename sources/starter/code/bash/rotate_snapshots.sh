#!/usr/bin/env bash
#
# rotate_snapshots.sh - hard-linked snapshots with a thinning schedule
#
# usage: rotate_snapshots.sh [-n] [-c CONFIG] SOURCE DEST
#
# Every run makes DEST/YYYY-MM-DDTHHMM, in which unchanged files are hard links
# to the snapshot before. Old snapshots are then thinned: all of the last day,
# one a day for two weeks, one a week for three months, one a month after that.
# A snapshot that was interrupted keeps its .partial suffix and is resumed.

set -euo pipefail
shopt -s nullglob

readonly PROG=${0##*/}
dry_run=0
config=
keep_hours=24
keep_days=14
keep_weeks=13
min_free_percent=10

usage() {
  sed -n '5s/^# *//p' "$0" >&2
  exit 64
}

log() { printf '%(%F %T)T %s\n' -1 "$*"; }
die() { log "error: $*" >&2; exit 1; }

run() {
  if ((dry_run)); then
    printf 'would run:'
    printf ' %q' "$@"
    printf '\n'
  else
    "$@"
  fi
}

# The configuration holds key=value lines. It is parsed and not sourced, since
# the file may belong to a user with fewer rights than the one who runs this.
read_config() {
  local key value
  while IFS='=' read -r key value; do
    key=${key//[[:space:]]/}
    value=${value//[[:space:]]/}
    case $key in
      '' | '#'*) continue ;;
      keep_hours | keep_days | keep_weeks | min_free_percent)
        [[ $value =~ ^[0-9]+$ ]] || die "$1: $key must be a number, not '$value'"
        printf -v "$key" '%d' "$((10#$value))"
        ;;
      *) die "$1: unknown key '$key'" ;;
    esac
  done <"$1"
}

free_percent() {
  df --output=pcent "$1" | awk 'NR == 2 { sub(/%/, ""); print 100 - $1 }'
}

take_snapshot() {
  local source=$1 dest=$2 stamp partial latest
  printf -v stamp '%(%Y-%m-%dT%H%M)T' -1
  [[ -e $dest/$stamp ]] && die "snapshot $stamp exists already"

  local leftovers=("$dest"/*.partial)
  if ((${#leftovers[@]})); then
    partial=${leftovers[-1]}
    log "resuming ${partial##*/}"
  else
    partial=$dest/$stamp.partial
  fi

  local -a link=()
  latest=$(newest "$dest")
  [[ -n $latest ]] && link=(--link-dest="$dest/$latest")

  local rc=0
  run rsync --archive --hard-links --numeric-ids --delete --delete-excluded \
    "${link[@]}" --exclude-from=<(excludes "$source") \
    -- "${source%/}/" "$partial/" || rc=$?
  # 24: files vanished while being copied, which is normal on a live system.
  ((rc == 0 || rc == 24)) || die "rsync failed with $rc, $partial is kept"

  run mv -- "$partial" "$dest/$stamp"
  log "made $stamp"
}

excludes() {
  printf '%s\n' '.cache/' '*.tmp' 'lost+found/'
  [[ -r $1/.snapshot-exclude ]] && cat -- "$1/.snapshot-exclude"
  return 0
}

newest() {
  local all=("$1"/????-??-??T????)
  ((${#all[@]})) && printf '%s\n' "${all[-1]##*/}"
  return 0
}

# Walk from new to old and keep the first snapshot seen in each bucket. The name
# of the bucket gets coarser with age.
thin() {
  local dest=$1 now age name epoch bucket i
  local -A seen=()
  printf -v now '%(%s)T' -1
  local all=("$dest"/????-??-??T????)
  for ((i = ${#all[@]} - 1; i >= 0; i--)); do
    name=${all[i]##*/}
    epoch=$(date -d "${name%T*} ${name:11:2}:${name:13:2}" +%s)
    age=$(((now - epoch) / 3600))
    if ((age < keep_hours)); then
      bucket=$name
    elif ((age < 24 * keep_days)); then
      bucket=${name%T*}
    elif ((age < 168 * keep_weeks)); then
      bucket=$(date -d "${name%T*}" +%G-W%V)
    else
      bucket=${name:0:7}
    fi
    if [[ -n ${seen[$bucket]:-} ]]; then
      log "thinning $name (${seen[$bucket]} stands for $bucket)"
      run rm -rf --one-file-system -- "$dest/$name"
    else
      seen[$bucket]=$name
    fi
  done
}

while getopts ':nc:h' flag; do
  case $flag in
    n) dry_run=1 ;;
    c) config=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
(($# == 2)) || usage
[[ -d $1 ]] || die "$1 is not a directory"
[[ -z $config ]] || read_config "$config"

exec 9>"$2/.lock"
flock --nonblock 9 || die "another $PROG is at work in $2"
take_snapshot "$1" "$2"
thin "$2"
(($(free_percent "$2") >= min_free_percent)) || log "warning: less than $min_free_percent % free"
