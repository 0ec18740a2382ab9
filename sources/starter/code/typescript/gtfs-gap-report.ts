#!/usr/bin/env -S node --experimental-strip-types
/**
 * Reports long gaps in a public-transport timetable.
 *
 *   gtfs-gap-report stop_times.txt trips.txt --from 06:00 --to 22:00 --gap 30
 *
 * Reads two tables of a GTFS feed, groups departures by route, direction and stop,
 * and prints every pair of consecutive departures that are further apart than the
 * limit. Times past midnight (25:10:00) belong to the previous service day.
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

type Row<C extends string> = Readonly<Record<C, string>>;

/** Splits one CSV record; quoted fields may hold commas and doubled quotes. */
function splitRecord(line: string): string[] {
  const fields: string[] = [];
  let field = "";
  let quoted = false;
  for (let i = 0; i < line.length; i++) {
    const ch = line[i];
    if (quoted) {
      if (ch !== '"') field += ch;
      else if (line[i + 1] === '"') { field += '"'; i++; }
      else quoted = false;
    } else if (ch === '"') quoted = true;
    else if (ch === ",") { fields.push(field); field = ""; }
    else field += ch;
  }
  fields.push(field);
  return fields;
}

async function* readTable<const C extends readonly string[]>(
  file: string,
  columns: C,
): AsyncGenerator<Row<C[number]>> {
  const lines = createInterface({ input: createReadStream(file, "utf8"), crlfDelay: Infinity });
  let positions: number[] | null = null;
  for await (const line of lines) {
    const fields = splitRecord(positions ? line : line.replace(/^\uFEFF/, ""));
    if (!positions) {
      positions = columns.map((column) => {
        const index = fields.indexOf(column);
        if (index < 0) throw new Error(`${file}: column ${column} is missing`);
        return index;
      });
    } else if (line !== "") {
      const cells = columns.map((column, i) => [column, fields[positions![i]!] ?? ""]);
      yield Object.fromEntries(cells) as Row<C[number]>;
    }
  }
}

function toMinutes(clock: string): number {
  const match = /^\s*(\d{1,2}):([0-5]\d)(?::[0-5]\d)?$/.exec(clock);
  if (!match) throw new Error(`"${clock}" is not a time`);
  return Number(match[1]) * 60 + Number(match[2]);
}

const toClock = (minutes: number): string =>
  `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;

interface Gap {
  readonly line: string;
  readonly stop: string;
  readonly from: number;
  readonly to: number;
}

/** The window's own edges count: a first bus at 09:00 leaves a gap from 06:00. */
function* gapsIn(line: string, stop: string, departures: number[], window: Window): Generator<Gap> {
  const inside = departures.filter((t) => t >= window.from && t <= window.to).sort((a, b) => a - b);
  let previous = window.from;
  for (const next of [...inside, window.to]) {
    if (next - previous > window.gap) yield { line, stop, from: previous, to: next };
    previous = next;
  }
}

interface Window {
  readonly from: number;
  readonly to: number;
  readonly gap: number;
}

async function main(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      from: { type: "string", default: "06:00" },
      to: { type: "string", default: "22:00" },
      gap: { type: "string", default: "30" },
      service: { type: "string", multiple: true },
    },
  });
  const [stopTimesFile, tripsFile] = positionals;
  if (!stopTimesFile || !tripsFile) {
    console.error("usage: gtfs-gap-report STOP_TIMES TRIPS [--from HH:MM] [--to HH:MM] [--gap MIN] [--service ID]...");
    return 2;
  }
  const window: Window = {
    from: toMinutes(values.from),
    to: toMinutes(values.to),
    gap: Number(values.gap),
  };
  const services = values.service && new Set(values.service);

  const lineOfTrip = new Map<string, string>();
  for await (const trip of readTable(tripsFile, ["trip_id", "route_id", "service_id", "direction_id"])) {
    if (services && !services.has(trip.service_id)) continue;
    lineOfTrip.set(trip.trip_id, `${trip.route_id} ${trip.direction_id === "1" ? "inbound" : "outbound"}`);
  }

  const departures = new Map<string, Map<string, number[]>>();
  for await (const call of readTable(stopTimesFile, ["trip_id", "stop_id", "departure_time"])) {
    const line = lineOfTrip.get(call.trip_id);
    if (line === undefined || call.departure_time === "") continue; // untimed stops carry no time
    const stops = departures.get(line) ?? new Map<string, number[]>();
    departures.set(line, stops);
    const times = stops.get(call.stop_id) ?? [];
    stops.set(call.stop_id, times);
    times.push(toMinutes(call.departure_time));
  }

  const gaps = [...departures].flatMap(([line, stops]) =>
    [...stops].flatMap(([stop, times]) => [...gapsIn(line, stop, times, window)]));
  gaps.sort((a, b) => b.to - b.from - (a.to - a.from) || a.line.localeCompare(b.line));
  for (const { line, stop, from, to } of gaps) {
    console.log(`${String(to - from).padStart(4)} min  ${toClock(from)}-${toClock(to)}  ${line}  ${stop}`);
  }
  return gaps.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
