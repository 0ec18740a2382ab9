import { Injectable, NotFoundException, type OnModuleInit } from "@nestjs/common";

export type LocalDate = `${number}-${number}-${number}`;
export type ClockTime = `${number}:${number}`;

/** ISO weekday: Monday is 1, Sunday is 7. */
export type Weekday = 1 | 2 | 3 | 4 | 5 | 6 | 7;

export interface Interval {
  readonly opens: ClockTime;
  /** At or before `opens` means closing after midnight. */
  readonly closes: ClockTime;
}

export interface Season {
  readonly from: LocalDate;
  readonly until: LocalDate;
  readonly week: Readonly<Partial<Record<Weekday, readonly Interval[]>>>;
}

export interface Branch {
  readonly id: string;
  readonly timeZone: string;
  readonly seasons: readonly Season[];
  /** Overrides whole days; an empty list closes the branch. */
  readonly exceptions: ReadonlyMap<LocalDate, { intervals: readonly Interval[]; reason: string }>;
}

export abstract class BranchRepository {
  abstract findAll(): Promise<readonly Branch[]>;
}

export type OpenState =
  | { readonly open: true; readonly closesAt: ClockTime; readonly minutesLeft: number }
  | { readonly open: false; readonly reason?: string };

interface LocalMoment {
  readonly date: LocalDate;
  readonly weekday: Weekday;
  readonly minute: number;
}

const MINUTES_PER_DAY = 24 * 60;

function minuteOfDay(clock: ClockTime): number {
  const [hours = 0, minutes = 0] = clock.split(":").map(Number);
  return hours * 60 + minutes;
}

/** Calendar arithmetic on plain dates, free of any time zone. */
function shiftDate(date: LocalDate, days: number): LocalDate {
  const shifted = new Date(`${date}T00:00:00Z`);
  shifted.setUTCDate(shifted.getUTCDate() + days);
  return shifted.toISOString().slice(0, 10) as LocalDate;
}

function weekdayOf(date: LocalDate): Weekday {
  return (new Date(`${date}T00:00:00Z`).getUTCDay() || 7) as Weekday;
}

@Injectable()
export class OpeningHoursService implements OnModuleInit {
  private branches = new Map<string, Branch>();
  private readonly formatters = new Map<string, Intl.DateTimeFormat>();

  constructor(private readonly repository: BranchRepository) {}

  async onModuleInit(): Promise<void> {
    const branches = await this.repository.findAll();
    for (const branch of branches) this.assertSeasonsDisjoint(branch);
    this.branches = new Map(branches.map((branch) => [branch.id, branch]));
  }

  stateAt(branchId: string, instant: Date): OpenState {
    const branch = this.branches.get(branchId);
    if (!branch) throw new NotFoundException(`Unknown branch ${branchId}`);
    const now = this.localMoment(branch.timeZone, instant);

    // Yesterday's late opening may still be running.
    const yesterday = shiftDate(now.date, -1);
    for (const [date, offset] of [[yesterday, MINUTES_PER_DAY], [now.date, 0]] as const) {
      for (const { opens, closes } of this.intervalsOn(branch, date)) {
        const start = minuteOfDay(opens);
        const span = (minuteOfDay(closes) - start + MINUTES_PER_DAY) % MINUTES_PER_DAY || MINUTES_PER_DAY;
        const elapsed = now.minute + offset - start;
        if (elapsed >= 0 && elapsed < span) {
          return { open: true, closesAt: closes, minutesLeft: span - elapsed };
        }
      }
    }
    const reason = branch.exceptions.get(now.date)?.reason;
    return reason === undefined ? { open: false } : { open: false, reason };
  }

  /** The next date, from `date` on, on which the branch opens at all. */
  nextOpenDate(branchId: string, date: LocalDate, horizonDays = 120): LocalDate | null {
    const branch = this.branches.get(branchId);
    if (!branch) throw new NotFoundException(`Unknown branch ${branchId}`);
    for (let days = 0; days <= horizonDays; days++) {
      const candidate = shiftDate(date, days);
      if (this.intervalsOn(branch, candidate).length > 0) return candidate;
    }
    return null;
  }

  private intervalsOn(branch: Branch, date: LocalDate): readonly Interval[] {
    const exception = branch.exceptions.get(date);
    if (exception) return exception.intervals;
    // ISO dates sort as text.
    const season = branch.seasons.find(({ from, until }) => from <= date && date <= until);
    return season?.week[weekdayOf(date)] ?? [];
  }

  private localMoment(timeZone: string, instant: Date): LocalMoment {
    let formatter = this.formatters.get(timeZone);
    if (!formatter) {
      formatter = new Intl.DateTimeFormat("en-CA", {
        timeZone, hourCycle: "h23",
        year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
      });
      this.formatters.set(timeZone, formatter); // building one is expensive
    }
    const parts = Object.fromEntries(formatter.formatToParts(instant).map((p) => [p.type, p.value]));
    const date = `${parts.year}-${parts.month}-${parts.day}` as LocalDate;
    return { date, weekday: weekdayOf(date), minute: Number(parts.hour) * 60 + Number(parts.minute) };
  }

  private assertSeasonsDisjoint({ id, seasons }: Branch): void {
    const ordered = [...seasons].sort((a, b) => a.from.localeCompare(b.from));
    ordered.forEach((season, i) => {
      const next = ordered[i + 1];
      if (season.until < season.from || (next && next.from <= season.until)) {
        throw new Error(`Branch ${id}: season from ${season.from} is reversed or overlaps the next`);
      }
    });
  }
}
