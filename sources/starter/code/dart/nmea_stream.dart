/// Reads NMEA 0183 sentences from a GPS receiver and turns them into fixes.
///
///     final fixes = port.stream.transform(const NmeaDecoder()).fixes();
///     await for (final fix in fixes) { ... }
library;

import 'dart:async';
import 'dart:convert';

/// A sentence whose checksum was right; [fields] exclude talker and type.
final class Sentence {
  const Sentence(this.talker, this.type, this.fields);

  final String talker;
  final String type;
  final List<String> fields;

  String? operator [](int index) =>
      index < fields.length && fields[index].isNotEmpty ? fields[index] : null;
}

enum FixQuality { none, gps, differential, pps, rtk, floatRtk, estimated, manual, simulated }

final class Fix {
  const Fix({
    required this.time,
    required this.latitude,
    required this.longitude,
    required this.quality,
    this.satellites,
    this.altitude,
    this.speed,
    this.course,
  });

  final DateTime time;
  final double latitude;
  final double longitude;
  final FixQuality quality;
  final int? satellites;
  final double? altitude; // metres above mean sea level
  final double? speed; // metres per second over ground
  final double? course; // degrees, true

  @override
  String toString() => '${time.toIso8601String()} '
      '${latitude.toStringAsFixed(6)},${longitude.toStringAsFixed(6)} (${quality.name})';
}

/// Bytes in, valid sentences out. Serial lines deliver fragments and noise, so
/// anything that does not parse is counted and skipped, never an error.
class NmeaDecoder extends StreamTransformerBase<List<int>, Sentence> {
  const NmeaDecoder({this.onRejected});

  final void Function(String line)? onRejected;

  static final _shape = RegExp(r'^\$([A-Z]{2})([A-Z]{3}),(.*)\*([0-9A-F]{2})$');

  @override
  Stream<Sentence> bind(Stream<List<int>> stream) => stream
      .transform(const AsciiDecoder(allowInvalid: true))
      .transform(const LineSplitter())
      .map(_parse)
      .where((sentence) => sentence != null)
      .cast<Sentence>();

  Sentence? _parse(String raw) {
    final start = raw.lastIndexOf(r'$'); // a cut-off sentence may precede on the same line
    final line = start < 0 ? raw : raw.substring(start);
    final match = _shape.firstMatch(line);
    if (match == null) {
      if (raw.isNotEmpty) onRejected?.call(raw);
      return null;
    }
    final [talker, type, body, check] = match.groups([1, 2, 3, 4]).cast<String>();
    final sum = line.codeUnits.skip(1).take(line.length - 4).fold(0, (sum, unit) => sum ^ unit);
    if (sum != int.parse(check, radix: 16)) {
      onRejected?.call(raw);
      return null;
    }
    return Sentence(talker, type, body.split(','));
  }
}

extension FixStream on Stream<Sentence> {
  /// Merges the RMC and GGA sentences of one epoch into a single [Fix].
  ///
  /// Receivers differ in which comes first; an epoch ends when a sentence with
  /// another time of day arrives.
  Stream<Fix> fixes() async* {
    Sentence? rmc;
    Sentence? gga;
    String? epoch;

    await for (final sentence in this) {
      if (sentence.type != 'RMC' && sentence.type != 'GGA') continue;
      if (sentence[0] != epoch) {
        if (_merge(rmc, gga) case final fix?) yield fix;
        (rmc, gga, epoch) = (null, null, sentence[0]);
      }
      sentence.type == 'RMC' ? rmc = sentence : gga = sentence;
    }
    if (_merge(rmc, gga) case final fix?) yield fix;
  }
}

Fix? _merge(Sentence? rmc, Sentence? gga) {
  // "V" is the receiver's own warning that the position cannot be trusted.
  if (rmc == null || rmc[1] != 'A') return null;
  final time = _time(rmc[0], rmc[8]);
  final latitude = _degrees(rmc[2], rmc[3], width: 2);
  final longitude = _degrees(rmc[4], rmc[5], width: 3);
  if ((time, latitude, longitude) case (final time?, final latitude?, final longitude?)) {
    final knots = double.tryParse(rmc[6] ?? '');
    return Fix(
      time: time,
      latitude: latitude,
      longitude: longitude,
      quality: FixQuality.values.elementAtOrNull(int.tryParse(gga?[5] ?? '') ?? 1) ?? FixQuality.gps,
      satellites: int.tryParse(gga?[6] ?? ''),
      altitude: double.tryParse(gga?[8] ?? ''),
      speed: knots == null ? null : knots * 1852 / 3600,
      course: double.tryParse(rmc[7] ?? ''),
    );
  }
  return null;
}

/// "5232.0417", "N" with two digits of degrees is 52 degrees 32.0417 minutes.
double? _degrees(String? value, String? hemisphere, {required int width}) {
  if (value == null || value.length <= width) return null;
  final whole = int.tryParse(value.substring(0, width));
  final minutes = double.tryParse(value.substring(width));
  if (whole == null || minutes == null || minutes >= 60) return null;
  final magnitude = whole + minutes / 60;
  return switch (hemisphere) { 'N' || 'E' => magnitude, 'S' || 'W' => -magnitude, _ => null };
}

DateTime? _time(String? clock, String? date) {
  if (clock == null || date == null || clock.length < 6 || date.length != 6) return null;
  final parts = [for (final (text, i) in [(date, 4), (date, 2), (date, 0), (clock, 0), (clock, 2)])
    int.tryParse(text.substring(i, i + 2))];
  final seconds = double.tryParse(clock.substring(4));
  if (seconds == null || parts.contains(null)) return null;
  final [year, month, day, hour, minute] = parts.cast<int>();
  return DateTime.utc(2000 + year, month, day, hour, minute, 0, (seconds * 1000).round());
}
