import 'dart:math' as math;

import 'package:flutter/material.dart';
import 'package:flutter/rendering.dart';
import 'package:flutter/semantics.dart';

/// One spoke of the wheel, scored from 0 to [TastingWheel.maximum].
typedef Flavour = ({String name, int score});

/// A radar chart that is also the input: drag along a spoke to score a flavour.
///
/// Screen readers see one adjustable slider per spoke instead of a single picture.
class TastingWheel extends StatefulWidget {
  const TastingWheel({super.key, required this.flavours, required this.onChanged})
      : assert(flavours.length >= 3, 'a wheel needs three spokes');

  static const int maximum = 10;

  final List<Flavour> flavours;
  final ValueChanged<List<Flavour>> onChanged;

  @override
  State<TastingWheel> createState() => _TastingWheelState();
}

class _TastingWheelState extends State<TastingWheel> {
  int? _active;

  void _score(int index, int score) {
    final clamped = score.clamp(0, TastingWheel.maximum);
    if (clamped == widget.flavours[index].score) return;
    widget.onChanged([
      for (final (i, flavour) in widget.flavours.indexed)
        i == index ? (name: flavour.name, score: clamped) : flavour,
    ]);
  }

  void _dragTo(Offset position, _WheelGeometry geometry) {
    final fromCentre = position - geometry.centre;
    final index = _active ??= geometry.nearestSpoke(fromCentre);
    // Only the part of the finger's movement that runs along the spoke counts.
    final direction = geometry.direction(index);
    final along = fromCentre.dx * direction.dx + fromCentre.dy * direction.dy;
    _score(index, (along / geometry.radius * TastingWheel.maximum).round());
  }

  @override
  Widget build(BuildContext context) {
    final theme = Theme.of(context);
    return AspectRatio(
      aspectRatio: 1,
      child: LayoutBuilder(builder: (context, constraints) {
        final geometry = _WheelGeometry(constraints.biggest, widget.flavours.length);
        return GestureDetector(
          onPanStart: (details) => setState(() => _dragTo(details.localPosition, geometry)),
          onPanUpdate: (details) => _dragTo(details.localPosition, geometry),
          onPanEnd: (_) => setState(() => _active = null),
          onPanCancel: () => setState(() => _active = null),
          child: CustomPaint(
            painter: _WheelPainter(widget.flavours, geometry, theme, _active, _score),
          ),
        );
      }),
    );
  }
}

class _WheelGeometry {
  _WheelGeometry(Size size, this.spokes)
      : centre = size.center(Offset.zero),
        radius = size.shortestSide / 2 - 36; // room for the labels

  final Offset centre;
  final double radius;
  final int spokes;

  Offset direction(int index) => Offset.fromDirection(2 * math.pi * index / spokes - math.pi / 2);

  Offset at(int index, double fraction) => centre + direction(index) * (radius * fraction);

  int nearestSpoke(Offset fromCentre) =>
      ((fromCentre.direction + math.pi / 2) / (2 * math.pi) * spokes).round() % spokes;
}

class _WheelPainter extends CustomPainter {
  _WheelPainter(this.flavours, this.geometry, this.theme, this.active, this.onScore);

  final List<Flavour> flavours;
  final _WheelGeometry geometry;
  final ThemeData theme;
  final int? active;
  final void Function(int index, int score) onScore;

  @override
  void paint(Canvas canvas, Size size) {
    final grid = Paint()
      ..style = PaintingStyle.stroke
      ..color = theme.colorScheme.outlineVariant;
    for (var ring = 2; ring <= TastingWheel.maximum; ring += 2) {
      canvas.drawPath(_outline((_) => ring / TastingWheel.maximum), grid);
    }
    final shape = _outline((i) => flavours[i].score / TastingWheel.maximum);
    canvas
      ..drawPath(shape, Paint()..color = theme.colorScheme.primary.withValues(alpha: 0.25))
      ..drawPath(shape, grid..color = theme.colorScheme.primary..strokeWidth = 2);

    for (final (i, flavour) in flavours.indexed) {
      final label = TextPainter(
        text: TextSpan(
          text: flavour.name,
          style: theme.textTheme.labelMedium!.copyWith(fontWeight: i == active ? FontWeight.bold : null),
        ),
        textDirection: TextDirection.ltr,
      )..layout(maxWidth: 80);
      label.paint(canvas, geometry.at(i, 1.14) - label.size.center(Offset.zero));
    }
  }

  Path _outline(double Function(int) fraction) =>
      Path()..addPolygon([for (var i = 0; i < flavours.length; i++) geometry.at(i, fraction(i))], true);

  @override
  SemanticsBuilderCallback get semanticsBuilder => (size) => [
        for (final (i, flavour) in flavours.indexed)
          CustomPainterSemantics(
            key: ValueKey(flavour.name),
            rect: Rect.fromCircle(center: geometry.at(i, 1), radius: 24),
            properties: SemanticsProperties(
              slider: true,
              label: flavour.name,
              value: '${flavour.score} of ${TastingWheel.maximum}',
              increasedValue: '${flavour.score + 1}',
              decreasedValue: '${flavour.score - 1}',
              onIncrease: () => onScore(i, flavour.score + 1),
              onDecrease: () => onScore(i, flavour.score - 1),
              textDirection: TextDirection.ltr,
            ),
          ),
      ];

  @override
  bool shouldRepaint(_WheelPainter old) =>
      old.flavours != flavours || old.active != active || old.theme != theme;
}
