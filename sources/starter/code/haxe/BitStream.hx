package;

import haxe.io.Bytes;
import haxe.io.BytesBuffer;
import haxe.io.Eof;

/** Quantised numbers for game state that is sent twenty times per second. **/
class BitWriter {
	final buffer = new BytesBuffer();
	var scratch = 0;
	var filled = 0;

	public function new() {}

	public var bitLength(get, never):Int;

	inline function get_bitLength()
		return buffer.length * 8 + filled;

	/** The lowest `count` bits of `value`, least significant first. **/
	public function bits(value:Int, count:Int) {
		while (count > 0) {
			final take = count < 8 - filled ? count : 8 - filled;
			scratch |= (value & ((1 << take) - 1)) << filled;
			filled += take;
			value >>>= take;
			count -= take;
			if (filled == 8) {
				buffer.addByte(scratch);
				scratch = filled = 0;
			}
		}
	}

	public inline function flag(value:Bool)
		bits(value ? 1 : 0, 1);

	/** Small numbers in few bits: groups of three, each with a bit for "more". **/
	public function count(value:Int) {
		do {
			bits(value, 3);
			value >>>= 3;
			flag(value != 0);
		} while (value != 0);
	}

	/** Signed numbers fold to 0, -1, 1, -2, 2 and so on, as deltas are mostly small. **/
	public inline function delta(value:Int)
		count((value << 1) ^ (value >> 31));

	public function unit(value:Float, precision:Int) {
		final steps = (1 << precision) - 1;
		bits(Math.round(Math.max(0, Math.min(1, value)) * steps), precision);
	}

	public function text(value:String) {
		final bytes = Bytes.ofString(value);
		count(bytes.length);
		for (i in 0...bytes.length)
			bits(bytes.get(i), 8);
	}

	public function finish():Bytes {
		if (filled > 0)
			buffer.addByte(scratch);
		scratch = filled = 0;
		return buffer.getBytes();
	}
}

class BitReader {
	final bytes:Bytes;
	var position = 0;

	public function new(bytes:Bytes)
		this.bytes = bytes;

	public function bits(count:Int):Int {
		if (position + count > bytes.length * 8)
			throw new Eof();
		var value = 0;
		var got = 0;
		while (got < count) {
			final offset = position & 7;
			final take = count - got < 8 - offset ? count - got : 8 - offset;
			value |= ((bytes.get(position >> 3) >> offset) & ((1 << take) - 1)) << got;
			got += take;
			position += take;
		}
		return value;
	}

	public inline function flag():Bool
		return bits(1) == 1;

	public function count():Int {
		var value = 0;
		var shift = 0;
		do {
			value |= bits(3) << shift;
			shift += 3;
			if (shift > 33)
				throw "a count does not end";
		} while (flag());
		return value;
	}

	public inline function delta():Int {
		final folded = count();
		return (folded >>> 1) ^ -(folded & 1);
	}

	public inline function unit(precision:Int):Float
		return bits(precision) / ((1 << precision) - 1);

	public function text():String {
		final length = count();
		final buffer = new BytesBuffer();
		for (_ in 0...length)
			buffer.addByte(bits(8));
		return buffer.getBytes().toString();
	}
}

class BitStream {
	static function main() {
		final writer = new BitWriter();
		final deltas = [0, -1, 1, 17, -300, 2147483647, -2147483648];
		for (delta in deltas)
			writer.delta(delta);
		writer.unit(0.7071, 10);
		writer.text("Ærø, 12 kn");
		writer.flag(true);
		final size = writer.bitLength;

		final reader = new BitReader(writer.finish());
		for (expected in deltas) {
			final found = reader.delta();
			if (found != expected)
				throw '$found instead of $expected';
		}
		if (Math.abs(reader.unit(10) - 0.7071) > 0.0005)
			throw "too coarse";
		Sys.println('${reader.text()} in $size bits, flag ${reader.flag()}');
	}
}
