/// A region quadtree with value semantics and structural sharing.
///
/// The tree is an indirect enum: copying it is free, and an insertion builds
/// new nodes only along one path from the root. That makes undo and snapshots
/// for a background thread trivial.

public struct Point: Hashable, Sendable {
    public var x, y: Double

    public init(x: Double, y: Double) {
        self.x = x
        self.y = y
    }

    func squaredDistance(to other: Point) -> Double {
        let dx = x - other.x, dy = y - other.y
        return dx * dx + dy * dy
    }
}

/// Half-open in both directions, so that quadrants do not overlap.
public struct Bounds: Hashable, Sendable {
    public var x: Range<Double>
    public var y: Range<Double>

    public init(x: Range<Double>, y: Range<Double>) {
        self.x = x
        self.y = y
    }

    public func contains(_ p: Point) -> Bool {
        x.contains(p.x) && y.contains(p.y)
    }

    public func intersects(_ other: Bounds) -> Bool {
        x.overlaps(other.x) && y.overlaps(other.y)
    }

    /// Zero for points inside.
    func squaredDistance(to p: Point) -> Double {
        let dx = max(x.lowerBound - p.x, 0, p.x - x.upperBound)
        let dy = max(y.lowerBound - p.y, 0, p.y - y.upperBound)
        return dx * dx + dy * dy
    }

    /// South-west, south-east, north-west, north-east.
    var quadrants: [Bounds] {
        let midX = (x.lowerBound + x.upperBound) / 2
        let midY = (y.lowerBound + y.upperBound) / 2
        let columns = [x.lowerBound..<midX, midX..<x.upperBound]
        let rows = [y.lowerBound..<midY, midY..<y.upperBound]
        return rows.flatMap { row in columns.map { Bounds(x: $0, y: row) } }
    }
}

public struct QuadTree<Value> {
    public typealias Element = (point: Point, value: Value)

    private indirect enum Node {
        case leaf([Element])
        case branch([Node])
    }

    public let bounds: Bounds
    public private(set) var count = 0
    private var root = Node.leaf([])
    private static var leafCapacity: Int { 8 }
    private static var maximumDepth: Int { 24 }

    public init(bounds: Bounds) {
        self.bounds = bounds
    }

    /// Returns false, changing nothing, for a point outside the bounds.
    @discardableResult
    public mutating func insert(_ value: Value, at point: Point) -> Bool {
        guard bounds.contains(point) else { return false }
        root = Self.inserting((point, value), into: root, bounds, depth: 0)
        count += 1
        return true
    }

    private static func inserting(
        _ element: Element, into node: Node, _ bounds: Bounds, depth: Int
    ) -> Node {
        switch node {
        case .leaf(let elements)
        where elements.count < leafCapacity || depth == maximumDepth:
            return .leaf(elements + [element])

        case .leaf(let elements):
            // Split, then send everything down again.
            let empty = Node.branch(Array(repeating: .leaf([]), count: 4))
            return (elements + [element]).reduce(empty) { branch, e in
                inserting(e, into: branch, bounds, depth: depth)
            }

        case .branch(var children):
            let quadrants = bounds.quadrants
            guard let at = quadrants.firstIndex(where: { $0.contains(element.point) }) else {
                preconditionFailure("the quadrants cover their parent")
            }
            children[at] = inserting(element, into: children[at], quadrants[at], depth: depth + 1)
            return .branch(children)
        }
    }

    /// Visits all elements inside the area, in no particular order.
    public func forEach(in area: Bounds, _ body: (Element) throws -> Void) rethrows {
        var pending = [(root, bounds)]
        while let (node, region) = pending.popLast() {
            guard region.intersects(area) else { continue }
            switch node {
            case .leaf(let elements):
                for element in elements where area.contains(element.point) {
                    try body(element)
                }
            case .branch(let children):
                pending.append(contentsOf: zip(children, region.quadrants))
            }
        }
    }

    /// The closest element, by branch and bound.
    public func nearest(to target: Point) -> Element? {
        var best: (element: Element, distance: Double)?

        func visit(_ node: Node, _ region: Bounds) {
            if let best, region.squaredDistance(to: target) >= best.distance { return }
            switch node {
            case .leaf(let elements):
                for element in elements {
                    let distance = element.point.squaredDistance(to: target)
                    if distance < best?.distance ?? .infinity {
                        best = (element, distance)
                    }
                }
            case .branch(let children):
                // Near quadrants first: they tighten the bound for the rest.
                let order = zip(children, region.quadrants).sorted {
                    $0.1.squaredDistance(to: target) < $1.1.squaredDistance(to: target)
                }
                for (child, quadrant) in order { visit(child, quadrant) }
            }
        }

        visit(root, bounds)
        return best?.element
    }
}
