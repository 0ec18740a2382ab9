import 'dart:async';
import 'dart:collection';
import 'dart:isolate';
import 'dart:math' as math;
import 'dart:typed_data';

/// Address of one map tile in the usual power-of-two pyramid.
typedef TileId = ({int zoom, int x, int y});

/// Pixels ready for the screen; the buffer arrives from another isolate uncopied.
final class DecodedTile {
  DecodedTile(this.id, this.width, this.height, TransferableTypedData pixels)
      : rgba = pixels.materialize().asUint8List();

  final TileId id;
  final int width, height;
  final Uint8List rgba;
}

sealed class _Reply {
  const _Reply(this.ticket);
  final int ticket;
}

final class _Decoded extends _Reply {
  const _Decoded(super.ticket, this.width, this.height, this.pixels);
  final int width, height;
  final TransferableTypedData pixels;
}

final class _Failed extends _Reply {
  const _Failed(super.ticket, this.message);
  final String message;
}

/// Decodes tiles on worker isolates, nearest to the view's centre first.
///
/// Requests that scroll out of sight before a worker gets to them are dropped.
class TilePrefetcher {
  TilePrefetcher._(this._fetch, this._workers, this._replies) {
    _idle.addAll(_workers);
    _replies.listen(_onReply);
  }

  /// Starts [workers] isolates running [decoder], a top-level or static function.
  static Future<TilePrefetcher> spawn({
    required Future<Uint8List> Function(TileId) fetch,
    required (int, int, Uint8List) Function(Uint8List) decoder,
    int workers = 2,
  }) async {
    final replies = ReceivePort('tile replies');
    final ready = Completer<List<SendPort>>();
    final ports = <SendPort>[];
    final stream = StreamController<_Reply>();

    replies.listen((message) {
      switch (message) {
        case final SendPort port:
          ports.add(port);
          if (ports.length == workers) ready.complete(ports);
        case final _Reply reply:
          stream.add(reply);
        case null: // an isolate has exited
          replies.close();
          unawaited(stream.close());
      }
    });
    for (var i = 0; i < workers; i++) {
      await Isolate.spawn(_work, (replies.sendPort, decoder),
          onExit: replies.sendPort, debugName: 'tile-worker-$i');
    }
    return TilePrefetcher._(fetch, await ready.future, stream.stream);
  }

  final Future<Uint8List> Function(TileId) _fetch;
  final List<SendPort> _workers;
  final Stream<_Reply> _replies;

  final Queue<SendPort> _idle = Queue();
  final Map<TileId, Completer<DecodedTile?>> _wanted = LinkedHashMap();
  final Map<int, (TileId, SendPort)> _running = {};
  math.Point<double> _centre = const math.Point(0, 0);
  int _nextTicket = 0;

  /// Completes with null if the tile goes out of view before it is started.
  Future<DecodedTile?> request(TileId id) {
    final completer = _wanted.putIfAbsent(id, Completer.new);
    scheduleMicrotask(_dispatch);
    return completer.future;
  }

  /// Tells where the user is looking, in tile coordinates of the current zoom.
  void lookAt(math.Point<double> centre, {required int zoom, double radius = 6}) {
    _centre = centre;
    final busy = {for (final (id, _) in _running.values) id};
    _wanted.removeWhere((id, completer) {
      final gone = !busy.contains(id) && (id.zoom != zoom || _distance(id) > radius);
      if (gone) completer.complete(null);
      return gone;
    });
  }

  double _distance(TileId id) => _centre.distanceTo(math.Point(id.x + 0.5, id.y + 0.5));

  Future<void> _dispatch() async {
    if (_idle.isEmpty) return;
    final busy = {for (final (id, _) in _running.values) id};
    final waiting = _wanted.keys.where((id) => !busy.contains(id)).toList();
    if (waiting.isEmpty) return;

    final id = waiting.reduce((a, b) => _distance(a) <= _distance(b) ? a : b);
    final worker = _idle.removeFirst();
    final ticket = _nextTicket++;
    _running[ticket] = (id, worker); // before the first await: no one else may pick it
    try {
      final bytes = await _fetch(id);
      worker.send((ticket, TransferableTypedData.fromList([bytes])));
    } on Exception catch (error) {
      _onReply(_Failed(ticket, '$error'));
    }
  }

  void _onReply(_Reply reply) {
    final (id, worker) = _running.remove(reply.ticket)!;
    _idle.add(worker);
    final completer = _wanted.remove(id);
    switch (reply) {
      case _Decoded(:final width, :final height, :final pixels):
        completer?.complete(DecodedTile(id, width, height, pixels));
      case _Failed(:final message):
        completer?.completeError(StateError('tile $id: $message'));
    }
    unawaited(_dispatch());
  }

  static void _work((SendPort, (int, int, Uint8List) Function(Uint8List)) setup) {
    final (replyTo, decode) = setup;
    final inbox = ReceivePort();
    replyTo.send(inbox.sendPort);
    inbox.listen((message) {
      final (int ticket, TransferableTypedData data) = message as (int, TransferableTypedData);
      try {
        final (width, height, rgba) = decode(data.materialize().asUint8List());
        replyTo.send(_Decoded(ticket, width, height, TransferableTypedData.fromList([rgba])));
      } on FormatException catch (error) {
        replyTo.send(_Failed(ticket, error.message));
      }
    });
  }
}
