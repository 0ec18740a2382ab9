#!/usr/bin/env bash
# Who is on the network? Joins a DHCP lease file with an inventory of known
# machines and prints what is new, what is missing and what moved.
#
# usage: lease_report.bash LEASES INVENTORY
#
# LEASES, as the server writes it (later entries replace earlier ones):
#
#   lease 10.20.4.17 {
#     starts 2 2031/06/10 04:12:55;
#     ends 2 2031/06/10 16:12:55;
#     binding state active;
#     hardware ethernet 52:54:00:ab:10:3f;
#     client-hostname "scale-packing";
#   }
#
# INVENTORY is tab separated: hardware address, name, expected subnet as
# ADDRESS/BITS, owner. Exit status 0 if all is as expected, 1 if there is
# anything to look at, 2 for bad input.

set -euo pipefail

declare -A lease_ip lease_host lease_ends        # by hardware address
declare -A known_name known_net known_owner

# Addresses as 32-bit numbers make subnet tests a shift.
ip_to_int() {
  local a b c d
  IFS=. read -r a b c d <<<"$1"
  printf '%d' "$(((a << 24) | (b << 16) | (c << 8) | d))"
}

in_subnet() {
  local ip=$1 net=${2%/*} bits=${2#*/}
  local shift=$((32 - bits))
  (($(ip_to_int "$ip") >> shift == $(ip_to_int "$net") >> shift))
}

read_leases() {
  local file=$1 number=0 line ip='' mac='' host='' state='' ends=''
  local -r mac_re='^[[:space:]]*hardware ethernet ([0-9a-fA-F:]{17});'
  local -r host_re='^[[:space:]]*client-hostname "([^"]*)";'
  local -r ends_re='^[[:space:]]*ends [0-6] ([0-9/]+ [0-9:]+);'
  while IFS= read -r line; do
    number=$((number + 1))
    if [[ $line =~ ^lease\ ([0-9.]+)\ \{$ ]]; then
      [[ -z $ip ]] || { echo "$file:$number: lease inside a lease" >&2; exit 2; }
      ip=${BASH_REMATCH[1]} mac='' host='' state='' ends=''
    elif [[ $line =~ $mac_re ]]; then
      mac=${BASH_REMATCH[1],,}
    elif [[ $line =~ $host_re ]]; then
      # Clients choose this text; keep control sequences off the terminal.
      host=${BASH_REMATCH[1]//[^A-Za-z0-9._-]/?}
    elif [[ $line =~ $ends_re ]]; then
      ends=${BASH_REMATCH[1]}
    elif [[ $line =~ ^[[:space:]]*binding\ state\ ([a-z]+)\; ]]; then
      state=${BASH_REMATCH[1]}
    elif [[ $line == '}' ]]; then
      if [[ $state == active && -n $mac ]]; then
        lease_ip[$mac]=$ip
        lease_host[$mac]=$host
        lease_ends[$mac]=$ends
      elif [[ -n $mac && ${lease_ip[$mac]:-} == "$ip" ]]; then
        unset -v "lease_ip[$mac]"          # released or expired later on
      fi
      ip=''
    fi
  done <"$file"
}

read_inventory() {
  local file=$1 mac name net owner number=0
  while IFS=$'\t' read -r mac name net owner; do
    number=$((number + 1))
    [[ -n $mac && $mac != '#'* ]] || continue
    if [[ ! $mac =~ ^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$ || $net != */* ]]; then
      echo "$file:$number: cannot use this line" >&2
      exit 2
    fi
    mac=${mac,,}
    known_name[$mac]=$name known_net[$mac]=$net known_owner[$mac]=${owner:-nobody}
  done <"$file"
}

# The second hex digit tells: bit 1 of the first octet is set in addresses that
# a phone made up for privacy. Those can never be in the inventory.
is_randomised() {
  ((16#${1:0:2} & 2))
}

findings=0
finding() {
  local -r kind=$1
  shift
  printf '%-9s %s\n' "$kind" "$*"
  findings=$((findings + 1))
}

compare() {
  local mac guests=0
  for mac in "${!lease_ip[@]}"; do
    if [[ -z ${known_name[$mac]:-} ]]; then
      if is_randomised "$mac"; then
        guests=$((guests + 1))
      else
        finding unknown "$mac at ${lease_ip[$mac]}, calls itself '${lease_host[$mac]}', until ${lease_ends[$mac]:-?}"
      fi
    elif ! in_subnet "${lease_ip[$mac]}" "${known_net[$mac]}"; then
      finding moved "${known_name[$mac]} is at ${lease_ip[$mac]}, belongs in ${known_net[$mac]} (${known_owner[$mac]})"
    elif [[ -n ${lease_host[$mac]} && ${lease_host[$mac]} != "${known_name[$mac]}" ]]; then
      finding renamed "${known_name[$mac]} now calls itself '${lease_host[$mac]}'"
    fi
  done
  for mac in "${!known_name[@]}"; do
    [[ -n ${lease_ip[$mac]:-} ]] ||
      finding absent "${known_name[$mac]} (${known_owner[$mac]}) has no lease"
  done
  printf '%-9s %d with randomised addresses\n' guests "$guests"
}

(($# == 2)) || { echo "usage: ${0##*/} LEASES INVENTORY" >&2; exit 2; }
for input; do
  [[ -r $input ]] || { echo "cannot read $input" >&2; exit 2; }
done
read_leases "$1"
read_inventory "$2"
compare > >(sort) && wait "$!"
exit $((findings > 0))
