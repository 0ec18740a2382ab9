//! colstat: running statistics for one numeric column of delimited text.
//!
//!     colstat -k 3 -d , < latencies.csv
//!
//! Uses an incremental update, so that a long stream of nearly equal values does
//! not lose its variance, and a fixed-size reservoir for the quantiles.

use std::env;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::str::FromStr;

#[derive(Debug, PartialEq)]
struct Options {
    column: usize,
    delimiter: char,
    strict: bool,
}

impl Options {
    fn parse<I: Iterator<Item = String>>(mut args: I) -> Result<Self, String> {
        fn value<T: FromStr>(flag: &str, raw: Option<String>) -> Result<T, String> {
            let raw = raw.ok_or_else(|| format!("{flag} needs a value"))?;
            raw.parse().map_err(|_| format!("{flag}: cannot use {raw:?}"))
        }

        let mut opts = Options { column: 1, delimiter: '\t', strict: false };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-k" => opts.column = value("-k", args.next())?,
                "-d" => opts.delimiter = value("-d", args.next())?,
                "--strict" => opts.strict = true,
                other => return Err(format!("unknown option {other}")),
            }
        }
        if opts.column == 0 {
            return Err("columns count from 1".into());
        }
        Ok(opts)
    }
}

/// Mean and variance in one pass.
#[derive(Default)]
struct Moments {
    n: u64,
    mean: f64,
    m2: f64,
}

impl Moments {
    fn push(&mut self, x: f64) {
        self.n += 1;
        let delta = x - self.mean;
        self.mean += delta / self.n as f64;
        self.m2 += delta * (x - self.mean);
    }

    fn std_dev(&self) -> Option<f64> {
        (self.n > 1).then(|| (self.m2 / (self.n - 1) as f64).sqrt())
    }
}

/// Keeps a uniform sample of at most `N` values (algorithm R).
struct Reservoir<const N: usize> {
    seen: u64,
    kept: Vec<f64>,
    state: u64,
}

impl<const N: usize> Reservoir<N> {
    fn new(seed: u64) -> Self {
        Self { seen: 0, kept: Vec::with_capacity(N), state: seed | 1 }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        ((u128::from(self.state) * u128::from(bound)) >> 64) as u64
    }

    fn push(&mut self, x: f64) {
        self.seen += 1;
        if self.kept.len() < N {
            self.kept.push(x);
            return;
        }
        let slot = self.below(self.seen) as usize;
        if let Some(old) = self.kept.get_mut(slot) {
            *old = x;
        }
    }

    fn quantiles<const Q: usize>(mut self, points: [f64; Q]) -> [f64; Q] {
        self.kept.sort_by(f64::total_cmp);
        let last = self.kept.len().saturating_sub(1) as f64;
        points.map(|p| self.kept[(p * last).round() as usize])
    }
}

fn run(opts: &Options, input: impl BufRead, mut out: impl Write) -> io::Result<u64> {
    let mut moments = Moments::default();
    let mut sample = Reservoir::<4096>::new(0x2545_f491_4f6c_dd1d);
    let mut skipped = 0;

    for (number, line) in input.lines().enumerate() {
        let line = line?;
        let field = line.split(opts.delimiter).nth(opts.column - 1);
        match field.and_then(|f| f.trim().parse::<f64>().ok()).filter(|x| x.is_finite()) {
            Some(x) => {
                moments.push(x);
                sample.push(x);
            }
            None if opts.strict => {
                let why = format!("line {}: no number in column {}", number + 1, opts.column);
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            None => skipped += 1,
        }
    }

    writeln!(out, "n\t{}\nskipped\t{skipped}", moments.n)?;
    if let Some(sd) = moments.std_dev() {
        let [p50, p95, p99] = sample.quantiles([0.50, 0.95, 0.99]);
        writeln!(out, "mean\t{:.6}\nsd\t{sd:.6}", moments.mean)?;
        writeln!(out, "p50\t{p50}\np95\t{p95}\np99\t{p99}")?;
    }
    Ok(moments.n)
}

fn main() -> ExitCode {
    let result = Options::parse(env::args().skip(1))
        .and_then(|o| run(&o, io::stdin().lock(), io::stdout().lock()).map_err(|e| e.to_string()));
    if let Err(why) = result {
        eprintln!("colstat: {why}");
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}
