package;

import haxe.ds.IntMap;
import haxe.ds.Vector;

/** Anything with a bounding circle can be put into the hash. **/
typedef Round = {
	var x(default, null):Float;
	var y(default, null):Float;
	var radius(default, null):Float;
}

/** Packs two signed 16-bit cell coordinates into one map key. **/
abstract Cell(Int) to Int {
	public inline function new(column:Int, row:Int) {
		this = (column & 0xFFFF) << 16 | (row & 0xFFFF);
	}

	public var column(get, never):Int;
	public var row(get, never):Int;

	inline function get_column():Int
		return this >> 16;

	inline function get_row():Int
		return (this << 16) >> 16;

	@:op(A == B) static function same(a:Cell, b:Cell):Bool;
}

/**
	A uniform grid over an unbounded plane, for finding collisions among many bodies of
	about the same size. Cells are as wide as the widest body, so that a body can only
	touch others in its own cell and the eight around it.
**/
class SpatialHash<T:Round> {
	public final cellSize:Float;

	final cells = new IntMap<Array<T>>();

	/** Emptied arrays wait here; a frame without them would allocate thousands. **/
	final spare:Array<Array<T>> = [];

	public var length(default, null) = 0;

	public function new(cellSize:Float) {
		if (cellSize <= 0)
			throw new haxe.exceptions.ArgumentException("cellSize", "must be positive");
		this.cellSize = cellSize;
	}

	inline function cellAt(x:Float, y:Float):Cell
		return new Cell(Math.floor(x / cellSize), Math.floor(y / cellSize));

	public function rebuild(bodies:Iterable<T>) {
		for (bucket in cells) {
			bucket.resize(0);
			spare.push(bucket);
		}
		cells.clear();
		length = 0;
		for (body in bodies) {
			final cell = cellAt(body.x, body.y);
			var bucket = cells.get(cell);
			if (bucket == null) {
				bucket = spare.length > 0 ? spare.pop() : [];
				cells.set(cell, bucket);
			}
			bucket.push(body);
			length++;
		}
	}

	/** Calls `visit` once for every pair that overlaps. **/
	public function eachPair(visit:(T, T) -> Void) {
		for (key => bucket in cells) {
			for (i in 0...bucket.length) {
				final a = bucket[i];
				for (j in i + 1...bucket.length)
					if (overlap(a, bucket[j]))
						visit(a, bucket[j]);
			}
			// Half of the neighbours suffice: the other half looks back at this cell.
			final column = key >> 16;
			final row = (key << 16) >> 16;
			for (offset in HALF) {
				final other = cells.get(new Cell(column + offset[0], row + offset[1]));
				if (other == null)
					continue;
				for (a in bucket)
					for (b in other)
						if (overlap(a, b))
							visit(a, b);
			}
		}
	}

	static final HALF:Array<Vector<Int>> = [for (p in [[1, 0], [1, 1], [0, 1], [-1, 1]]) Vector.fromArrayCopy(p)];

	/** The body nearest to a point within `reach`, or null. **/
	public function nearest(x:Float, y:Float, reach:Float):Null<T> {
		var best:Null<T> = null;
		var bestDistance = reach * reach;
		final low = cellAt(x - reach, y - reach);
		final high = cellAt(x + reach, y + reach);
		for (row in low.row...high.row + 1) {
			for (column in low.column...high.column + 1) {
				final bucket = cells.get(new Cell(column, row));
				if (bucket == null)
					continue;
				for (body in bucket) {
					final dx = body.x - x, dy = body.y - y;
					final distance = dx * dx + dy * dy;
					if (distance <= bestDistance) {
						best = body;
						bestDistance = distance;
					}
				}
			}
		}
		return best;
	}

	static inline function overlap(a:Round, b:Round):Bool {
		final dx = a.x - b.x, dy = a.y - b.y, reach = a.radius + b.radius;
		return dx * dx + dy * dy < reach * reach;
	}
}
