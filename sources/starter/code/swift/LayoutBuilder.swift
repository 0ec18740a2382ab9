/// Fixed-width text reports described with a result builder.
///
///     let report = Report(width: 40) {
///         Heading("Stock")
///         for item in items {
///             Row(item.name, "\(item.count)")
///             if item.count < item.minimum { "reorder soon" }
///         }
///         Rule()
///     }
///     print(report.render())

protocol Block {
    /// The lines of this block, none wider than `width`.
    func lines(width: Int) -> [String]
}

@resultBuilder
enum BlockBuilder {
    static func buildExpression(_ block: some Block) -> [any Block] { [block] }
    static func buildExpression(_ text: String) -> [any Block] { [Paragraph(text)] }
    static func buildBlock(_ parts: [any Block]...) -> [any Block] { parts.flatMap { $0 } }
    static func buildArray(_ parts: [[any Block]]) -> [any Block] { parts.flatMap { $0 } }
    static func buildOptional(_ part: [any Block]?) -> [any Block] { part ?? [] }
    static func buildEither(first part: [any Block]) -> [any Block] { part }
    static func buildEither(second part: [any Block]) -> [any Block] { part }
}

struct Report: Block {
    let width: Int
    private let blocks: [any Block]

    init(width: Int, @BlockBuilder content: () -> [any Block]) {
        precondition(width >= 8, "a report needs at least eight columns")
        self.width = width
        blocks = content()
    }

    func lines(width: Int) -> [String] {
        blocks.flatMap { $0.lines(width: width) }
    }

    func render() -> String {
        lines(width: width).joined(separator: "\n")
    }
}

struct Heading: Block {
    let title: String

    init(_ title: String) {
        self.title = title
    }

    func lines(width: Int) -> [String] {
        let text = String(title.uppercased().prefix(width))
        return [text, String(repeating: "=", count: text.count)]
    }
}

struct Rule: Block {
    func lines(width: Int) -> [String] { [String(repeating: "-", count: width)] }
}

/// Left and right text on one line, joined by dots.
struct Row: Block {
    let left, right: String

    init(_ left: String, _ right: String) {
        self.left = left
        self.right = right
    }

    func lines(width: Int) -> [String] {
        let value = String(right.prefix(width - 4))
        let room = width - value.count - 2
        guard left.count > room else {
            let dots = String(repeating: ".", count: room - left.count)
            return ["\(left) \(dots) \(value)"]
        }
        // Too long: the label wraps and the value goes with its last line.
        var wrapped = Paragraph(left).lines(width: room)
        let last = wrapped.removeLast()
        return wrapped + Row(last, right).lines(width: width)
    }
}

struct Paragraph: Block {
    let text: String

    init(_ text: String) {
        self.text = text
    }

    func lines(width: Int) -> [String] {
        var lines: [String] = []
        var current = ""
        for var word in text.split(whereSeparator: \.isWhitespace) {
            if !current.isEmpty, current.count + 1 + word.count > width {
                lines.append(current)
                current = ""
            }
            while word.count > width {
                lines.append(String(word.prefix(width)))
                word = word.dropFirst(width)
            }
            current += current.isEmpty ? String(word) : " \(word)"
        }
        if !current.isEmpty { lines.append(current) }
        return lines
    }
}

/// Indents whatever it contains.
struct Inset: Block {
    let depth: Int
    private let blocks: [any Block]

    init(by depth: Int = 2, @BlockBuilder content: () -> [any Block]) {
        self.depth = depth
        blocks = content()
    }

    func lines(width: Int) -> [String] {
        let margin = String(repeating: " ", count: depth)
        return blocks
            .flatMap { $0.lines(width: max(1, width - depth)) }
            .map { margin + $0 }
    }
}

extension Block {
    /// A frame around the block, four columns wider than its content.
    func boxed() -> some Block { Boxed(content: self) }
}

private struct Boxed<Content: Block>: Block {
    let content: Content

    func lines(width: Int) -> [String] {
        let inner = content.lines(width: width - 4)
        let edge = "+" + String(repeating: "-", count: width - 2) + "+"
        let body = inner.map { line in
            "| " + line + String(repeating: " ", count: width - 4 - line.count) + " |"
        }
        return [edge] + body + [edge]
    }
}
