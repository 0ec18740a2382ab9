# frozen_string_literal: true

require "bigdecimal"
require "csv"
require "fileutils"
require "json"
require "rake/clean"

# Turns the bank's CSV exports into one journal per month.
#
#   rake journal             build every month that has new exports
#   rake journal:check       fail if a journal does not balance
#   rake "export:move[~/Downloads]"
#
# exports/2031-04-giro.csv  ->  build/parsed/2031-04-giro.json  ->  journals/2031-04.journal

EXPORTS = FileList["exports/*.csv"]
PARSED = EXPORTS.pathmap("%{^exports,build/parsed}X.json")
MONTHS = EXPORTS.map { |path| File.basename(path)[/\A\d{4}-\d{2}/] }.compact.uniq.sort

CLEAN.include("build")
CLOBBER.include("journals/*.journal")

# First match wins; the catch-all keeps unknown lines visible in reports.
ACCOUNT_RULES = [
  [/\b(supermarket|grocer|bakery)\b/i, "expenses:food"],
  [/\bstadtwerke|power co\b/i, "expenses:household:energy"],
  [/\bsalary|payroll\b/i, "income:salary"],
  [/\brent\b/i, "expenses:household:rent"],
  [/\batm|cash withdrawal\b/i, "assets:cash"],
  [//, "unknown"],
].freeze

directory "build/parsed"
directory "journals"

def parse_amount(text)
  # "-1.234,50": points group the thousands, the comma is the decimal separator.
  BigDecimal(text.delete(".").tr(",", "."))
rescue ArgumentError
  raise "amount #{text.inspect} cannot be read"
end

def account_for(text)
  ACCOUNT_RULES.find { |pattern, _| pattern.match?(text) }.last
end

rule %r{\Abuild/parsed/.+\.json\z} => [
  ->(target) { target.pathmap("%{^build/parsed,exports}X.csv") },
  "build/parsed",
] do |t|
  account = "assets:bank:#{File.basename(t.source, '.csv').split('-', 3).last}"
  rows = CSV.read(t.source, headers: true, col_sep: ";", encoding: "ISO-8859-1:UTF-8")
  entries = rows.each.with_index(2).map do |row, line|
    {
      date: row.fetch("booked on"),
      payee: row.fetch("counterparty").to_s.squeeze(" ").strip,
      amount: parse_amount(row.fetch("amount")).to_s("F"),
      from: account,
      to: account_for("#{row['counterparty']} #{row['purpose']}"),
    }
  rescue KeyError, RuntimeError => e
    abort "#{t.source}:#{line}: #{e.message}"
  end
  File.write(t.name, JSON.pretty_generate(entries))
end

MONTHS.each do |month|
  sources = PARSED.select { |path| File.basename(path).start_with?(month) }

  file "journals/#{month}.journal" => [*sources, "journals"] do |t|
    entries = sources.flat_map { |path| JSON.parse(File.read(path), symbolize_names: true) }
    # A transfer between own accounts shows up in both exports; keep one side.
    entries = entries.uniq { |e| [e[:date], e[:payee], BigDecimal(e[:amount]).abs] }

    File.open(t.name, "w") do |journal|
      entries.sort_by { |e| [e[:date], e[:payee]] }.each do |e|
        amount = BigDecimal(e[:amount])
        journal.puts <<~ENTRY
          #{e[:date]} #{e[:payee]}
              #{e[:from].ljust(40)}  #{format('%.2f', amount)} EUR
              #{e[:to].ljust(40)}  #{format('%.2f', -amount)} EUR

        ENTRY
      end
    end
    puts "#{t.name}: #{entries.size} entries"
  end
end

desc "Build the journals of all months"
task journal: MONTHS.map { |month| "journals/#{month}.journal" }

namespace :journal do
  desc "Verify that every transaction sums to zero"
  task check: :journal do
    failures = FileList["journals/*.journal"].flat_map do |path|
      File.read(path).split("\n\n").filter_map do |transaction|
        amounts = transaction.scan(/(-?\d+\.\d{2}) EUR$/).flatten.map { |a| BigDecimal(a) }
        "#{path}: #{transaction.lines.first.chomp}" unless amounts.sum.zero?
      end
    end
    abort "Unbalanced:\n#{failures.join("\n")}" unless failures.empty?
  end

  desc "List payees that no rule covers, most frequent first"
  task unknown: PARSED do
    entries = PARSED.flat_map { |path| JSON.parse(File.read(path)) }
    tally = entries.select { |e| e["to"] == "unknown" }.map { |e| e["payee"] }.tally
    tally.sort_by { |payee, n| [-n, payee] }.each { |payee, n| puts format("%4d  %s", n, payee) }
  end
end

namespace :export do
  desc "Move fresh downloads into exports/"
  task :move, [:from] do |_, args|
    args.with_defaults(from: File.join(Dir.home, "Downloads"))
    FileList[File.join(File.expand_path(args.from), "[0-9]*-[0-9]*-*.csv")].each do |path|
      FileUtils.mv(path, "exports/", verbose: true)
    end
  end
end

task default: "journal:check"
