package org.example.gliding

import java.time.Duration
import java.time.Instant
import java.time.LocalTime
import spock.lang.Narrative
import spock.lang.Shared
import spock.lang.Specification
import spock.lang.Subject
import spock.lang.Title
import spock.lang.Unroll

@Title('Flight log of the gliding club')
@Narrative('''
The launch marshal notes take-offs and landings under time pressure. Entries may be
late, doubled or forgotten; the log has to make the best of them and say what it did.
''')
class GliderLogSpec extends Specification {

    @Shared
    Instant morning = Instant.parse('2031-05-17T07:00:00Z')

    def weather = Stub(SunTimes) {
        sunset(_) >> LocalTime.of(20, 41)
    }
    def billing = Mock(Billing)

    @Subject
    def log = new GliderLog(weather, billing)

    private Instant at(String clock) {
        def (hours, minutes) = clock.split(':')*.toInteger()
        morning + Duration.ofHours(hours - 7).plusMinutes(minutes)
    }

    def 'a take-off and a landing make a flight'() {
        when:
        log.takeOff('D-1234', at('10:05'), pilot: 'Maren', launch: Launch.WINCH)
        log.landing('D-1234', at('10:17'))

        then:
        with(log.flights.first()) {
            duration == Duration.ofMinutes(12)
            pilot == 'Maren'
            launch == Launch.WINCH
            remarks.empty
        }
        1 * billing.charge('Maren', { it.minutes == 12 && it.launchFee == 6.50 })
        0 * billing._
    }

    def 'a second take-off without a landing closes the first flight with a guess'() {
        given: 'typical winch launches of seven minutes'
        [5, 7, 9].eachWithIndex { minutes, i ->
            log.takeOff('D-1234', at("0${7 + i}:00"), pilot: 'Ole', launch: Launch.WINCH)
            log.landing('D-1234', at("0${7 + i}:0$minutes"))
        }

        when:
        log.takeOff('D-1234', at('11:00'), pilot: 'Ole', launch: Launch.WINCH)
        log.takeOff('D-1234', at('11:30'), pilot: 'Ines', launch: Launch.WINCH)

        then: 'the median of the day fills the gap'
        def guessed = log.flights[3]
        guessed.duration == Duration.ofMinutes(7)
        guessed.remarks == ['landing estimated']

        and: 'an estimate is not billed before somebody confirms it'
        log.unconfirmed*.pilot == ['Ole']
    }

    @Unroll
    def 'entries #gap seconds apart count as #meaning'() {
        when:
        log.takeOff('D-7', at('12:00'), pilot: 'Ines', launch: Launch.TOW)
        log.takeOff('D-7', at('12:00').plusSeconds(gap), pilot: 'Ines', launch: Launch.TOW)

        then:
        log.airborne.size() + log.flights.size() == flights

        where:
        gap || flights | meaning
        0   || 1       | 'one entry, sent twice'
        59  || 1       | 'one entry, noted by two people'
        61  || 2       | 'two flights'
    }

    def 'whoever is still up half an hour before sunset is reported'() {
        given:
        log.takeOff('D-1', at('19:00'), pilot: 'Maren', launch: Launch.TOW)
        log.takeOff('D-2', at('19:10'), pilot: 'Ole', launch: Launch.TOW)
        log.landing('D-2', at('19:50'))

        expect:
        log.overdue(at(time))*.glider == overdue

        where:
        time    | overdue
        '20:10' | []
        '20:11' | ['D-1']
        '21:30' | ['D-1']
    }

    def 'a landing before the take-off is refused and changes nothing'() {
        given:
        log.takeOff('D-3', at('14:00'), pilot: 'Ole', launch: Launch.WINCH)

        when:
        log.landing('D-3', at('13:58'))

        then:
        def refused = thrown(ImplausibleEntry)
        refused.message.contains('13:58')
        log.airborne*.glider == ['D-3']
        0 * billing._
    }

    def 'trainees share the fee with the club, once a day'() {
        when:
        ['09:00', '10:00'].each {
            log.takeOff('D-9', at(it), pilot: 'Trainee', launch: Launch.WINCH, instructor: 'Maren')
            log.landing('D-9', at(it) + Duration.ofMinutes(6))
        }

        then: 'the first launch is free'
        1 * billing.charge('Trainee', { it.launchFee == 0 })

        then: 'and later ones are not'
        1 * billing.charge('Trainee', { it.launchFee == 6.50 })
    }
}
