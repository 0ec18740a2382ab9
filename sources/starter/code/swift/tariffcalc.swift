#!/usr/bin/env swift
// tariffcalc: what would last month's power consumption have cost?
//
//     tariffcalc tariffs.json < readings.csv
//
// Readings are "2024-03-01T14:00,0.382": local time and kilowatt-hours. Each
// tariff has time bands; a band may wrap around midnight and apply to
// weekends only. Codable does the reading, a custom decoder the checking.

import Foundation

struct ClockTime: Comparable, Decodable {
    let minutes: Int

    init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":").compactMap { Int($0) }
        guard parts.count == 2, (0...24).contains(parts[0]), (0..<60).contains(parts[1]),
              parts[0] < 24 || parts[1] == 0
        else { return nil }
        minutes = parts[0] * 60 + parts[1]
    }

    init(from decoder: Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let time = ClockTime(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "\"\(text)\" is not a time of day")
        }
        self = time
    }

    static func < (a: ClockTime, b: ClockTime) -> Bool { a.minutes < b.minutes }
}

struct Band: Decodable {
    enum Days: String, Decodable {
        case all, weekdays, weekend
    }

    let from, to: ClockTime
    let days: Days
    let centsPerKWh: Double

    private enum CodingKeys: String, CodingKey {
        case from, to, days
        case centsPerKWh = "cents"
    }

    init(from decoder: Decoder) throws {
        let c = try decoder.container(keyedBy: CodingKeys.self)
        from = try c.decode(ClockTime.self, forKey: .from)
        to = try c.decode(ClockTime.self, forKey: .to)
        days = try c.decodeIfPresent(Days.self, forKey: .days) ?? .all
        centsPerKWh = try c.decode(Double.self, forKey: .centsPerKWh)
    }

    func applies(at time: ClockTime, weekend: Bool) -> Bool {
        switch days {
        case .weekdays where weekend, .weekend where !weekend: return false
        default: break
        }
        return from < to ? from <= time && time < to : from <= time || time < to
    }
}

struct Tariff: Decodable {
    let name: String
    let monthlyFeeCents: Double
    let bands: [Band]

    /// The first band that applies wins.
    func price(at time: ClockTime, weekend: Bool) -> Double? {
        bands.first { $0.applies(at: time, weekend: weekend) }?.centsPerKWh
    }
}

struct Reading {
    let time: ClockTime
    let weekend: Bool
    let kWh: Double

    init(line: String, calendar: Calendar, parser: DateFormatter) throws {
        let fields = line.split(separator: ",")
        guard fields.count == 2,
              let date = parser.date(from: String(fields[0])),
              let kWh = Double(fields[1]), kWh >= 0,
              let time = ClockTime(fields[0].suffix(5))
        else { throw Failure.badReading(line) }
        self.time = time
        self.kWh = kWh
        weekend = calendar.isDateInWeekend(date)
    }
}

enum Failure: Error, CustomStringConvertible {
    case usage
    case badReading(String)
    case uncovered(tariff: String, minutes: Int)

    var description: String {
        switch self {
        case .usage: return "usage: tariffcalc TARIFFS.json < READINGS.csv"
        case .badReading(let line): return "cannot read \"\(line)\""
        case let .uncovered(tariff, minutes):
            let time = String(format: "%02d:%02d", minutes / 60, minutes % 60)
            return "\(tariff) has no price at \(time)"
        }
    }
}

func run() throws {
    guard CommandLine.arguments.count == 2 else { throw Failure.usage }
    let file = URL(fileURLWithPath: CommandLine.arguments[1])
    let tariffs = try JSONDecoder().decode([Tariff].self, from: Data(contentsOf: file))

    let parser = DateFormatter()
    parser.locale = Locale(identifier: "en_US_POSIX")
    parser.dateFormat = "yyyy-MM-dd'T'HH:mm"
    let calendar = Calendar(identifier: .gregorian)
    var readings: [Reading] = []
    while let line = readLine() {
        readings.append(try Reading(line: line, calendar: calendar, parser: parser))
    }

    let costs = try tariffs.map { tariff in
        try readings.reduce(into: (tariff.name, tariff.monthlyFeeCents)) { sum, reading in
            guard let price = tariff.price(at: reading.time, weekend: reading.weekend) else {
                throw Failure.uncovered(tariff: tariff.name, minutes: reading.time.minutes)
            }
            sum.1 += price * reading.kWh
        }
    }
    for (name, cents) in costs.sorted(by: { $0.1 < $1.1 }) {
        print(String(format: "%10.2f  ", cents / 100) + name)
    }
}

do {
    try run()
} catch {
    FileHandle.standardError.write(Data("tariffcalc: \(error)\n".utf8))
    exit(1)
}
