#!/usr/bin/env bash
# Print, as a JSON array for a build matrix, the packages of a monorepo that a
# change can affect: those whose files changed and, transitively, those that
# depend on them.
#
#   affected_packages.sh origin/main > matrix.json
#
# A package is a directory with a file named PACKAGE:
#
#   name: billing
#   needs: money, clock
#   owns: proto/billing/**        (extra paths outside the directory)
#
# A change to any path in $ALWAYS_ALL rebuilds everything.

set -o errexit -o nounset -o pipefail

ALWAYS_ALL=${ALWAYS_ALL:-'toolchain.lock .ci/* third_party/*'}

declare -A dir_of=()        # package -> directory
declare -A dependants=()    # package -> packages that need it, space separated
declare -A owned_globs=()   # package -> newline separated globs
declare -A affected=()      # package -> why

warn() { printf '%s: %s\n' "${BASH_SOURCE[0]##*/}" "$*" >&2; }

trim() {
  local text=$1
  text=${text#"${text%%[![:space:]]*}"}
  printf '%s' "${text%"${text##*[![:space:]]}"}"
}

load_package() {
  local file=$1 dir name='' line key value need
  dir=$(dirname -- "$file")
  local -a needs=()
  while IFS= read -r line || [[ -n $line ]]; do
    line=${line%%#*}
    [[ $line == *:* ]] || continue
    key=$(trim "${line%%:*}")
    value=$(trim "${line#*:}")
    case $key in
      name) name=$value ;;
      needs)
        local -a listed
        IFS=',' read -ra listed <<<"$value"
        for need in "${listed[@]}"; do needs+=("$(trim "$need")"); done
        ;;
      owns) owned_globs[${name:?owns before name in $file}]+=$value$'\n' ;;
      *) warn "$file: ignoring '$key'" ;;
    esac
  done <"$file"

  [[ -n $name ]] || { warn "$file has no name"; return 1; }
  if [[ -n ${dir_of[$name]:-} ]]; then
    warn "package $name is declared in ${dir_of[$name]} and in $dir"
    return 1
  fi
  dir_of[$name]=$dir
  for need in "${needs[@]}"; do
    dependants[$need]+="$name "
  done
}

# The owner of a path is the package with the longest matching directory.
owner_of() {
  local path=$1 name best='' best_length=-1 glob dir
  for name in "${!dir_of[@]}"; do
    dir=${dir_of[$name]}
    if [[ $dir == . || $path == "$dir"/* ]] && ((${#dir} > best_length)); then
      best=$name
      best_length=${#dir}
    fi
    while IFS= read -r glob; do
      # In [[ ]], * also matches slashes, so ** needs no special treatment.
      # shellcheck disable=SC2053
      if [[ -n $glob && $path == $glob ]]; then
        printf '%s\n' "$name"
        return
      fi
    done <<<"${owned_globs[$name]:-}"
  done
  printf '%s\n' "$best"
}

touches_everything() {
  local path=$1 glob
  local -a globs
  read -ra globs <<<"$ALWAYS_ALL"
  for glob in "${globs[@]}"; do
    # shellcheck disable=SC2053
    [[ $path == $glob ]] && return 0
  done
  return 1
}

mark() {
  local -a queue=("$1") reasons=("$2") users
  local name reason user
  while ((${#queue[@]})); do
    name=${queue[0]} reason=${reasons[0]}
    queue=("${queue[@]:1}") reasons=("${reasons[@]:1}")
    [[ -n ${affected[$name]:-} ]] && continue
    affected[$name]=$reason
    read -ra users <<<"${dependants[$name]:-}"
    for user in "${users[@]}"; do
      queue+=("$user")
      reasons+=("depends on $name")
    done
  done
}

main() {
  local base=${1:?usage: affected_packages.sh BASE} file path name
  while IFS= read -r -d '' file; do
    load_package "$file"
  done < <(git ls-files -z -- 'PACKAGE' '*/PACKAGE')

  for name in "${!dependants[@]}"; do
    [[ -n ${dir_of[$name]:-} ]] || { warn "unknown dependency: $name"; return 1; }
  done

  # Three dots: what this branch did, not what the base has done since.
  while IFS= read -r -d '' path; do
    if touches_everything "$path"; then
      for name in "${!dir_of[@]}"; do affected[$name]="$path changed"; done
      break
    fi
    name=$(owner_of "$path")
    [[ -z $name ]] || mark "$name" "$path changed"
  done < <(git diff --name-only --no-renames -z "$base...HEAD")

  for name in "${!affected[@]}"; do
    printf '%-24s %s\n' "$name" "${affected[$name]}"
  done | sort >&2
  printf '%s\n' "${!affected[@]}" | sort | jq --raw-input --null-input --compact-output \
    '[inputs | select(length > 0)]'
}

main "$@"
