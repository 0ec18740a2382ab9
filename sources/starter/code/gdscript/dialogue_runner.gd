class_name DialogueRunner
extends RefCounted
## Runs branching conversations written as plain text.
##
## [codeblock]
## = greeting
## Keeper: You again. [if visits > 3] I should charge rent.
## * Any news from the coast? -> news
## * [if has_lamp] I found your lamp. -> lamp
## * Goodbye.
## = lamp
## Keeper: Set it there.
## ! visits = 0
## [/codeblock]
##
## The interface awaits [method next] and answers choices with [method choose].

signal line_spoken(speaker: String, text: String)
signal choices_offered(texts: Array)
signal finished

class Line:
	var kind: String # "say", "choice", "jump", "set"
	var speaker: String
	var text: String
	var condition: Expression
	var target: String
	var number: int


var variables: Dictionary[String, Variant] = {}

var _knots: Dictionary[String, Array] = {}
var _queue: Array = []
var _choices: Array[Line] = []
var _parser := RegEx.create_from_string(
		r"^(?:\[if (?<cond>[^\]]+)\]\s*)?(?<text>.*?)(?:\s*->\s*(?<target>\w+))?$")
var _inline := RegEx.create_from_string(r"\[if ([^\]]+)\]\s*([^\[]*)")


## Returns a list of problems; an empty list means the script can be run. All
## [member variables] that conditions mention must be set before.
func load_script(source: String) -> PackedStringArray:
	var problems: PackedStringArray = []
	var knot := ""
	var number := 0
	for raw in source.split("\n"):
		number += 1
		var text := raw.strip_edges()
		if text.is_empty() or text.begins_with("#"):
			continue
		if text.begins_with("= "):
			knot = text.substr(2)
			if _knots.has(knot):
				problems.append("line %d: knot '%s' exists already" % [number, knot])
			_knots[knot] = []
		elif knot.is_empty():
			problems.append("line %d: text before the first knot" % number)
		else:
			_knots[knot].append(_parse_line(text, problems, number))

	for lines: Array in _knots.values():
		for line: Line in lines:
			if not line.target.is_empty() and not _knots.has(line.target):
				problems.append("line %d: no knot '%s'" % [line.number, line.target])
	return problems


func _parse_line(text: String, problems: PackedStringArray, number: int) -> Line:
	var line := Line.new()
	line.number = number
	if text.begins_with("->"):
		line.kind = "jump"
		line.target = text.substr(2).strip_edges()
	elif text.begins_with("!"):
		line.kind = "set"
		line.text = text.substr(1).strip_edges()
	elif text.begins_with("*"):
		line.kind = "choice"
		var found := _parser.search(text.substr(1).strip_edges())
		line.text = found.get_string("text")
		line.target = found.get_string("target")
		if not found.get_string("cond").is_empty():
			line.condition = _compile(found.get_string("cond"))
			if line.condition == null:
				problems.append("line %d: the condition cannot be read" % number)
	else:
		line.kind = "say"
		var colon := text.find(": ")
		line.speaker = text.left(colon) if colon > 0 else ""
		line.text = text.substr(colon + 2) if colon > 0 else text
	return line


func start(knot: String) -> void:
	_choices.clear()
	_queue = _knots[knot].duplicate()
	next()


## Speaks the next line, or offers the choices at the end of a knot.
func next() -> void:
	while not _queue.is_empty():
		var line: Line = _queue.pop_front()
		match line.kind:
			"say":
				line_spoken.emit(line.speaker, _fill_in(line.text))
				return
			"choice":
				if line.condition == null or _evaluate(line.condition):
					_choices.append(line)
			"set":
				_assign(line.text)
			"jump":
				_queue = _knots[line.target].duplicate()
	if _choices.is_empty():
		finished.emit()
	else:
		choices_offered.emit(_choices.map(func(c: Line) -> String: return _fill_in(c.text)))


func choose(index: int) -> void:
	var choice := _choices[index]
	_choices.clear()
	if choice.target.is_empty():
		finished.emit()
	else:
		start(choice.target)


func _compile(source: String) -> Expression:
	var expression := Expression.new()
	return expression if expression.parse(source, variables.keys()) == OK else null


func _evaluate(expression: Expression) -> Variant:
	var value: Variant = expression.execute(variables.values()) if expression else null
	return value if expression and not expression.has_execute_failed() else false


func _assign(statement: String) -> void:
	var parts := statement.split("=", true, 1)
	variables[parts[0].strip_edges()] = _evaluate(_compile(parts[1]))


func _fill_in(text: String) -> String:
	for found in _inline.search_all(text):
		var shown := found.get_string(2) if _evaluate(_compile(found.get_string(1))) else ""
		text = text.replace(found.get_string(), shown)
	return text.format(variables).strip_edges()
