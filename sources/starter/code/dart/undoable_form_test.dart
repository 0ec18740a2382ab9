import 'package:fake_async/fake_async.dart';
import 'package:flutter/material.dart';
import 'package:flutter/services.dart';
import 'package:flutter_test/flutter_test.dart';
import 'package:seed_catalogue/listing/listing_editor.dart';
import 'package:seed_catalogue/listing/listing_repository.dart';

/// Remembers every save and can be told to fail the next one.
class RecordingRepository implements ListingRepository {
  final List<Listing> saved = [];
  Object? failNext;

  @override
  Future<void> save(Listing listing) async {
    if (failNext case final error?) {
      failNext = null;
      throw error;
    }
    saved.add(listing);
  }
}

extension on WidgetTester {
  Future<void> openEditor(ListingRepository repository) {
    const listing = Listing(variety: 'Lady Godiva', priceCents: 350, sowFrom: 4, sowTo: 5);
    return pumpWidget(MaterialApp(home: ListingEditor(repository: repository, listing: listing)));
  }

  Finder field(String label) => find.widgetWithText(TextFormField, label);

  Future<void> pressUndo() async {
    await sendKeyDownEvent(LogicalKeyboardKey.controlLeft);
    await sendKeyEvent(LogicalKeyboardKey.keyZ);
    await sendKeyUpEvent(LogicalKeyboardKey.controlLeft);
    await pump();
  }
}

void main() {
  late RecordingRepository repository;

  setUp(() => repository = RecordingRepository());

  group('autosave', () {
    testWidgets('waits until typing has paused for a second', (tester) async {
      await tester.openEditor(repository);

      await tester.enterText(tester.field('Variety'), 'Lady Godiva, organic');
      await tester.pump(const Duration(milliseconds: 900));
      expect(repository.saved, isEmpty);

      await tester.enterText(tester.field('Variety'), 'Lady Godiva, organic seed');
      await tester.pump(const Duration(milliseconds: 900));
      expect(repository.saved, isEmpty, reason: 'each keystroke restarts the wait');

      await tester.pump(const Duration(milliseconds: 100));
      expect(repository.saved.single.variety, 'Lady Godiva, organic seed');
    });

    testWidgets('flushes when the app goes to the background', (tester) async {
      await tester.openEditor(repository);
      await tester.enterText(tester.field('Price'), '4.20');

      tester.binding.handleAppLifecycleStateChanged(AppLifecycleState.inactive);
      await tester.pump();

      expect(repository.saved.single.priceCents, 420);
    });

    testWidgets('never sends a listing that does not validate', (tester) async {
      await tester.openEditor(repository);

      await tester.enterText(tester.field('Price'), 'three');
      await tester.pump(const Duration(seconds: 5));

      expect(repository.saved, isEmpty);
      expect(find.text('Enter an amount such as 3.50'), findsOneWidget);
    });

    testWidgets('offers to retry after a failure, keeping what was typed', (tester) async {
      repository.failNext = const SaveConflict(changedBy: 'the warehouse');
      await tester.openEditor(repository);

      await tester.enterText(tester.field('Variety'), 'Styrian hulless');
      await tester.pump(const Duration(seconds: 1));
      expect(find.textContaining('changed by the warehouse'), findsOneWidget);

      await tester.tap(find.text('Save anyway'));
      await tester.pumpAndSettle();
      expect(repository.saved.single.variety, 'Styrian hulless');
      expect(find.byType(MaterialBanner), findsNothing);
    });
  });

  group('undo', () {
    testWidgets('treats a burst of typing as one step', (tester) async {
      await tester.openEditor(repository);
      for (final text in ['L', 'Lu', 'Lum', 'Lumina']) {
        await tester.enterText(tester.field('Variety'), text);
        await tester.pump(const Duration(milliseconds: 80));
      }

      await tester.pressUndo();

      expect(find.text('Lady Godiva'), findsOneWidget);
    });

    testWidgets('reaches across fields, in order', (tester) async {
      await tester.openEditor(repository);
      await tester.enterText(tester.field('Variety'), 'Lumina');
      await tester.pump(const Duration(seconds: 2));
      await tester.drag(find.byKey(const Key('sowing-window-end')), const Offset(120, 0));
      await tester.pump(const Duration(seconds: 2));

      await tester.pressUndo();
      expect(repository.saved.last, isA<Listing>().having((l) => l.sowTo, 'sowTo', greaterThan(5)));
      await tester.pump(const Duration(seconds: 1));
      expect(repository.saved.last.sowTo, 5);
      expect(repository.saved.last.variety, 'Lumina');
    });
  });

  testWidgets('meets the guidelines for contrast and touch targets', (tester) async {
    final handle = tester.ensureSemantics();
    await tester.openEditor(repository);

    await expectLater(tester, meetsGuideline(textContrastGuideline));
    await expectLater(tester, meetsGuideline(androidTapTargetGuideline));
    await expectLater(tester, meetsGuideline(labeledTapTargetGuideline));
    handle.dispose();
  });

  test('the debouncer fires once per pause, without a widget', () {
    fakeAsync((async) {
      final fired = <String>[];
      final debouncer = Debouncer<String>(const Duration(seconds: 1), fired.add);

      debouncer..add('a')..add('b');
      async.elapse(const Duration(seconds: 1));
      debouncer.add('c');
      async.elapse(const Duration(milliseconds: 500));
      debouncer.dispose();
      async.elapse(const Duration(minutes: 1));

      expect(fired, ['b'], reason: 'a disposed debouncer drops what was pending');
      expect(async.pendingTimers, isEmpty);
    });
  });
}
