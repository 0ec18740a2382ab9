package org.example.upload

import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.delay
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Semaphore
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.file.Path
import java.security.MessageDigest
import java.util.concurrent.atomic.AtomicLong
import kotlin.io.path.fileSize
import kotlin.math.min
import kotlin.random.Random
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** The server side of a resumable upload. Implementations need not retry. */
interface UploadSession {
    suspend fun receivedChunks(): Set<Int>
    suspend fun put(chunk: Int, bytes: ByteArray, sha256: ByteArray)
    suspend fun complete(chunks: Int): String
}

class ServerBusy(val retryAfter: Duration?) : IOException("server is busy")

sealed interface UploadState {
    data class Progress(val sentBytes: Long, val totalBytes: Long) : UploadState {
        val percent: Int get() = if (totalBytes == 0L) 100 else (sentBytes * 100 / totalBytes).toInt()
    }

    data class Done(val resourceId: String) : UploadState
    data class Failed(val chunk: Int?, val cause: Throwable) : UploadState
}

/**
 * Sends a file in chunks, several at a time, and skips those that the server
 * already has. Collecting the flow starts the upload; cancelling the collector
 * stops every request in flight.
 */
class ChunkedUploader(
    private val chunkSize: Int = 4 shl 20,
    private val parallelism: Int = 4,
    private val maxAttempts: Int = 5,
    private val io: CoroutineDispatcher = Dispatchers.IO,
    private val random: Random = Random.Default,
) {
    private class ChunkFailure(val chunk: Int, cause: Throwable) : Exception(cause)

    fun upload(file: Path, session: UploadSession): Flow<UploadState> = channelFlow {
        val total = file.fileSize()
        val chunks = ((total + chunkSize - 1) / chunkSize).toInt()
        val sent = AtomicLong()

        suspend fun advance(bytes: Int) {
            send(UploadState.Progress(sent.addAndGet(bytes.toLong()), total))
        }

        try {
            val present = session.receivedChunks()
            present.filter { it < chunks }.forEach { advance(lengthOf(it, total)) }

            coroutineScope {
                val slots = Semaphore(parallelism)
                for (chunk in 0 until chunks) {
                    if (chunk in present) continue
                    // Taken here and not inside the coroutine: at most `parallelism`
                    // buffers exist at once, however many chunks there are.
                    slots.acquire()
                    launch {
                        try {
                            val bytes = read(file, chunk, total)
                            sendWithRetry(session, chunk, bytes)
                            advance(bytes.size)
                        } finally {
                            slots.release()
                        }
                    }
                }
            }
            send(UploadState.Done(session.complete(chunks)))
        } catch (e: CancellationException) {
            throw e
        } catch (e: ChunkFailure) {
            send(UploadState.Failed(e.chunk, e.cause ?: e))
        } catch (e: IOException) {
            send(UploadState.Failed(null, e))
        }
    }.conflate() // a slow progress bar must not slow the upload down

    private fun lengthOf(chunk: Int, total: Long): Int =
        min(chunkSize.toLong(), total - chunk.toLong() * chunkSize).toInt()

    private suspend fun read(file: Path, chunk: Int, total: Long): ByteArray = withContext(io) {
        RandomAccessFile(file.toFile(), "r").use { input ->
            input.seek(chunk.toLong() * chunkSize)
            ByteArray(lengthOf(chunk, total)).also(input::readFully)
        }
    }

    private suspend fun sendWithRetry(session: UploadSession, chunk: Int, bytes: ByteArray) {
        val digest = MessageDigest.getInstance("SHA-256").digest(bytes)
        repeat(maxAttempts) { attempt ->
            currentCoroutineContext().ensureActive()
            try {
                // A timeout is an ordinary failure here, not a cancellation of ours.
                val finished = runCatchingTimeout(30.seconds) { session.put(chunk, bytes, digest) }
                if (finished) return
            } catch (e: IOException) {
                if (attempt == maxAttempts - 1) throw ChunkFailure(chunk, e)
                delay((e as? ServerBusy)?.retryAfter ?: backoff(attempt))
            }
        }
        throw ChunkFailure(chunk, IOException("timed out $maxAttempts times"))
    }

    /** Decorrelated by a random factor so that parallel chunks do not retry in step. */
    private fun backoff(attempt: Int): Duration =
        (200.milliseconds * (1 shl attempt)) * random.nextDouble(0.5, 1.5)

    private suspend inline fun runCatchingTimeout(limit: Duration, crossinline block: suspend () -> Unit): Boolean =
        try {
            withTimeout(limit) { block() }
            true
        } catch (e: kotlinx.coroutines.TimeoutCancellationException) {
            currentCoroutineContext().ensureActive() // rethrows when the outer job was cancelled
            false
        }
}
