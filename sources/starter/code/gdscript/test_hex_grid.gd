extends SceneTree
## Headless checks for the tactics grid.
##
## Run with: godot --headless --script tests/test_hex_grid.gd
## Cells use axial coordinates (q, r) on a grid of pointy-top hexagons.

const DIRECTIONS: Array[Vector2i] = [
	Vector2i(1, 0), Vector2i(1, -1), Vector2i(0, -1),
	Vector2i(-1, 0), Vector2i(-1, 1), Vector2i(0, 1),
]

class HexGrid:
	## Cost of entering each cell; cells that are absent cannot be entered.
	var costs: Dictionary[Vector2i, int] = {}

	static func from_rows(rows: PackedStringArray) -> HexGrid:
		var grid := HexGrid.new()
		for r in rows.size():
			for q in rows[r].length():
				match rows[r][q]:
					".": grid.costs[Vector2i(q, r)] = 1
					"~": grid.costs[Vector2i(q, r)] = 3
		return grid

	static func distance(a: Vector2i, b: Vector2i) -> int:
		var d := a - b
		return (absi(d.x) + absi(d.y) + absi(d.x + d.y)) / 2

	## Fractional coordinates belong to the cell with the nearest cube coordinates;
	## the component that was rounded most is recomputed from the other two.
	static func round_to_cell(q: float, r: float) -> Vector2i:
		var s := -q - r
		var rounded := Vector3(roundf(q), roundf(r), roundf(s))
		var error := (rounded - Vector3(q, r, s)).abs()
		if error.x > error.y and error.x > error.z:
			rounded.x = -rounded.y - rounded.z
		elif error.y > error.z:
			rounded.y = -rounded.x - rounded.z
		return Vector2i(int(rounded.x), int(rounded.y))

	static func line(a: Vector2i, b: Vector2i) -> Array[Vector2i]:
		var cells: Array[Vector2i] = []
		var steps := distance(a, b)
		for i in steps + 1:
			var t := float(i) / maxi(steps, 1)
			# The nudge settles ties on borders between cells, always to the same side.
			cells.append(round_to_cell(lerpf(a.x, b.x, t) + 1e-6, lerpf(a.y, b.y, t) + 2e-6))
		return cells

	## Everything reachable with the given points, and how to get there.
	func reachable(from: Vector2i, points: int) -> Dictionary[Vector2i, Vector2i]:
		var spent: Dictionary[Vector2i, int] = { from: 0 }
		var came_from: Dictionary[Vector2i, Vector2i] = { from: from }
		var frontier: Array[Vector2i] = [from]
		while not frontier.is_empty():
			frontier.sort_custom(func(a: Vector2i, b: Vector2i) -> bool: return spent[a] > spent[b])
			var cell: Vector2i = frontier.pop_back()
			for direction in DIRECTIONS:
				var next := cell + direction
				var total: int = spent[cell] + costs.get(next, points + 1)
				if total <= points and total < spent.get(next, points + 1):
					spent[next] = total
					came_from[next] = cell
					frontier.append(next)
		return came_from


var _failures: PackedStringArray = []
var _checks := 0


func _initialize() -> void:
	for method in get_method_list():
		var name: String = method.name
		if name.begins_with("test_"):
			call(name)
	for failure in _failures:
		printerr(failure)
	print("%d checks, %d failures" % [_checks, _failures.size()])
	quit(mini(_failures.size(), 1))


func expect(actual: Variant, expected: Variant, what: String) -> void:
	_checks += 1
	if actual != expected:
		_failures.append("%s: expected %s, got %s" % [what, expected, actual])


func test_distance_is_symmetric_and_counts_steps() -> void:
	expect(HexGrid.distance(Vector2i(0, 0), Vector2i(3, -3)), 3, "along an axis")
	expect(HexGrid.distance(Vector2i(-1, 2), Vector2i(2, 1)), 3, "across axes")
	for direction in DIRECTIONS:
		expect(HexGrid.distance(direction, Vector2i.ZERO), 1, "neighbour %s" % direction)


func test_rounding_keeps_cell_centres() -> void:
	for q in range(-4, 5):
		for r in range(-4, 5):
			expect(HexGrid.round_to_cell(q + 0.2, r - 0.3), Vector2i(q, r), "near %d, %d" % [q, r])


func test_line_is_connected_and_has_both_ends() -> void:
	var cells := HexGrid.line(Vector2i(-2, 3), Vector2i(4, -1))
	expect(cells.front(), Vector2i(-2, 3), "first cell")
	expect(cells.back(), Vector2i(4, -1), "last cell")
	for i in cells.size() - 1:
		expect(HexGrid.distance(cells[i], cells[i + 1]), 1, "step %d" % i)


func test_swamp_slows_but_does_not_block() -> void:
	var grid := HexGrid.from_rows(["..~..", "#####"])
	var field := grid.reachable(Vector2i(0, 0), 4)
	expect(field.has(Vector2i(2, 0)), true, "one point and three reach the swamp")
	expect(field.has(Vector2i(3, 0)), false, "nothing is left to leave it")


func test_path_goes_around_expensive_ground() -> void:
	var grid := HexGrid.from_rows([".~~.", "....", "...."])
	var field := grid.reachable(Vector2i(0, 0), 6)
	var path: Array[Vector2i] = [Vector2i(3, 0)]
	while path[-1] != Vector2i.ZERO:
		path.append(field[path[-1]])
	expect(path.any(func(c: Vector2i) -> bool: return grid.costs[c] == 3), false, "stays dry")
	expect(path.size(), 5, "number of cells on the detour")
