import XCTest

/// Placeholders in route templates: `/trips/{id}/stops/{index:int}`.
struct RouteTemplate: Equatable {
    enum Segment: Equatable {
        case literal(String)
        case text(name: String)
        case integer(name: String)
    }

    enum ParseError: Error, Equatable {
        case unclosedBrace(String)
        case unknownType(String)
        case duplicateName(String)
    }

    let segments: [Segment]

    init(_ template: String) throws {
        var names: Set<String> = []
        segments = try template.split(separator: "/").map { part in
            guard part.hasPrefix("{") else { return .literal(String(part)) }
            guard part.hasSuffix("}") else { throw ParseError.unclosedBrace(String(part)) }

            let pieces = part.dropFirst().dropLast().split(separator: ":", maxSplits: 1)
            let name = String(pieces.first ?? "")
            guard names.insert(name).inserted else { throw ParseError.duplicateName(name) }
            switch pieces.count > 1 ? pieces[1] : "text" {
            case "text": return .text(name: name)
            case "int": return .integer(name: name)
            case let other: throw ParseError.unknownType(String(other))
            }
        }
    }

    func match(_ path: String) -> [String: String]? {
        let parts = path.split(separator: "/")
        guard parts.count == segments.count else { return nil }
        var values: [String: String] = [:]
        for (segment, part) in zip(segments, parts) {
            switch segment {
            case .literal(let text):
                guard text == part else { return nil }
            case .text(let name):
                guard let decoded = String(part).removingPercentEncoding else { return nil }
                values[name] = decoded
            case .integer(let name):
                guard Int(part) != nil else { return nil }
                values[name] = String(part)
            }
        }
        return values
    }
}

final class PatternMatcherTests: XCTestCase {
    private var trips: RouteTemplate!

    override func setUpWithError() throws {
        trips = try RouteTemplate("/trips/{id}/stops/{index:int}")
    }

    func testExtractsNamedValues() throws {
        let values = try XCTUnwrap(trips.match("/trips/IC-402/stops/7"))
        XCTAssertEqual(values, ["id": "IC-402", "index": "7"])
    }

    func testDecodesPercentEscapesInTextOnly() throws {
        let values = try XCTUnwrap(trips.match("/trips/Z%C3%BCrich%20HB/stops/0"))
        XCTAssertEqual(values["id"], "Zürich HB")
        XCTAssertNil(trips.match("/trips/x/stops/%37"))
    }

    func testIgnoresTrailingSlash() {
        XCTAssertNotNil(trips.match("/trips/a/stops/1/"))
    }

    func testRejectsPathsThatDoNotFit() {
        let misfits = [
            "/trips/a/stops": "too short",
            "/trips/a/stops/1/2": "too long",
            "/trips/a/stop/1": "wrong literal",
            "/trips/a/stops/one": "not an integer",
            "/trips/%E0%A4/stops/1": "broken escape",
        ]
        for (path, reason) in misfits {
            XCTContext.runActivity(named: reason) { _ in
                XCTAssertNil(trips.match(path), path)
            }
        }
    }

    func testReportsMalformedTemplates() {
        assertParseError("/a/{id", .unclosedBrace("{id"))
        assertParseError("/{n:float}", .unknownType("float"))
        assertParseError("/{a}/x/{a:int}", .duplicateName("a"))
    }

    func testRootMatchesItselfOnly() throws {
        let root = try RouteTemplate("/")
        XCTAssertEqual(root.match(""), [:])
        XCTAssertNil(root.match("/x"))
    }

    func testLiteralTemplatesMatchThemselves() throws {
        var generator = SystemRandomNumberGenerator()
        let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789-_")
        for _ in 0..<200 {
            let path = (0..<Int.random(in: 1...5, using: &generator)).map { _ in
                "/" + String((0..<4).map { _ in letters.randomElement(using: &generator)! })
            }.joined()
            XCTAssertEqual(try RouteTemplate(path).match(path), [:], path)
        }
    }

    func testMatchingSpeed() {
        let path = "/trips/IC-402/stops/7"
        measure {
            for _ in 0..<10_000 { _ = trips.match(path) }
        }
    }

    private func assertParseError(
        _ template: String,
        _ expected: RouteTemplate.ParseError,
        file: StaticString = #filePath,
        line: UInt = #line
    ) {
        XCTAssertThrowsError(try RouteTemplate(template), file: file, line: line) { error in
            XCTAssertEqual(error as? RouteTemplate.ParseError, expected, file: file, line: line)
        }
    }
}
