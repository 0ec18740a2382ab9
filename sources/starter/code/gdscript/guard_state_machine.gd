class_name Guard
extends CharacterBody3D
## A guard that patrols, notices, searches and chases.
##
## States are inner classes: each has [code]enter[/code], [code]leave[/code] and
## [code]update[/code], and update returns the next state or null to stay. Awareness
## rises with time in view, so that a glimpse makes the guard look, not run.

signal suspicion_changed(awareness: float)
signal caught(target: Node3D)

@export var patrol: Path3D
@export_range(10.0, 180.0, 1.0, "degrees") var field_of_view := 100.0
@export var sight_range := 18.0
@export var walk_speed := 1.6
@export var run_speed := 4.8

var awareness := 0.0:
	set(value):
		value = clampf(value, 0.0, 1.0)
		if not is_equal_approx(value, awareness):
			awareness = value
			suspicion_changed.emit(awareness)

var last_seen: Vector3
var _state: GuardState
var _target: Node3D

@onready var agent: NavigationAgent3D = $NavigationAgent3D
@onready var eyes: Marker3D = $Eyes
@onready var animation: AnimationTree = $AnimationTree


func _ready() -> void:
	_target = get_tree().get_first_node_in_group(&"player")
	_switch_to(Patrolling.new())


func _physics_process(delta: float) -> void:
	var exposure := _exposure(_target)
	if exposure > 0.0:
		last_seen = _target.global_position
	awareness += (exposure * 1.5 if exposure > 0.0 else -0.12) * delta
	var next := _state.update(self, delta)
	if next != null:
		_switch_to(next)
	animation.set(&"parameters/move/blend_position", velocity.length() / run_speed)
	move_and_slide()


## Noises raise awareness too, but never to the point of certainty.
func hear(position_of_noise: Vector3, loudness: float) -> void:
	if awareness < 0.6:
		last_seen = position_of_noise
		var distance := maxf(1.0, global_position.distance_to(position_of_noise))
		awareness = minf(0.6, awareness + loudness / distance)


func _switch_to(next: GuardState) -> void:
	if _state:
		_state.leave(self)
	_state = next
	_state.enter(self)


## How well the target is visible: 0 hidden, 1 close and in the centre of view.
func _exposure(target: Node3D) -> float:
	var to_target := target.global_position + Vector3.UP - eyes.global_position
	var distance := to_target.length()
	var angle := rad_to_deg((-eyes.global_basis.z).angle_to(to_target))
	if distance > sight_range or absf(angle) > field_of_view / 2.0:
		return 0.0
	var query := PhysicsRayQueryParameters3D.create(
			eyes.global_position, target.global_position + Vector3.UP, 0xFFFFFFFF, [get_rid()])
	var hit := get_world_3d().direct_space_state.intersect_ray(query)
	if hit and hit.collider != target:
		return 0.0
	return (1.0 - distance / sight_range) * (1.0 - 0.5 * absf(angle) / field_of_view)


func walk_towards(point: Vector3, speed: float) -> bool:
	agent.target_position = point
	if agent.is_navigation_finished():
		velocity = Vector3.ZERO
		return true
	var step := global_position.direction_to(agent.get_next_path_position())
	velocity = velocity.lerp(step * speed, 0.2)
	if not velocity.is_zero_approx():
		look_at(global_position + Vector3(velocity.x, 0.0, velocity.z))
	return false


@abstract class GuardState:
	func enter(_guard: Guard) -> void: pass
	func leave(_guard: Guard) -> void: pass
	@abstract func update(guard: Guard, delta: float) -> GuardState


class Patrolling extends GuardState:
	var _offset := 0.0

	func enter(guard: Guard) -> void:
		var here := guard.patrol.to_local(guard.global_position)
		_offset = guard.patrol.curve.get_closest_offset(here)

	func update(guard: Guard, delta: float) -> GuardState:
		if guard.awareness > 0.35:
			return Searching.new()
		_offset = fmod(_offset + guard.walk_speed * delta, guard.patrol.curve.get_baked_length())
		var goal := guard.patrol.to_global(guard.patrol.curve.sample_baked(_offset))
		guard.walk_towards(goal, guard.walk_speed)
		return null


class Searching extends GuardState:
	var _patience := 8.0
	var _spot := Vector3.INF

	func update(guard: Guard, delta: float) -> GuardState:
		if guard.awareness >= 1.0:
			return Chasing.new()
		if _spot == Vector3.INF:
			_spot = guard.last_seen
		if guard.walk_towards(_spot, guard.walk_speed * 1.3):
			_patience -= delta
			guard.rotate_y(sin(_patience * 1.7) * delta)
			if _patience < 4.0 and guard.last_seen != _spot:
				_spot = guard.last_seen
		return Patrolling.new() if _patience <= 0.0 else null


class Chasing extends GuardState:
	func enter(guard: Guard) -> void:
		guard.get_tree().call_group(&"guards", &"hear", guard.global_position, 6.0)

	func update(guard: Guard, _delta: float) -> GuardState:
		guard.walk_towards(guard.last_seen, guard.run_speed)
		if guard.global_position.distance_to(guard._target.global_position) < 1.2:
			guard.caught.emit(guard._target)
		return Searching.new() if guard.awareness < 0.5 else null
