/**
 * Five-field cron expressions, evaluated in UTC.
 *
 * Supported syntax: `*`, lists (`1,5`), ranges (`9-17`), steps (`0-59/15`, `10-40/5`),
 * three-letter month and weekday names, and the shorthands `@hourly`, `@daily`,
 * `@weekly` and `@monthly`. Both 0 and 7 mean Sunday.
 *
 * As in classic Vixie cron, when day-of-month and day-of-week are both
 * restricted, a day matches if *either* of them does.
 */

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

const FIELDS = [
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day of month', min: 1, max: 31 },
  { name: 'month', min: 1, max: 12, names: MONTHS, nameBase: 1 },
  { name: 'day of week', min: 0, max: 7, names: WEEKDAYS, nameBase: 0 },
];

const SHORTHANDS = new Map([
  ['@hourly', '0 * * * *'],
  ['@daily', '0 0 * * *'],
  ['@weekly', '0 0 * * 0'],
  ['@monthly', '0 0 1 * *'],
]);

export class CronSyntaxError extends SyntaxError {
  constructor(message, field) {
    super(field ? `${field}: ${message}` : message);
    this.name = 'CronSyntaxError';
    this.field = field;
  }
}

function parseAtom(text, field) {
  const named = field.names?.indexOf(text.toLowerCase()) ?? -1;
  if (named >= 0) return named + field.nameBase;
  if (!/^\d{1,2}$/.test(text)) {
    throw new CronSyntaxError(`cannot read "${text}"`, field.name);
  }
  const value = Number(text);
  if (value < field.min || value > field.max) {
    throw new CronSyntaxError(`${value} is outside ${field.min}-${field.max}`, field.name);
  }
  return value;
}

function parseField(text, field) {
  const values = new Set();
  for (const part of text.split(',')) {
    const [range, stepText, ...extra] = part.split('/');
    if (extra.length > 0) throw new CronSyntaxError(`two steps in "${part}"`, field.name);

    const step = stepText === undefined ? 1 : Number.parseInt(stepText, 10);
    if (!(step > 0)) throw new CronSyntaxError(`bad step in "${part}"`, field.name);

    let low;
    let high;
    if (range === '*') {
      low = field.min;
      high = field.name === 'day of week' ? 6 : field.max;
    } else if (range.includes('-')) {
      [low, high] = range.split('-').map((bound) => parseAtom(bound, field));
      if (low > high) throw new CronSyntaxError(`range "${range}" runs backwards`, field.name);
    } else {
      low = parseAtom(range, field);
      high = stepText === undefined ? low : field.max;
    }
    for (let value = low; value <= high; value += step) {
      values.add(field.name === 'day of week' ? value % 7 : value);
    }
  }
  return values;
}

export class CronExpression {
  #minutes;
  #hours;
  #days;
  #months;
  #weekdays;
  #eitherDay;

  constructor(source) {
    const expanded = SHORTHANDS.get(source.trim().toLowerCase()) ?? source.trim();
    const parts = expanded.split(/\s+/);
    if (parts.length !== FIELDS.length) {
      throw new CronSyntaxError(`expected 5 fields, found ${parts.length}`);
    }
    [this.#minutes, this.#hours, this.#days, this.#months, this.#weekdays] =
      parts.map((part, index) => parseField(part, FIELDS[index]));
    this.#eitherDay = !parts[2].startsWith('*') && !parts[4].startsWith('*');
  }

  #matchesDay(date) {
    const byDate = this.#days.has(date.getUTCDate());
    const byWeekday = this.#weekdays.has(date.getUTCDay());
    return this.#eitherDay ? byDate || byWeekday : byDate && byWeekday;
  }

  /** First match strictly after `after`, or null if none exists within eight years. */
  next(after = new Date()) {
    const t = new Date(after);
    t.setUTCSeconds(0, 0);
    t.setUTCMinutes(t.getUTCMinutes() + 1);
    const limit = t.getUTCFullYear() + 8; // 29 February can be eight years away (1896, 1904)

    while (t.getUTCFullYear() <= limit) {
      if (!this.#months.has(t.getUTCMonth() + 1)) {
        t.setUTCMonth(t.getUTCMonth() + 1, 1);
        t.setUTCHours(0, 0);
      } else if (!this.#matchesDay(t)) {
        t.setUTCDate(t.getUTCDate() + 1);
        t.setUTCHours(0, 0);
      } else if (!this.#hours.has(t.getUTCHours())) {
        t.setUTCHours(t.getUTCHours() + 1, 0);
      } else if (!this.#minutes.has(t.getUTCMinutes())) {
        t.setUTCMinutes(t.getUTCMinutes() + 1);
      } else {
        return t;
      }
    }
    return null;
  }

  *occurrences(from) {
    for (let t = this.next(from); t !== null; t = this.next(t)) yield new Date(t);
  }
}
