package org.example.dns

import java.net.InetAddress
import java.nio.BufferUnderflowException
import java.nio.ByteBuffer

/** A domain name as a list of labels, compared without regard to case. */
@JvmInline
value class DomainName private constructor(private val text: String) {
    val labels: List<String> get() = if (text.isEmpty()) emptyList() else text.split('.')

    fun isUnder(zone: DomainName): Boolean =
        labels.size >= zone.labels.size && labels.takeLast(zone.labels.size) == zone.labels

    override fun toString() = "$text."

    companion object {
        fun of(labels: List<String>) = DomainName(labels.joinToString(".") { it.lowercase() })
        fun parse(text: String) = of(text.removeSuffix(".").split('.').filter(String::isNotEmpty))
    }
}

enum class ResponseCode { NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NAME_ERROR, NOT_IMPLEMENTED, REFUSED, OTHER }

sealed interface RecordData {
    data class Address(val address: InetAddress) : RecordData
    data class Alias(val target: DomainName) : RecordData
    data class NameServer(val host: DomainName) : RecordData
    data class MailExchange(val preference: Int, val host: DomainName) : RecordData
    data class Text(val strings: List<String>) : RecordData
    class Unknown(val type: Int, val bytes: ByteArray) : RecordData {
        override fun toString() = "TYPE$type \\# ${bytes.size} " + bytes.joinToString("") { "%02x".format(it) }
    }
}

data class Question(val name: DomainName, val type: Int)
data class ResourceRecord(val name: DomainName, val ttl: Long, val data: RecordData)

data class DnsMessage(
    val id: Int,
    val isResponse: Boolean,
    val authoritative: Boolean,
    val truncated: Boolean,
    val code: ResponseCode,
    val questions: List<Question>,
    val answers: List<ResourceRecord>,
    val authority: List<ResourceRecord>,
    val additional: List<ResourceRecord>,
) {
    /** Follows aliases in the answer section, at most as often as there are answers. */
    fun addressesFor(name: DomainName): List<InetAddress> {
        val aliases = answers.mapNotNull { r -> (r.data as? RecordData.Alias)?.let { r.name to it.target } }.toMap()
        val canonical = generateSequence(name) { aliases[it] }.take(answers.size + 1).last()
        return answers.filter { it.name == canonical }.mapNotNull { (it.data as? RecordData.Address)?.address }
    }

    companion object {
        fun decode(packet: ByteArray): Result<DnsMessage> = runCatching {
            try {
                WireReader(ByteBuffer.wrap(packet)).message()
            } catch (e: BufferUnderflowException) {
                throw MalformedMessage("packet ends early", e)
            }
        }

        fun query(id: Int, name: DomainName, type: Int): ByteArray = ByteBuffer.allocate(512).run {
            putShort(id.toShort()).putShort(0x0100) // recursion desired
            putShort(1).putShort(0).putShort(0).putShort(0)
            for (label in name.labels) {
                val bytes = label.encodeToByteArray()
                require(bytes.size in 1..63) { "label '$label' is not 1 to 63 bytes long" }
                put(bytes.size.toByte()).put(bytes)
            }
            put(0)
            putShort(type.toShort())
            putShort(1) // class IN
            array().copyOf(position())
        }
    }
}

class MalformedMessage(reason: String, cause: Throwable? = null) : Exception(reason, cause)

private class WireReader(private val buffer: ByteBuffer) {
    private fun u8() = buffer.get().toInt() and 0xFF
    private fun u16() = buffer.getShort().toInt() and 0xFFFF
    private fun u32() = buffer.getInt().toLong() and 0xFFFF_FFFFL
    private fun bytes(n: Int) = ByteArray(n).also { buffer.get(it) }

    fun message(): DnsMessage {
        val id = u16()
        val flags = u16()
        fun flag(bit: Int) = flags shr bit and 1 == 1
        val (questions, answers, authority, additional) = List(4) { u16() }
        return DnsMessage(
            id = id,
            isResponse = flag(15),
            authoritative = flag(10),
            truncated = flag(9),
            code = ResponseCode.entries.getOrElse(flags and 0xF) { ResponseCode.OTHER },
            questions = List(questions) { Question(name(), u16()).also { u16() } },
            answers = List(answers) { record() },
            authority = List(authority) { record() },
            additional = List(additional) { record() },
        )
    }

    /** Reads a possibly compressed name. Pointers must go backwards, so loops end. */
    private fun name(): DomainName {
        val labels = mutableListOf<String>()
        var resume = -1
        var lowest = buffer.position()
        while (true) {
            val length = u8()
            when {
                length == 0 -> break
                length < 0x40 -> labels += bytes(length).decodeToString()
                length >= 0xC0 -> {
                    val target = (length and 0x3F shl 8) or u8()
                    if (target >= lowest) throw MalformedMessage("compression pointer goes forward")
                    if (resume < 0) resume = buffer.position()
                    lowest = target
                    buffer.position(target)
                }
                else -> throw MalformedMessage("reserved label type 0x%02x".format(length))
            }
        }
        if (resume >= 0) buffer.position(resume)
        return DomainName.of(labels)
    }

    private fun record(): ResourceRecord {
        val owner = name()
        val type = u16()
        u16() // class
        val ttl = u32()
        val end = u16() + buffer.position()
        val data = when (type) {
            1, 28 -> RecordData.Address(InetAddress.getByAddress(bytes(end - buffer.position())))
            2 -> RecordData.NameServer(name())
            5 -> RecordData.Alias(name())
            15 -> RecordData.MailExchange(u16(), name())
            16 -> RecordData.Text(buildList { while (buffer.position() < end) add(bytes(u8()).decodeToString()) })
            else -> RecordData.Unknown(type, bytes(end - buffer.position()))
        }
        if (buffer.position() != end) throw MalformedMessage("record data of type $type has the wrong length")
        return ResourceRecord(owner, ttl, data)
    }
}
