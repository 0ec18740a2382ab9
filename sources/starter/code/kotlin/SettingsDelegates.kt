package org.example.settings

import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardCopyOption.ATOMIC_MOVE
import java.nio.file.StandardCopyOption.REPLACE_EXISTING
import java.util.Properties
import kotlin.properties.PropertyDelegateProvider
import kotlin.properties.ReadOnlyProperty
import kotlin.properties.ReadWriteProperty
import kotlin.reflect.KProperty
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes

/** Converts between a property and its text in the file. */
interface Codec<T> {
    fun decode(text: String): T
    fun encode(value: T): String = value.toString()
}

fun <T> codec(decode: (String) -> T): Codec<T> = object : Codec<T> {
    override fun decode(text: String) = decode(text)
}

inline fun <reified E : Enum<E>> enumCodec(): Codec<E> = codec { text ->
    enumValues<E>().firstOrNull { it.name.equals(text, ignoreCase = true) }
        ?: error("'$text' is none of ${enumValues<E>().joinToString { it.name.lowercase() }}")
}

class InvalidSetting(key: String, cause: Throwable) : Exception("setting '$key': ${cause.message}", cause)

fun interface Subscription : AutoCloseable

/**
 * Base of a settings object whose properties live in a file.
 *
 * The delegates register themselves when the object is built, so unknown keys in
 * the file and invalid values are found at start-up and not on first use.
 */
abstract class Settings(private val file: Path) {
    private val store = Properties()
    private val known = linkedMapOf<String, () -> Unit>()
    private val listeners = mutableMapOf<String, MutableList<() -> Unit>>()

    init {
        if (Files.exists(file)) Files.newBufferedReader(file).use(store::load)
    }

    /** Call at the end of the subclass: reports every problem at once. */
    protected fun validateAll() {
        val problems = known.values.mapNotNull { check -> runCatching(check).exceptionOrNull()?.message } +
            store.stringPropertyNames().minus(known.keys).map { "setting '$it' is unknown${suggestion(it)}" }
        require(problems.isEmpty()) { problems.joinToString("\n", prefix = "$file:\n") }
    }

    protected fun <T> setting(
        default: T,
        codec: Codec<T>,
        check: (T) -> Boolean = { true },
    ): PropertyDelegateProvider<Settings, ReadWriteProperty<Settings, T>> = PropertyDelegateProvider { _, property ->
        val key = property.name.toKey()
        Stored(key, default, codec, check).also { stored -> known[key] = { stored.read() } }
    }

    protected fun int(default: Int, range: IntRange) = setting(default, codec(String::toInt)) { it in range }
    protected fun text(default: String) = setting(default, codec { it })
    protected fun flag(default: Boolean) = setting(default, codec(String::toBooleanStrict))
    protected fun duration(default: Duration) = setting(default, codec(Duration::parse)) { it.isPositive() }

    /** Derived from others; recomputed only after one of them has changed. */
    protected fun <T : Any> derived(vararg sources: KProperty<*>, compute: () -> T): ReadOnlyProperty<Settings, T> {
        var cached: T? = null
        sources.forEach { source -> onChange(source) { cached = null } }
        return ReadOnlyProperty { _, _ -> cached ?: compute().also { cached = it } }
    }

    fun onChange(property: KProperty<*>, action: () -> Unit): Subscription {
        val list = listeners.getOrPut(property.name.toKey()) { mutableListOf() }
        list += action
        return Subscription { list -= action }
    }

    /** Several changes, one write. Nothing is stored when `block` throws. */
    fun edit(block: Settings.() -> Unit) {
        val before = store.clone() as Properties
        try {
            batching = true
            block()
            save()
        } catch (e: Exception) {
            store.clear()
            store.putAll(before)
            throw e
        } finally {
            batching = false
        }
    }

    private var batching = false

    private fun save() {
        val temporary = Files.createTempFile(file.toAbsolutePath().parent, "settings", ".part")
        Files.newBufferedWriter(temporary).use { store.store(it, null) }
        Files.move(temporary, file, ATOMIC_MOVE, REPLACE_EXISTING)
    }

    private fun suggestion(key: String): String =
        known.keys.firstOrNull { it.filter(Char::isLetter).equals(key.filter(Char::isLetter), ignoreCase = true) }
            ?.let { ", did you mean '$it'?" }.orEmpty()

    private inner class Stored<T>(
        private val key: String,
        private val default: T,
        private val codec: Codec<T>,
        private val check: (T) -> Boolean,
    ) : ReadWriteProperty<Settings, T> {
        fun read(): T = try {
            store.getProperty(key)?.let(codec::decode)?.also { require(check(it)) { "$it is out of range" } } ?: default
        } catch (e: RuntimeException) {
            throw InvalidSetting(key, e)
        }

        override fun getValue(thisRef: Settings, property: KProperty<*>): T = read()

        override fun setValue(thisRef: Settings, property: KProperty<*>, value: T) {
            require(check(value)) { "setting '$key': $value is out of range" }
            if (value == default) store.remove(key) else store.setProperty(key, codec.encode(value))
            if (!batching) save()
            listeners[key]?.toList()?.forEach { it() }
        }
    }

    /** `maxOpenFiles` is written as `max-open-files` in the file. */
    private fun String.toKey() = replace(Regex("[A-Z]")) { "-" + it.value.lowercase() }
}

enum class Theme { LIGHT, DARK, SYSTEM }

class EditorSettings(file: Path) : Settings(file) {
    var tabWidth: Int by int(default = 4, range = 1..16)
    var autoSave: Boolean by flag(default = true)
    var autoSaveEvery: Duration by duration(default = 5.minutes)
    var theme: Theme by setting(Theme.SYSTEM, enumCodec())
    val indent: String by derived(::tabWidth) { " ".repeat(tabWidth) }

    init {
        validateAll()
    }
}
