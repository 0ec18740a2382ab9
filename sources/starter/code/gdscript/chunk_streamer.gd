extends Node3D
## Streams terrain chunks around the player, generating meshes on worker threads.
##
## Chunks are requested in rings from the player outwards. The scene tree is only
## touched on the main thread, and at most [member uploads_per_frame] meshes enter it
## per frame, so that streaming never causes a visible hitch.

const CHUNK_CELLS := 32

@export var focus: Node3D
@export_range(1, 16) var load_radius := 6
@export_range(1, 8) var uploads_per_frame := 2
@export var cell_size := 2.0
@export var height_noise: FastNoiseLite
@export var height_scale := 24.0
@export var material: Material

var _chunks: Dictionary[Vector2i, MeshInstance3D] = {}
## Chunk coordinates to WorkerThreadPool task ids.
var _tasks: Dictionary[Vector2i, int] = {}
var _finished: Array[Dictionary] = []
var _mutex := Mutex.new()
var _centre := Vector2i.MAX


func _process(_delta: float) -> void:
	var side := CHUNK_CELLS * cell_size
	var here := Vector2i((Vector2(focus.global_position.x, focus.global_position.z) / side).floor())
	if here != _centre:
		_centre = here
		_unload_far_chunks()
		_request_missing_chunks()
	_upload_finished_chunks()


func _exit_tree() -> void:
	# Threads must not outlive the node whose members they use.
	for task: int in _tasks.values():
		WorkerThreadPool.wait_for_task_completion(task)
	_tasks.clear()


## Waits until everything in range is in place; useful behind a loading screen.
func preload_around(point: Vector3) -> void:
	focus.global_position = point
	_process(0.0)
	while not _tasks.is_empty():
		await get_tree().process_frame


func _is_wanted(chunk: Vector2i) -> bool:
	return (chunk - _centre).length_squared() <= load_radius * load_radius


func _unload_far_chunks() -> void:
	# One ring of slack keeps chunks from flickering when the player paces at a border.
	var keep := (load_radius + 1) * (load_radius + 1)
	for chunk: Vector2i in _chunks.keys():
		if (chunk - _centre).length_squared() > keep:
			_chunks[chunk].queue_free()
			_chunks.erase(chunk)


func _request_missing_chunks() -> void:
	var missing: Array[Vector2i] = []
	for z in range(-load_radius, load_radius + 1):
		for x in range(-load_radius, load_radius + 1):
			var chunk := _centre + Vector2i(x, z)
			if _is_wanted(chunk) and not _chunks.has(chunk) and not _tasks.has(chunk):
				missing.append(chunk)
	missing.sort_custom(func(a: Vector2i, b: Vector2i) -> bool:
		return (a - _centre).length_squared() < (b - _centre).length_squared())
	for chunk in missing:
		_tasks[chunk] = WorkerThreadPool.add_task(_generate.bind(chunk), false, "chunk %s" % chunk)


## Runs on a worker thread. Reads exported settings, writes only behind the mutex.
func _generate(chunk: Vector2i) -> void:
	var surface := SurfaceTool.new()
	surface.begin(Mesh.PRIMITIVE_TRIANGLES)
	var origin := chunk * CHUNK_CELLS
	for z in CHUNK_CELLS + 1:
		for x in CHUNK_CELLS + 1:
			var height := _height_at(origin + Vector2i(x, z))
			surface.set_uv(Vector2(x, z) / CHUNK_CELLS)
			surface.add_vertex(Vector3(x * cell_size, height, z * cell_size))
	for z in CHUNK_CELLS:
		for x in CHUNK_CELLS:
			var corner := z * (CHUNK_CELLS + 1) + x
			# The diagonal alternates in a checkerboard, which hides the grid.
			var below := corner + CHUNK_CELLS + 1
			if (x + z) % 2 == 0:
				_add_indices(surface, [corner, corner + 1, below, corner + 1, below + 1, below])
			else:
				_add_indices(surface, [corner, corner + 1, below + 1, corner, below + 1, below])
	surface.generate_normals()
	surface.generate_tangents()
	var mesh := surface.commit()
	var shape := mesh.create_trimesh_shape()

	_mutex.lock()
	_finished.append({ chunk = chunk, mesh = mesh, shape = shape })
	_mutex.unlock()


func _add_indices(surface: SurfaceTool, indices: PackedInt32Array) -> void:
	for index in indices:
		surface.add_index(index)


func _height_at(cell: Vector2i) -> float:
	var broad := height_noise.get_noise_2d(cell.x, cell.y)
	var fine := height_noise.get_noise_2d(cell.x * 4.0 + 911.0, cell.y * 4.0)
	# Ridges on high ground only; valleys stay smooth.
	return (broad + 0.2 * maxf(broad, 0.0) * (1.0 - absf(fine))) * height_scale


func _upload_finished_chunks() -> void:
	_mutex.lock()
	var batch := _finished.slice(0, uploads_per_frame)
	_finished = _finished.slice(uploads_per_frame)
	_mutex.unlock()

	for result in batch:
		var chunk: Vector2i = result.chunk
		WorkerThreadPool.wait_for_task_completion(_tasks[chunk]) # frees the id
		_tasks.erase(chunk)
		if not _is_wanted(chunk):
			continue
		var instance := MeshInstance3D.new()
		instance.mesh = result.mesh
		instance.material_override = material
		instance.position = Vector3(chunk.x, 0.0, chunk.y) * CHUNK_CELLS * cell_size
		var body := StaticBody3D.new()
		var collider := CollisionShape3D.new()
		collider.shape = result.shape
		body.add_child(collider)
		instance.add_child(body)
		add_child(instance)
		_chunks[chunk] = instance
