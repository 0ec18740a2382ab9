package;

using Lambda;

/** What a unit may decide to do; the scheduler only cares how long it takes. **/
enum Action {
	Strike(target:Unit, power:Int);
	Brace(?turns:Int);
	Chant(spell:String, beats:Int, effect:Unit -> Void, target:Unit);
	Wait;
}

enum abstract Stance(String) to String {
	var Ready = "ready";
	var Braced = "braced";
	var Chanting = "chanting";
	var Down = "down";
}

@:structInit
class Unit {
	public final name:String;
	public final side:Int;
	public final speed:Int;
	public var health:Int;
	public var stance:Stance = Ready;

	/** Time of the next move. Faster units come round more often. **/
	public var due:Float = 0;

	public var pending:Null<Action> = null;
	public final brain:(self:Unit, field:Array<Unit>) -> Action;

	public var standing(get, never):Bool;

	inline function get_standing()
		return health > 0;

	public function toString()
		return '$name ($health, $stance)';
}

/** What happened, for the log and for the animations. **/
enum Report {
	Hit(by:Unit, on:Unit, damage:Int);
	Began(by:Unit, spell:String);
	Cast(by:Unit, spell:String, on:Unit);
	Interrupted(who:Unit, spell:String);
	Fell(who:Unit);
	Won(side:Int);
}

/**
	Turn order of a battle on a continuous time line. Long actions are begun in one turn
	and take effect in a later one; a hit in between may interrupt them.
**/
class TurnOrder {
	static inline final TURN = 1000.0;

	public final units:Array<Unit>;
	public var now(default, null):Float = 0;

	final random:() -> Float;
	final listeners:Array<Report -> Void> = [];

	public function new(units:Array<Unit>, random:() -> Float) {
		this.units = units;
		this.random = random;
		for (unit in units)
			unit.due = TURN / unit.speed * (0.5 + random() / 2);
	}

	public function listen(listener:Report -> Void)
		listeners.push(listener);

	inline function report(what:Report)
		for (listener in listeners)
			listener(what);

	/** Who moves next, if nobody is slowed down or interrupted meanwhile. **/
	public function preview(count:Int):Array<Unit> {
		final clocks = [for (unit in units) if (unit.standing) {unit: unit, due: unit.due}];
		return [
			for (_ in 0...count) {
				clocks.sort((a, b) -> Reflect.compare(a.due, b.due));
				clocks[0].due += TURN / clocks[0].unit.speed;
				clocks[0].unit;
			}
		];
	}

	/** Plays one move; returns the winning side once there is one. **/
	public function step():Null<Int> {
		final unit = units.filter(u -> u.standing).fold((u, best) -> best == null || u.due < best.due ? u : best, null);
		now = unit.due;
		final action = unit.pending != null ? unit.pending : unit.brain(unit, units);
		unit.due += TURN / unit.speed;
		perform(unit, action);

		final sides = [for (u in units) if (u.standing) u.side => true];
		final left = [for (side in sides.keys()) side];
		if (left.length != 1)
			return null;
		report(Won(left[0]));
		return left[0];
	}

	function perform(unit:Unit, action:Action) {
		switch action {
			case Chant(spell, _, effect, target) if (unit.pending == action):
				unit.pending = null;
				unit.stance = Ready;
				report(Cast(unit, spell, target));
				effect(target);
			case Chant(spell, beats, _, _):
				unit.pending = action;
				unit.stance = Chanting;
				unit.due = now + beats * TURN / 10;
				report(Began(unit, spell));
			case Strike(target, power) if (target.standing):
				unit.stance = Ready;
				hurt(unit, target, Math.round(power * (0.85 + 0.3 * random())));
			case Brace(turns):
				unit.stance = Braced;
				if (turns != null)
					unit.due += turns * TURN / unit.speed;
			case Strike(_) | Wait:
				unit.stance = Ready;
		}
	}

	function hurt(by:Unit, target:Unit, amount:Int) {
		final damage = target.stance == Braced ? amount >> 1 : amount;
		target.health -= damage;
		report(Hit(by, target, damage));
		switch [target.standing, target.pending] {
			case [false, _]:
				target.stance = Down;
				report(Fell(target));
			case [true, Chant(spell, _)] if (damage * 4 > target.health):
				target.pending = null;
				target.stance = Ready;
				report(Interrupted(target, spell));
			case _:
		}
	}
}
