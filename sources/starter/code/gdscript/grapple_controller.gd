class_name GrappleController
extends Node2D
## Swings the parent body on a rope that wraps around corners.
##
## The rope is a chain of anchors. While the body swings, a corner of the level that
## cuts the free segment becomes a new anchor; when the body swings back past it, the
## anchor is dropped again. Only the last anchor constrains the body.

signal attached(point: Vector2)
signal detached
signal rope_snapped(tension: float)

enum State { IDLE, FLYING, TAUT }

const EPSILON := 0.5

@export_category("Rope")
@export_range(40.0, 2000.0, 10.0, "suffix:px") var max_length := 480.0
@export_range(100.0, 4000.0, 50.0, "suffix:px/s") var hook_speed := 1600.0
@export_range(20.0, 800.0, 10.0, "suffix:px/s") var reel_speed := 180.0
## Pulls above this are too much for the rope. Zero makes it unbreakable.
@export var breaking_tension := 0.0
@export_flags_2d_physics var anchor_mask := 1

var state := State.IDLE
var rope_length := 0.0

var _anchors: Array[Vector2] = []
## For each anchor but the first, the side to which the rope bends there: 1 or -1.
var _bends: PackedInt32Array = []
var _hook := Vector2.ZERO
var _hook_velocity := Vector2.ZERO

@onready var _body: CharacterBody2D = get_parent()
@onready var _line: Line2D = $Line2D
@onready var _snap_sound: AudioStreamPlayer2D = $SnapSound


func _physics_process(delta: float) -> void:
	match state:
		State.FLYING:
			_advance_hook(delta)
		State.TAUT:
			_reel(delta)
			_update_wrapping()
			_constrain(delta)
	_draw_rope()


func _unhandled_input(event: InputEvent) -> void:
	if event.is_action_pressed(&"grapple"):
		fire(get_global_mouse_position())
	elif event.is_action_released(&"grapple"):
		release()


func fire(target: Vector2) -> void:
	if state != State.IDLE:
		release()
	_hook = _body.global_position
	_hook_velocity = (target - _hook).normalized() * hook_speed
	state = State.FLYING


func release() -> void:
	if state == State.TAUT:
		detached.emit()
	_anchors.clear()
	_bends.clear()
	state = State.IDLE


func _advance_hook(delta: float) -> void:
	var next := _hook + _hook_velocity * delta
	var hit := _cast(_hook, next)
	if hit:
		_anchors = [hit.position + hit.normal * EPSILON]
		rope_length = _body.global_position.distance_to(_anchors[0])
		state = State.TAUT
		attached.emit(hit.position)
	elif next.distance_to(_body.global_position) > max_length:
		release()
	else:
		_hook = next


func _reel(delta: float) -> void:
	var direction := Input.get_axis(&"reel_in", &"reel_out")
	rope_length = clampf(rope_length + direction * reel_speed * delta, 24.0, max_length)


func _update_wrapping() -> void:
	var from := _body.global_position
	# Unwrap first: the body may have swung back past the corner.
	if _anchors.size() > 1:
		var last := _anchors[-1]
		var side := (last - _anchors[-2]).cross(from - last)
		if signf(side) == -_bends[-1]:
			rope_length += last.distance_to(_anchors[-2])
			_anchors.pop_back()
			_bends.remove_at(_bends.size() - 1)

	var hit := _cast(from, _anchors[-1])
	if hit and hit.position.distance_to(_anchors[-1]) > 4.0 * EPSILON:
		var corner: Vector2 = hit.position + hit.normal * EPSILON
		_bends.append(int(signf((corner - _anchors[-1]).cross(from - corner))))
		rope_length -= corner.distance_to(_anchors[-1])
		_anchors.append(corner)


## Treats the rope as inextensible: outward velocity is removed, not reflected.
func _constrain(delta: float) -> void:
	var to_anchor := _anchors[-1] - _body.global_position
	var distance := to_anchor.length()
	if distance <= rope_length or is_zero_approx(distance):
		return
	var direction := to_anchor / distance
	var outward := -_body.velocity.dot(direction)
	if outward > 0.0:
		var tension := outward / delta
		if breaking_tension > 0.0 and tension > breaking_tension:
			_snap_sound.play()
			rope_snapped.emit(tension)
			release()
			return
		_body.velocity += direction * outward
	_body.move_and_collide(direction * (distance - rope_length))


func _cast(from: Vector2, to: Vector2) -> Dictionary:
	var query := PhysicsRayQueryParameters2D.create(from, to, anchor_mask, [_body.get_rid()])
	query.hit_from_inside = false
	return get_world_2d().direct_space_state.intersect_ray(query)


func _draw_rope() -> void:
	_line.clear_points()
	if state == State.FLYING:
		_line.add_point(_line.to_local(_hook))
	for anchor in _anchors:
		_line.add_point(_line.to_local(anchor))
	if state != State.IDLE:
		_line.add_point(_line.to_local(_body.global_position))
