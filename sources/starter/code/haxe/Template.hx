package;

import haxe.macro.Context;
import haxe.macro.Expr;

using Lambda;
using StringTools;

/** A stretch of a template, with its place in the source. **/
typedef Piece = {
	final offset:Int;
	final length:Int;
	final content:Content;
}

enum Content {
	Literal(text:String);
	Value(name:String, filters:Array<String>);
	Plural(name:String, one:String, many:String);
	Malformed(problem:String);
}

/**
	Message templates that are checked while the program compiles.

	`Template.render("Hello, {name:upper}! {count} new {count|message|messages}.")` looks up
	`name` and `count` among the variables at the call. A name that does not exist there
	is a compiler error that points into the string.
**/
class Template {
	/** Turns a literal template into an expression of type `String`. **/
	macro public static function render(template:ExprOf<String>):ExprOf<String> {
		final source = switch template.expr {
			case EConst(CString(text)): text;
			case _: Context.error("The template must be a literal", template.pos);
		}
		final start = Context.getPosInfos(template.pos);
		var result = macro "";
		for (piece in parse(source)) {
			// One more for the quotation mark in front.
			final min = start.min + 1 + piece.offset;
			final pos = Context.makePosition({file: start.file, min: min, max: min + piece.length});
			final next = switch piece.content {
				case Literal(text):
					macro $v{text};
				case Value(name, filters):
					final value = filters.fold((filter, value) -> applyFilter(filter, value, pos), variable(name, pos));
					macro @:pos(pos) Std.string($value);
				case Plural(name, one, many):
					macro @:pos(pos) (${variable(name, pos)} == 1 ? $v{one} : $v{many});
				case Malformed(problem):
					Context.error(problem, pos);
			}
			result = macro $result + $next;
		}
		return result;
	}

	static function variable(path:String, pos:Position):Expr {
		final names = path.split(".");
		final first:Expr = {expr: EConst(CIdent(names[0])), pos: pos};
		return names.slice(1).fold((name, target) -> {expr: EField(target, name), pos: pos}, first);
	}

	static function applyFilter(name:String, value:Expr, pos:Position):Expr {
		return switch name {
			case "upper": macro @:pos(pos) Std.string($value).toUpperCase();
			case "trim": macro @:pos(pos) StringTools.trim(Std.string($value));
			case "html": macro @:pos(pos) StringTools.htmlEscape(Std.string($value), true);
			case _: Context.error('No filter is called "$name"', pos);
		}
	}

	/** Cuts a template into literals and tags; "{{" stands for a brace. **/
	public static function parse(source:String):Array<Piece> {
		final pieces:Array<Piece> = [];
		var i = 0;
		var rest = source;
		while (rest.length > 0) {
			final open = rest.indexOf("{");
			if (open < 0) {
				pieces.push({offset: i, length: rest.length, content: Literal(rest)});
				break;
			}
			if (open > 0) {
				pieces.push({offset: i, length: open, content: Literal(rest.substr(0, open))});
			}
			i += open;
			rest = rest.substr(open);
			if (rest.startsWith("{{")) {
				pieces.push({offset: i, length: 2, content: Literal("{")});
				i += 2;
				rest = rest.substr(2);
				continue;
			}
			final close = rest.indexOf("}");
			if (close < 0) {
				pieces.push({offset: i, length: rest.length, content: Malformed("This brace is never closed")});
				break;
			}
			pieces.push({offset: i, length: close + 1, content: tag(rest.substring(1, close))});
			i += close + 1;
			rest = rest.substr(close + 1);
		}
		return pieces;
	}

	static function tag(text:String):Content {
		final path = ~/^[a-z_]\w*(\.\w+)*$/i;
		final plural = text.split("|").map(StringTools.trim);
		if (plural.length > 1) {
			return switch plural {
				case [name, one, many] if (path.match(name)): Plural(name, one, many);
				case _: Malformed("Write {number|singular|plural}");
			}
		}
		final words = text.split(":").map(StringTools.trim);
		return path.match(words[0]) ? Value(words[0], words.slice(1)) : Malformed('"${words[0]}" is not a variable');
	}
}
