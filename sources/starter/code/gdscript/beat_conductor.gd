extends AudioStreamPlayer
## Keeps game events in step with the music and judges the player's hits.
##
## The position that the engine reports moves in jumps of one mixing block, about
## 15 ms. The conductor therefore runs on the system clock and only steers it gently
## towards the audio position, which is smooth enough for scrolling notes.

signal beat(index: int)
signal measure(index: int)
signal note_missed(note: Note)
signal note_hit(note: Note, judgement: Judgement, error_ms: float)

enum Judgement { PERFECT, GREAT, OKAY }

## Half-widths of the timing windows, in seconds.
const WINDOWS: Dictionary[Judgement, float] = {
	Judgement.PERFECT: 0.025,
	Judgement.GREAT: 0.060,
	Judgement.OKAY: 0.110,
}
const STEERING := 0.06
const HARD_RESYNC := 0.2

class Note:
	var beat: float
	var lane: StringName

	func _init(at_beat: float, in_lane: StringName) -> void:
		beat = at_beat
		lane = in_lane


## Tempo changes as pairs of beat and beats per minute; the first is at beat 0.
@export var tempo_map: Array[Vector2] = [Vector2(0.0, 120.0)]
@export_range(1, 12) var beats_per_measure := 4
## Silence in the file before beat 0.
@export var first_beat_offset := 0.0
## Measured in the settings menu: positive when the player's taps arrive late.
@export var input_latency := 0.0

var song_time := 0.0

var _pending: Dictionary[StringName, Array] = {}
var _last_beat := -1
var _clock_base := 0
## Song time at which each tempo starts, computed once.
var _tempo_starts: PackedFloat64Array = []


func _ready() -> void:
	var seconds := first_beat_offset
	for i in tempo_map.size():
		if i > 0:
			seconds += (tempo_map[i].x - tempo_map[i - 1].x) * 60.0 / tempo_map[i - 1].y
		_tempo_starts.append(seconds)
	set_process(false)


func start(notes: Array[Note]) -> void:
	_pending.clear()
	notes.sort_custom(func(a: Note, b: Note) -> bool: return a.beat < b.beat)
	for note in notes:
		_pending.get_or_add(note.lane, []).append(note)
	_last_beat = -1
	play()
	_clock_base = Time.get_ticks_usec()
	song_time = -AudioServer.get_time_to_next_mix() - AudioServer.get_output_latency()
	set_process(true)


func _process(delta: float) -> void:
	if not playing:
		set_process(false)
		return
	var now := Time.get_ticks_usec()
	song_time += (now - _clock_base) / 1_000_000.0 * pitch_scale
	_clock_base = now

	var heard := (get_playback_position() + AudioServer.get_time_since_last_mix()
			- AudioServer.get_output_latency())
	var drift := heard - song_time
	# A large gap means the window was frozen or dragged: jump instead of gliding.
	song_time += drift if absf(drift) > HARD_RESYNC else drift * STEERING * minf(1.0, delta * 60.0)

	_announce_beats()
	_expire_notes()


func _announce_beats() -> void:
	var current := floori(beat_at(song_time))
	while _last_beat < current:
		_last_beat += 1
		beat.emit(_last_beat)
		if _last_beat % beats_per_measure == 0:
			measure.emit(_last_beat / beats_per_measure)


func _expire_notes() -> void:
	for lane: StringName in _pending:
		var queue := _pending[lane]
		while not queue.is_empty() and time_of(queue[0].beat) < song_time - WINDOWS[Judgement.OKAY]:
			note_missed.emit(queue.pop_front())


func _unhandled_input(event: InputEvent) -> void:
	if event.is_echo() or not is_processing():
		return
	for lane: StringName in _pending:
		if event.is_action_pressed(lane):
			_judge(lane)
			get_viewport().set_input_as_handled()


func _judge(lane: StringName) -> void:
	var queue := _pending[lane]
	if queue.is_empty():
		return
	var error: float = song_time - input_latency - time_of(queue[0].beat)
	for judgement: Judgement in WINDOWS: # from the narrowest to the widest
		if absf(error) <= WINDOWS[judgement]:
			note_hit.emit(queue.pop_front(), judgement, error * 1000.0)
			return


func beat_at(seconds: float) -> float:
	var i := maxi(0, _tempo_starts.bsearch(seconds, false) - 1)
	return tempo_map[i].x + (seconds - _tempo_starts[i]) * tempo_map[i].y / 60.0


func time_of(at_beat: float) -> float:
	for i in range(tempo_map.size() - 1, -1, -1):
		if at_beat >= tempo_map[i].x or i == 0:
			return _tempo_starts[i] + (at_beat - tempo_map[i].x) * 60.0 / tempo_map[i].y
	return 0.0
