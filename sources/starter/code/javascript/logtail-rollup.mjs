#!/usr/bin/env node
// Summarise web access logs: requests, error share and latency percentiles per route.
//
//   node logtail-rollup.mjs access.log --by=route --top=10
//   zcat access.log.2.gz | node logtail-rollup.mjs - --by=status
//
// Expected line shape (fields separated by single spaces):
//   2031-03-04T09:15:02.113Z GET /orders/8812?expand=lines 200 41.7ms

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import process from 'node:process';

const LINE = /^(?<time>\S+) (?<method>[A-Z]+) (?<path>\S+) (?<status>\d{3}) (?<ms>\d+(?:\.\d+)?)ms$/;

/** Collapse identifiers so that /orders/8812 and /orders/9004 share a row. */
function routeOf(path) {
  return path
    .replace(/[?#].*$/, '')
    .split('/')
    .map((segment) => {
      if (/^\d+$/.test(segment)) return ':id';
      if (/^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(segment)) return ':uuid';
      return segment;
    })
    .join('/');
}

const GROUPINGS = {
  route: ({ method, path }) => `${method} ${routeOf(path)}`,
  status: ({ status }) => `${status[0]}xx`,
  minute: ({ time }) => time.slice(0, 16),
};

/**
 * Latency histogram with logarithmic buckets. Each bucket is 5 % wider than the
 * one below, so a reported percentile is off by at most about 2.5 %, while memory
 * stays constant no matter how many samples arrive.
 */
class LatencyHistogram {
  static #GROWTH = Math.log(1.05);
  #counts = new Map();
  count = 0;

  add(ms) {
    const bucket = Math.floor(Math.log(Math.max(ms, 0.01)) / LatencyHistogram.#GROWTH);
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + 1);
    this.count += 1;
  }

  percentile(p) {
    const rank = Math.ceil((p / 100) * this.count);
    let seen = 0;
    for (const [bucket, n] of [...this.#counts].sort(([a], [b]) => a - b)) {
      seen += n;
      if (seen >= rank) return Math.exp((bucket + 0.5) * LatencyHistogram.#GROWTH);
    }
    return Number.NaN;
  }
}

async function rollup(input, keyOf) {
  const groups = new Map();
  let malformed = 0;

  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    if (line === '') continue;
    const fields = LINE.exec(line)?.groups;
    if (!fields) {
      malformed += 1;
      continue;
    }
    const key = keyOf(fields);
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { key, errors: 0, latency: new LatencyHistogram() }));
    group.latency.add(Number(fields.ms));
    if (fields.status >= '500') group.errors += 1;
  }
  return { groups: [...groups.values()], malformed };
}

function printTable(rows) {
  const header = ['group', 'requests', '5xx', 'p50', 'p95', 'p99'];
  const cells = rows.map(({ key, errors, latency }) => [
    key,
    latency.count.toLocaleString('en-GB'),
    `${((100 * errors) / latency.count).toFixed(2)}%`,
    ...[50, 95, 99].map((p) => `${latency.percentile(p).toFixed(1)}ms`),
  ]);
  const widths = header.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row[column].length)));
  for (const row of [header, ...cells]) {
    const text = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]));
    process.stdout.write(`${text.join('  ').trimEnd()}\n`);
  }
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      by: { type: 'string', default: 'route' },
      top: { type: 'string', default: '20' },
    },
  });
  const keyOf = GROUPINGS[values.by];
  if (!keyOf || positionals.length !== 1) {
    process.stderr.write(`usage: logtail-rollup FILE|- [--by=${Object.keys(GROUPINGS).join('|')}] [--top=N]\n`);
    return 2;
  }

  const [file] = positionals;
  const input = file === '-' ? process.stdin : createReadStream(file, 'utf8');
  const { groups, malformed } = await rollup(input, keyOf);

  groups.sort((a, b) => b.latency.count - a.latency.count);
  printTable(groups.slice(0, Number(values.top)));
  if (malformed > 0) process.stderr.write(`${malformed} line(s) not understood\n`);
  return groups.length > 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`logtail-rollup: ${error.message}\n`);
  process.exitCode = 1;
}
