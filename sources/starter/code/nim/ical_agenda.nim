## Reads an iCalendar file and prints the events of the coming days.
##
##   ical_agenda --days:14 team.ics
##
## Only what an agenda needs is understood: DTSTART, DTEND, SUMMARY and
## LOCATION of VEVENT components, plus weekly recurrence.

import std/[algorithm, options, parseopt, strutils, tables, times]

type
  Property = object
    name: string
    params: Table[string, string]
    value: string

  Event = object
    summary, location: string
    starts: DateTime
    ends: Option[DateTime]
    allDay: bool
    weeklyUntil: Option[DateTime]

  AgendaError = object of CatchableError

iterator unfolded(text: string): string =
  ## Long lines are folded: a continuation starts with a space or a tab.
  var pending = ""
  for raw in text.splitLines:
    if raw.len > 0 and raw[0] in {' ', '\t'}:
      pending.add raw[1 .. ^1]
    else:
      if pending.len > 0:
        yield pending
      pending = raw
  if pending.len > 0:
    yield pending

proc parseProperty(line: string): Property =
  ## NAME;PARAM=x;PARAM="a:b":VALUE -- a colon may hide inside quotes.
  var quoted = false
  var colon = -1
  for i, c in line:
    if c == '"':
      quoted = not quoted
    elif c == ':' and not quoted:
      colon = i
      break
  if colon < 0:
    raise newException(AgendaError, "no value in line: " & line)
  result.value = line[colon + 1 .. ^1]
  let head = line[0 ..< colon].split(';')
  result.name = head[0].toUpperAscii
  for param in head[1 .. ^1]:
    let kv = param.split('=', maxsplit = 1)
    if kv.len == 2:
      result.params[kv[0].toUpperAscii] = kv[1].strip(chars = {'"'})

func unescape(s: string): string =
  s.multiReplace(("\\n", " "), ("\\N", " "), ("\\,", ","), ("\\;", ";"), ("\\\\", "\\"))

proc parseMoment(p: Property): tuple[at: DateTime, allDay: bool] =
  let isDate = p.params.getOrDefault("VALUE") == "DATE"
  try:
    if isDate:
      (parse(p.value, "yyyyMMdd", local()), true)
    elif p.value.endsWith("Z"):
      (parse(p.value, "yyyyMMdd'T'HHmmss'Z'", utc()).inZone(local()), false)
    else:
      (parse(p.value, "yyyyMMdd'T'HHmmss", local()), false)
  except TimeParseError:
    raise newException(AgendaError, p.name & ": bad time " & p.value)

proc parseWeekly(rule: string, starts: DateTime): Option[DateTime] =
  ## The last day of a FREQ=WEEKLY rule; other rules count as single events.
  var parts: Table[string, string]
  for part in rule.split(';'):
    let kv = part.split('=')
    if kv.len == 2:
      parts[kv[0]] = kv[1]
  if parts.getOrDefault("FREQ") != "WEEKLY":
    return none(DateTime)
  if "UNTIL" in parts:
    return some(parse(parts["UNTIL"][0 .. 7], "yyyyMMdd", local()) + 1.days)
  let count = parts.getOrDefault("COUNT", "520").parseInt
  some(starts + (count - 1).weeks + 1.days)

iterator events(text: string): Event =
  var current: Event
  var inside = false
  for line in text.unfolded:
    let p = parseProperty(line)
    case p.name
    of "BEGIN":
      if p.value == "VEVENT":
        inside = true
        current = Event(starts: now())
    of "END":
      if p.value == "VEVENT" and inside:
        inside = false
        yield current
    elif inside:
      case p.name
      of "SUMMARY": current.summary = unescape(p.value)
      of "LOCATION": current.location = unescape(p.value)
      of "DTSTART": (current.starts, current.allDay) = parseMoment(p)
      of "DTEND": current.ends = some(parseMoment(p).at)
      of "RRULE": current.weeklyUntil = parseWeekly(p.value, current.starts)
      else: discard

iterator occurrences(e: Event; first, last: DateTime): DateTime =
  var at = e.starts
  let stop = e.weeklyUntil.get(e.starts + 1.seconds)
  while at < stop and at < last:
    if at >= first:
      yield at
    at += 1.weeks

proc main() =
  var days = 7
  var path = ""
  for kind, key, val in getopt():
    case kind
    of cmdArgument: path = key
    of cmdLongOption, cmdShortOption:
      if key in ["days", "d"]: days = parseInt(val)
      else: quit("unknown option " & key, 2)
    of cmdEnd: discard
  if path == "":
    quit("usage: ical_agenda [--days:N] FILE", 2)

  let first = now()
  var agenda: seq[tuple[at: DateTime, line: string]]
  for event in readFile(path).events:
    for at in event.occurrences(first, first + days.days):
      let hour = if event.allDay: "all day" else: at.format("HH:mm  ")
      let place = if event.location == "": "" else: " (" & event.location & ")"
      agenda.add (at, at.format("ddd dd MMM ") & hour & " " & event.summary & place)
  for entry in agenda.sortedByIt(it.at.toTime):
    echo entry.line

when isMainModule:
  main()
