import 'dart:async';

import 'package:flutter/foundation.dart';
import 'package:flutter/widgets.dart';

/// One page of results and the cursor of the next; a null cursor ends the feed.
typedef FeedPage<T> = ({List<T> items, String? next});

@immutable
sealed class FeedState<T> {
  const FeedState(this.items);
  final List<T> items;
}

final class FeedIdle<T> extends FeedState<T> {
  const FeedIdle(super.items, {required this.isComplete});
  final bool isComplete;
}

final class FeedLoading<T> extends FeedState<T> {
  const FeedLoading(super.items, {required this.isRefresh});
  final bool isRefresh;
}

final class FeedFailed<T> extends FeedState<T> {
  const FeedFailed(super.items, this.error);
  final Object error;
}

/// Loads a feed page by page. A refresh makes every answer that is still on its way
/// obsolete, which a generation counter detects.
class FeedController<T, K> extends ValueNotifier<FeedState<T>> {
  FeedController({required this.load, required this.keyOf, Stream<T>? live})
      : super(FeedIdle<T>(const [], isComplete: false)) {
    _liveUpdates = live?.listen(_prepend);
  }

  final Future<FeedPage<T>> Function(String? cursor) load;

  /// Pages shift while new entries arrive, so entries are told apart by key.
  final K Function(T item) keyOf;

  StreamSubscription<T>? _liveUpdates;
  String? _cursor;
  int _generation = 0;

  Future<void> refresh() => _fetch(isRefresh: true);

  Future<void> loadMore() async {
    switch (value) {
      case FeedLoading() || FeedIdle(isComplete: true):
        return;
      case FeedIdle() || FeedFailed():
        await _fetch(isRefresh: false);
    }
  }

  Future<void> _fetch({required bool isRefresh}) async {
    final generation = ++_generation;
    value = FeedLoading(value.items, isRefresh: isRefresh);
    try {
      final page = await load(isRefresh ? null : _cursor);
      if (generation != _generation) return;
      final kept = isRefresh ? <T>[] : value.items;
      final known = kept.map(keyOf).toSet();
      _cursor = page.next;
      value = FeedIdle(
        List.unmodifiable([...kept, ...page.items.where((item) => known.add(keyOf(item)))]),
        isComplete: page.next == null,
      );
    } on Exception catch (error) {
      if (generation == _generation) value = FeedFailed(value.items, error);
    }
  }

  void _prepend(T item) {
    final rest = value.items.where((other) => keyOf(other) != keyOf(item));
    final items = List<T>.unmodifiable([item, ...rest]);
    value = switch (value) {
      FeedIdle(:final isComplete) => FeedIdle(items, isComplete: isComplete),
      FeedLoading(:final isRefresh) => FeedLoading(items, isRefresh: isRefresh),
      FeedFailed(:final error) => FeedFailed(items, error),
    };
  }

  @override
  void dispose() {
    _generation++; // late answers must not touch a disposed notifier
    unawaited(_liveUpdates?.cancel());
    super.dispose();
  }
}

/// Shows a feed and asks for more when the end comes within [threshold] pixels.
class FeedView<T, K> extends StatelessWidget {
  const FeedView({
    super.key,
    required this.controller,
    required this.itemBuilder,
    required this.footerBuilder,
    this.emptyBuilder,
    this.threshold = 600,
  });

  final FeedController<T, K> controller;
  final Widget Function(BuildContext, T) itemBuilder;
  final Widget Function(BuildContext, FeedState<T>) footerBuilder;
  final WidgetBuilder? emptyBuilder;
  final double threshold;

  bool _onScroll(ScrollNotification notification) {
    // A failed page waits for a tap instead of hammering the server while scrolling.
    if (notification.metrics.extentAfter < threshold && controller.value is! FeedFailed<T>) {
      unawaited(controller.loadMore());
    }
    return false;
  }

  @override
  Widget build(BuildContext context) => NotificationListener<ScrollNotification>(
        onNotification: _onScroll,
        child: ValueListenableBuilder(
          valueListenable: controller,
          builder: (context, state, _) => switch (state) {
            FeedIdle(items: [], isComplete: true) when emptyBuilder != null => emptyBuilder!(context),
            FeedState(:final items) => CustomScrollView(
                slivers: [
                  SliverList.builder(
                    itemCount: items.length,
                    itemBuilder: (context, index) => KeyedSubtree(
                      key: ValueKey(controller.keyOf(items[index])),
                      child: itemBuilder(context, items[index]),
                    ),
                    findChildIndexCallback: (key) {
                      final wanted = (key as ValueKey<K>).value;
                      final index = items.indexWhere((item) => controller.keyOf(item) == wanted);
                      return index < 0 ? null : index;
                    },
                  ),
                  SliverToBoxAdapter(child: footerBuilder(context, state)),
                ],
              ),
          },
        ),
      );
}
