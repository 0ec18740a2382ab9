package org.example.player

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.*
import kotlinx.coroutines.launch
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds

data class Episode(val id: String, val title: String, val length: Duration)

/** What the screen shows. Impossible combinations cannot be written down. */
sealed interface Playback {
    data object Idle : Playback
    data class Loading(val episode: Episode, val resumeAt: Duration) : Playback
    data class Active(
        val episode: Episode,
        val position: Duration,
        val speed: Double = 1.0,
        val paused: Boolean = false,
        val sleepAfter: Duration? = null,
    ) : Playback {
        val remaining: Duration get() = (episode.length - position) / speed
    }
    data class Broken(val episode: Episode, val reason: String) : Playback
}

sealed interface Intent {
    data class Open(val episode: Episode) : Intent
    data object Toggle : Intent
    data class Seek(val by: Duration) : Intent
    data class Speed(val factor: Double) : Intent
    data class SleepTimer(val after: Duration?) : Intent
    data object Retry : Intent

    // Sent by the store itself, never by a screen.
    data class Loaded(val episodeId: String) : Intent
    data class LoadFailed(val episodeId: String, val reason: String) : Intent
    data class Tick(val passed: Duration) : Intent
}

/** Things to do, as opposed to things to show. */
sealed interface Effect {
    data class Load(val episode: Episode) : Effect
    data class SavePosition(val episodeId: String, val at: Duration) : Effect
    data class Finished(val episode: Episode) : Effect
}

data class Step(val state: Playback, val effects: List<Effect> = emptyList())

private infix fun Playback.then(effect: Effect) = Step(this, listOf(effect))

/** The whole behaviour of the player, with no coroutine in sight. */
fun reduce(state: Playback, intent: Intent, savedPosition: (String) -> Duration): Step = when (intent) {
    is Intent.Open -> when {
        state is Playback.Active && state.episode == intent.episode -> Step(state.copy(paused = false))
        else -> Playback.Loading(intent.episode, savedPosition(intent.episode.id)) then Effect.Load(intent.episode)
    }
    is Intent.Retry -> when (state) {
        is Playback.Broken -> reduce(Playback.Idle, Intent.Open(state.episode), savedPosition)
        else -> Step(state)
    }
    is Intent.Loaded -> when {
        // The user may have opened something else in the meantime.
        state is Playback.Loading && state.episode.id == intent.episodeId ->
            Step(Playback.Active(state.episode, state.resumeAt))
        else -> Step(state)
    }
    is Intent.LoadFailed -> when {
        state is Playback.Loading && state.episode.id == intent.episodeId ->
            Step(Playback.Broken(state.episode, intent.reason))
        else -> Step(state)
    }
    else -> if (state is Playback.Active) reduceActive(state, intent) else Step(state)
}

private fun reduceActive(state: Playback.Active, intent: Intent): Step = when (intent) {
    Intent.Toggle -> {
        val next = state.copy(paused = !state.paused)
        if (next.paused) next then Effect.SavePosition(state.episode.id, state.position) else Step(next)
    }
    is Intent.Seek -> Step(state.copy(position = (state.position + intent.by).coerceIn(Duration.ZERO, state.episode.length)))
    is Intent.Speed -> Step(state.copy(speed = intent.factor.coerceIn(0.5, 3.0)))
    is Intent.SleepTimer -> Step(state.copy(sleepAfter = intent.after))
    is Intent.Tick -> if (state.paused) Step(state) else advance(state, intent.passed)
    else -> Step(state)
}

private fun advance(state: Playback.Active, passed: Duration): Step {
    val position = state.position + passed * state.speed
    val sleepAfter = state.sleepAfter?.minus(passed)
    return when {
        position >= state.episode.length -> Playback.Idle then Effect.Finished(state.episode)
        sleepAfter != null && sleepAfter <= Duration.ZERO ->
            state.copy(position = position, paused = true, sleepAfter = null) then
                Effect.SavePosition(state.episode.id, position)
        else -> {
            val next = state.copy(position = position, sleepAfter = sleepAfter)
            val minuteBefore = state.position.inWholeMinutes
            if (position.inWholeMinutes > minuteBefore) next then Effect.SavePosition(state.episode.id, position) else Step(next)
        }
    }
}

class PlaybackStore(private val scope: CoroutineScope, savedPosition: (String) -> Duration) {
    private val intents = Channel<Intent>(Channel.UNLIMITED)
    private val _state = MutableStateFlow<Playback>(Playback.Idle)
    private val _effects = MutableSharedFlow<Effect>(extraBufferCapacity = 64)

    val state: StateFlow<Playback> = _state.asStateFlow()
    val effects: SharedFlow<Effect> = _effects.asSharedFlow()

    /** Updates at most once per visible change, and only while somebody looks. */
    val remainingMinutes: StateFlow<Long?> = state.wholeMinutes()
        .stateIn(scope, SharingStarted.WhileSubscribed(stopTimeoutMillis = 5_000), null)

    private val worker: Job = scope.launch {
        for (intent in intents) {
            val step = reduce(_state.value, intent, savedPosition)
            _state.value = step.state
            step.effects.forEach { _effects.emit(it) }
        }
    }

    private val clock: Job = scope.launch {
        while (true) {
            delay(TICK)
            if (_state.value is Playback.Active) send(Intent.Tick(TICK))
        }
    }

    fun send(intent: Intent) = check(intents.trySend(intent).isSuccess) { "the store is closed" }

    suspend fun close() {
        clock.cancel()
        intents.close()
        worker.join() // intents sent before closing are still handled
    }

    private fun Flow<Playback>.wholeMinutes(): Flow<Long?> =
        map { (it as? Playback.Active)?.remaining?.plus(1.minutes - 1.seconds)?.inWholeMinutes }.distinctUntilChanged()

    private companion object {
        val TICK = 500.milliseconds
    }
}
