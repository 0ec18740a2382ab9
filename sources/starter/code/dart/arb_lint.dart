/// Checks the translation files of an app against its template.
///
///     dart run tool/arb_lint.dart lib/l10n --template app_en.arb [--strict]
///
/// Reports missing and stale messages, placeholders that differ, plural forms that
/// a language needs but a translation lacks, and suspicious punctuation.
library;

import 'dart:convert';
import 'dart:io';

import 'package:args/args.dart';
import 'package:collection/collection.dart';
import 'package:path/path.dart' as p;

enum Severity {
  error('E'),
  warning('W');

  const Severity(this.letter);
  final String letter;
}

typedef Finding = ({String file, String key, Severity severity, String text});

/// Plural categories by language, as far as they go beyond "other".
const pluralForms = <String, Set<String>>{
  'en': {'one'},
  'de': {'one'},
  'fr': {'one', 'many'},
  'pl': {'one', 'few', 'many'},
  'uk': {'one', 'few', 'many'},
  'ar': {'zero', 'one', 'two', 'few', 'many'},
  'ja': {},
  'cy': {'zero', 'one', 'two', 'few', 'many'},
};

final _placeholder = RegExp(r'\{\s*(\w+)\s*[,}]');
final _plural = RegExp(r'\{\s*\w+\s*,\s*plural\s*,');

/// The names of the branches directly inside the first plural of [message]; `=1`
/// counts as "one" because translators use both.
Set<String> pluralBranches(String message) {
  final start = _plural.firstMatch(message)?.end;
  if (start == null) return const {};
  final branches = <String>{};
  var depth = 0;
  final word = StringBuffer();
  for (final rune in message.substring(start).runes) {
    switch (String.fromCharCode(rune)) {
      case '{':
        if (depth++ == 0) {
          branches.add(word.toString().trim());
          word.clear();
        }
      case '}':
        if (--depth < 0) return _named(branches);
      case final character when depth == 0:
        word.write(character);
    }
  }
  throw FormatException('unbalanced braces', message);
}

Set<String> _named(Set<String> branches) => branches
    .map((branch) => switch (branch) { '=0' => 'zero', '=1' => 'one', '=2' => 'two', _ => branch })
    .toSet();

class ArbFile {
  ArbFile._(this.name, this.locale, this.messages);

  factory ArbFile.read(File file) {
    final json = jsonDecode(file.readAsStringSync()) as Map<String, dynamic>;
    final name = p.basename(file.path);
    final locale = json['@@locale'] as String? ??
        p.basenameWithoutExtension(name).split('_').skip(1).join('_');
    return ArbFile._(name, locale, {
      for (final MapEntry(:key, :value) in json.entries)
        if (!key.startsWith('@') && value is String) key: value,
    });
  }

  final String name;
  final String locale;
  final Map<String, String> messages;

  String get language => locale.split(RegExp('[_-]')).first;
}

Iterable<Finding> compare(ArbFile template, ArbFile translation) sync* {
  Finding find(String key, Severity severity, String text) =>
      (file: translation.name, key: key, severity: severity, text: text);

  for (final MapEntry(:key, value: source) in template.messages.entries) {
    final target = translation.messages[key];
    if (target == null) {
      yield find(key, Severity.warning, 'not translated');
      continue;
    }
    Set<String> names(String text) => _placeholder.allMatches(text).map((m) => m[1]!).toSet();
    final expected = names(source);
    final actual = names(target);
    for (final name in actual.difference(expected)) {
      yield find(key, Severity.error, 'unknown placeholder {$name}');
    }
    for (final name in expected.difference(actual)) {
      yield find(key, Severity.warning, 'placeholder {$name} is not used');
    }

    try {
      final branches = pluralBranches(target);
      if (pluralBranches(source).isNotEmpty && branches.isNotEmpty) {
        if (!branches.contains('other')) yield find(key, Severity.error, 'plural lacks "other"');
        final missing = (pluralForms[translation.language] ?? const {}).difference(branches);
        if (missing.isNotEmpty) {
          yield find(key, Severity.warning, 'plural lacks ${missing.join(', ')}');
        }
      }
    } on FormatException catch (error) {
      yield find(key, Severity.error, error.message);
    }
    if (source.endsWith('…') != target.endsWith('…')) {
      yield find(key, Severity.warning, 'ellipsis differs from the template');
    }
  }
  for (final key in translation.messages.keys.where((k) => !template.messages.containsKey(k))) {
    yield find(key, Severity.warning, 'not in the template any more');
  }
}

void main(List<String> arguments) {
  final parser = ArgParser()
    ..addOption('template', defaultsTo: 'app_en.arb')
    ..addFlag('strict', help: 'Treat warnings as errors.', negatable: false);
  final options = parser.parse(arguments);
  final [directory] = options.rest;

  final files = Directory(directory).listSync().whereType<File>().where((f) => f.path.endsWith('.arb'));
  final template = ArbFile.read(File(p.join(directory, options.option('template'))));
  final findings = [
    for (final file in files.map(ArbFile.read))
      if (file.name != template.name) ...compare(template, file),
  ];
  for (final (:file, :key, :severity, :text) in findings.sortedBy((f) => '${f.file} ${f.key}')) {
    stdout.writeln('${severity.letter} $file: $key: $text');
  }
  final failed = findings.any((f) => f.severity == Severity.error || options.flag('strict'));
  exitCode = failed ? 1 : 0;
}
