/// Three-way merging of field records that were edited offline on two devices.
///
/// Given the last state both sides shared, fields changed on one side only are
/// taken over; fields changed on both become conflicts unless a rule settles them.
library;

import 'package:collection/collection.dart';

typedef Record = Map<String, Object?>;

/// The outcome for one field.
sealed class FieldMerge<T> {
  const FieldMerge();
}

final class Settled<T> extends FieldMerge<T> {
  const Settled(this.value, {this.because = 'unchanged'});

  final T value;
  final String because;
}

final class Conflict<T> extends FieldMerge<T> {
  const Conflict({required this.base, required this.mine, required this.theirs});

  final T? base;
  final T? mine;
  final T? theirs;

  @override
  String toString() => 'base: $base, mine: $mine, theirs: $theirs';
}

/// Decides what to do when both sides changed a field. Returning [Conflict] leaves
/// the decision to a person.
typedef MergeRule = FieldMerge<Object?> Function(Object? base, Object? mine, Object? theirs);

abstract final class Rules {
  /// Counters add up: two people who each count three more birds saw six.
  static FieldMerge<Object?> sum(Object? base, Object? mine, Object? theirs) => switch ((base, mine, theirs)) {
        (final num b, final num m, final num t) => Settled(m + t - b, because: 'both increments'),
        (null, final num m, final num t) => Settled(m + t, because: 'both counts'),
        _ => Conflict(base: base, mine: mine, theirs: theirs),
      };

  /// Sets keep what either side added and drop what either side removed.
  static FieldMerge<Object?> union(Object? base, Object? mine, Object? theirs) {
    if ((mine, theirs) case (final List<Object?> m, final List<Object?> t)) {
      final before = {...?base as List<Object?>?};
      final merged = {
        for (final item in {...before, ...m, ...t})
          if (before.contains(item) ? m.contains(item) && t.contains(item) : true) item,
      };
      return Settled(merged.toList(), because: 'additions and removals of both');
    }
    return Conflict(base: base, mine: mine, theirs: theirs);
  }

  static FieldMerge<Object?> earliest(Object? base, Object? mine, Object? theirs) =>
      switch ((mine, theirs)) {
        (final String m, final String t) =>
          Settled(m.compareTo(t) <= 0 ? m : t, because: 'the earlier date'),
        _ => Conflict(base: base, mine: mine, theirs: theirs),
      };

  /// Text changed in different paragraphs merges; overlapping edits do not.
  static FieldMerge<Object?> paragraphs(Object? base, Object? mine, Object? theirs) {
    if ((base, mine, theirs) case (final String b, final String m, final String t)) {
      final [before, left, right] = [for (final text in [b, m, t]) text.split('\n\n')];
      if (before.length == left.length && before.length == right.length) {
        final merged = <String>[];
        for (final [was, mine, theirs] in IterableZip([before, left, right])) {
          if (mine != was && theirs != was && mine != theirs) {
            return Conflict(base: base, mine: m, theirs: t);
          }
          merged.add(mine == was ? theirs : mine);
        }
        return Settled(merged.join('\n\n'), because: 'different paragraphs');
      }
    }
    return Conflict(base: base, mine: mine, theirs: theirs);
  }
}

final class MergeResult {
  const MergeResult(this.fields);

  final Map<String, FieldMerge<Object?>> fields;

  bool get isClean => conflicts.isEmpty;

  Map<String, Conflict<Object?>> get conflicts => {
        for (final MapEntry(:key, :value) in fields.entries)
          if (value is Conflict<Object?>) key: value,
      };

  /// The merged record; throws if a conflict has no entry in [decisions].
  Record resolve([Record decisions = const {}]) => {
        for (final MapEntry(:key, :value) in fields.entries)
          key: switch (value) {
            Settled(:final value) => value,
            Conflict() when decisions.containsKey(key) => decisions[key],
            Conflict() => throw StateError('no decision for "$key" ($value)'),
          },
      };
}

class RecordMerger {
  const RecordMerger({this.rules = const {}});

  final Map<String, MergeRule> rules;

  static const _same = DeepCollectionEquality();

  MergeResult merge({required Record base, required Record mine, required Record theirs}) {
    final names = {...base.keys, ...mine.keys, ...theirs.keys};
    return MergeResult({
      for (final name in names) name: _field(name, base[name], mine[name], theirs[name]),
    });
  }

  FieldMerge<Object?> _field(String name, Object? base, Object? mine, Object? theirs) {
    final mineChanged = !_same.equals(base, mine);
    final theirsChanged = !_same.equals(base, theirs);
    return switch ((mineChanged, theirsChanged)) {
      (false, false) => Settled(base),
      (true, false) => Settled(mine, because: 'changed here'),
      (false, true) => Settled(theirs, because: 'changed there'),
      (true, true) when _same.equals(mine, theirs) => Settled(mine, because: 'same change'),
      (true, true) => rules[name]?.call(base, mine, theirs) ??
          Conflict<Object?>(base: base, mine: mine, theirs: theirs),
    };
  }
}

/// The rules for bird surveys.
const surveyMerger = RecordMerger(rules: {
  'count': Rules.sum,
  'species_seen': Rules.union,
  'first_seen_at': Rules.earliest,
  'remarks': Rules.paragraphs,
});
