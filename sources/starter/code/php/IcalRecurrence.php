<?php

declare(strict_types=1);

namespace Calendar\Recurrence;

use DateInterval, DateTimeImmutable, DateTimeZone;
use Generator;
use InvalidArgumentException;

enum Frequency: string
{
    case Daily = 'DAILY';
    case Weekly = 'WEEKLY';
    case Monthly = 'MONTHLY';

    public function step(int $interval): DateInterval
    {
        return new DateInterval(match ($this) {
            self::Daily => "P{$interval}D",
            self::Weekly => 'P' . 7 * $interval . 'D',
            self::Monthly => "P{$interval}M",
        });
    }
}

/** A weekday, with an optional ordinal: "-1FR" is the last Friday of the month. */
final readonly class WeekdayRule
{
    private const DAYS = ['MO' => 1, 'TU' => 2, 'WE' => 3, 'TH' => 4, 'FR' => 5, 'SA' => 6, 'SU' => 7];

    private function __construct(public int $isoDay, public int $ordinal) {}

    public static function parse(string $text): self
    {
        if (preg_match('/^([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)$/', $text, $m) !== 1) {
            throw new InvalidArgumentException("\"$text\" is not a BYDAY entry");
        }
        return new self(self::DAYS[$m[2]], (int) $m[1]);
    }

    public function matches(DateTimeImmutable $day): bool
    {
        if ((int) $day->format('N') !== $this->isoDay) {
            return false;
        }
        $date = (int) $day->format('j');
        return match ($this->ordinal <=> 0) {
            0 => true,
            1 => intdiv($date - 1, 7) + 1 === $this->ordinal,
            -1 => intdiv((int) $day->format('t') - $date, 7) + 1 === -$this->ordinal,
        };
    }
}

/**
 * The part of RFC 5545 recurrence rules that calendars exchange in practice:
 * FREQ, INTERVAL, COUNT, UNTIL, BYDAY and BYMONTHDAY.
 *
 * Wall-clock time is kept across daylight-saving changes, because every
 * occurrence is computed from a local date and only then placed in its zone.
 */
final readonly class RecurrenceRule
{
    private function __construct(
        public Frequency $frequency,
        public int $interval,
        public ?int $count,
        public ?DateTimeImmutable $until,
        /** @var list<WeekdayRule> */
        public array $byDay,
        /** @var list<int> negative values count from the end of the month */
        public array $byMonthDay,
    ) {}

    public static function parse(string $rule): self
    {
        $parts = [];
        foreach (explode(';', strtoupper($rule)) as $pair) {
            [$key, $value] = explode('=', $pair, 2) + [1 => ''];
            $parts[$key] = $value;
        }
        if (isset($parts['COUNT'], $parts['UNTIL'])) {
            throw new InvalidArgumentException('COUNT and UNTIL exclude each other');
        }
        $list = static fn (string $key): array => isset($parts[$key]) ? explode(',', $parts[$key]) : [];

        return new self(
            frequency: Frequency::tryFrom($parts['FREQ'] ?? '')
                ?? throw new InvalidArgumentException('FREQ is missing or not supported'),
            interval: max(1, (int) ($parts['INTERVAL'] ?? 1)),
            count: isset($parts['COUNT']) ? (int) $parts['COUNT'] : null,
            until: isset($parts['UNTIL']) ? new DateTimeImmutable($parts['UNTIL'], new DateTimeZone('UTC')) : null,
            byDay: array_map(WeekdayRule::parse(...), $list('BYDAY')),
            byMonthDay: array_map(intval(...), $list('BYMONTHDAY')),
        );
    }

    /** @return Generator<int, DateTimeImmutable> endless when the rule has neither COUNT nor UNTIL */
    public function occurrences(DateTimeImmutable $start): Generator
    {
        $period = match ($this->frequency) {
            Frequency::Daily => $start,
            Frequency::Weekly => $start->modify('monday this week'),
            Frequency::Monthly => $start->modify('first day of this month'),
        };
        $period = $period->setTime((int) $start->format('H'), (int) $start->format('i'));

        for ($emitted = 0; ; $period = $period->add($this->frequency->step($this->interval))) {
            foreach ($this->candidates($period, $start) as $occurrence) {
                if ($emitted === $this->count || ($this->until !== null && $occurrence > $this->until)) {
                    return;
                }
                $occurrence >= $start && yield $emitted++ => $occurrence;
            }
        }
    }

    private function candidates(DateTimeImmutable $period, DateTimeImmutable $start): Generator
    {
        $length = match ($this->frequency) {
            Frequency::Daily => 1,
            Frequency::Weekly => 7,
            Frequency::Monthly => (int) $period->format('t'),
        };
        for ($offset = 0; $offset < $length; $offset++) {
            $day = $period->modify("+$offset days");
            $this->includes($day, $start) && yield $day;
        }
    }

    private function includes(DateTimeImmutable $day, DateTimeImmutable $start): bool
    {
        $dayOfMonth = (int) $day->format('j');
        $fromEnd = $dayOfMonth - (int) $day->format('t') - 1;
        $wanted = $this->byMonthDay;
        if ($wanted !== [] && !array_intersect([$dayOfMonth, $fromEnd], $wanted)) {
            return false;
        }
        if ($this->byDay !== []) {
            return array_filter($this->byDay, static fn ($rule) => $rule->matches($day)) !== [];
        }
        return match ($this->frequency) {
            Frequency::Daily => true,
            Frequency::Weekly => $day->format('N') === $start->format('N'),
            Frequency::Monthly => $wanted !== [] || $day->format('j') === $start->format('j'),
        };
    }
}
