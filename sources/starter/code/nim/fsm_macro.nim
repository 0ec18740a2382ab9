## A small language for state machines, compiled to plain enums and `case`.
##
## `machine` turns a table of transitions into two enum types and a `step`
## procedure. Unknown targets and duplicate transitions are rejected while
## compiling, with the error at the offending line.

import std/[macros, options, sets, strformat, tables]

type Rule = object
  event, target: NimNode
  guard: NimNode ## nil when the transition is unconditional

proc parseRule(n: NimNode): Rule =
  ## `event -> target`, or `(event -> target, guard: condition)`, which the
  ## parser hands over as a tuple constructor.
  var arrow = n
  if n.kind == nnkTupleConstr:
    if n.len != 2 or n[1].kind != nnkExprColonExpr:
      error("expected (event -> target, guard: cond)", n)
    arrow = n[0]
    result.guard = n[1][1]
  if arrow.kind != nnkInfix or not arrow[0].eqIdent("->"):
    error("a transition looks like `event -> target`", arrow)
  result.event = arrow[1]
  result.target = arrow[2]

macro machine*(name: untyped, body: untyped): untyped =
  ## The first state is the initial one.
  var order: seq[string]
  var rules: OrderedTable[string, seq[Rule]]
  var events: OrderedSet[string]

  for section in body:
    if section.kind notin {nnkCall, nnkCommand} or section[^1].kind != nnkStmtList:
      error("expected `state name:` or `name:` with a block", section)
    let state = $section[0]
    if state in rules:
      error("state " & state & " is defined twice", section)
    order.add state
    rules[state] = @[]
    for line in section[^1]:
      if line.kind == nnkDiscardStmt:
        continue # a final state
      let rule = parseRule(line)
      for earlier in rules[state]:
        if earlier.event.eqIdent($rule.event) and earlier.guard.isNil:
          error("unreachable: " & $rule.event & " is already handled", line)
      rules[state].add rule
      events.incl $rule.event

  let
    stateType = ident($name & "State")
    eventType = ident($name & "Event")
    state = ident("state")
    event = ident("event")

  var stateEnum = newTree(nnkEnumTy, newEmptyNode())
  for s in order: stateEnum.add ident(s)
  var eventEnum = newTree(nnkEnumTy, newEmptyNode())
  for e in events: eventEnum.add ident(e)

  var outer = newTree(nnkCaseStmt, state)
  for s in order:
    var chain = newTree(nnkIfStmt)
    for rule in rules[s]:
      if $rule.target notin rules:
        error("there is no state " & $rule.target, rule.target)
      var cond = infix(event, "==", newDotExpr(eventType, rule.event))
      if not rule.guard.isNil:
        cond = infix(cond, "and", newPar(rule.guard))
      let target = newDotExpr(stateType, rule.target)
      chain.add newTree(nnkElifBranch, cond, quote do: return some(`target`))
    let branch = if chain.len > 0: chain else: newTree(nnkDiscardStmt, newEmptyNode())
    outer.add newTree(nnkOfBranch, newDotExpr(stateType, ident(s)), newStmtList(branch))

  let step = ident("step")
  let initial = ident("initial" & $name)
  let first = newDotExpr(stateType, ident(order[0]))
  result = quote do:
    type
      `stateType` {.pure.} = `stateEnum`
      `eventType` {.pure.} = `eventEnum`
    const `initial` {.used.} = `first`
    proc `step`(`state`: `stateType`, `event`: `eventType`): Option[`stateType`] =
      `outer`

when isMainModule:
  var retries = 0

  machine Link:
    Idle:
      dial -> Connecting
    Connecting:
      up -> Online
      (timeout -> Connecting, guard: retries < 2)
      timeout -> Failed
      hangup -> Idle
    Online:
      hangup -> Idle
      timeout -> Connecting
    Failed:
      discard

  var state = initialLink
  const script = [LinkEvent.dial, LinkEvent.timeout, LinkEvent.timeout,
                  LinkEvent.up, LinkEvent.timeout, LinkEvent.timeout]
  for event in script:
    let next = step(state, event)
    if event == LinkEvent.timeout:
      inc retries
    if next.isNone:
      echo &"{state}: {event} ignored"
      continue
    echo &"{state} --{event}--> {next.get}"
    state = next.get

  doAssert state == LinkState.Failed
  doAssert step(LinkState.Idle, LinkEvent.up).isNone
