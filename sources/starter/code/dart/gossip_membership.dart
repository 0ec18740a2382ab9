import 'dart:math';

/// Simulates a SWIM-like failure detector on virtual time: members probe each other
/// at random, suspicion spreads by gossip, and a falsely suspected member can refute
/// it by raising its incarnation number.
enum Health { alive, suspect, dead }

/// What one member believes about another; comparable by how much it overrides.
final class Belief {
  const Belief(this.health, this.incarnation);

  final Health health;
  final int incarnation;

  bool overrides(Belief other) => switch ((health, other.health)) {
        (_, Health.dead) => false,
        (Health.dead, _) => true,
        (Health.suspect, Health.alive) => incarnation >= other.incarnation,
        _ => incarnation > other.incarnation,
      };
}

typedef Rumour = ({String about, Belief belief});

/// Discrete-event clock; events at the same instant run in the order they were added.
class Simulation {
  Simulation(int seed) : random = Random(seed);

  final Random random;
  final List<({int at, int order, void Function() run})> _agenda = [];
  int now = 0;
  int _order = 0;

  void after(int milliseconds, void Function() run) {
    final event = (at: now + milliseconds, order: _order++, run: run);
    final index = _agenda.lastIndexWhere((e) => e.at <= event.at) + 1;
    _agenda.insert(index, event);
  }

  void runUntil(int end) {
    while (_agenda.isNotEmpty && _agenda.first.at <= end) {
      final event = _agenda.removeAt(0);
      now = event.at;
      event.run();
    }
    now = end;
  }
}

class Network {
  Network(this.simulation, {required this.loss});

  final Simulation simulation;
  final double loss;
  final Map<String, Member> members = {};
  final Set<String> crashed = {};

  void send(String from, String to, void Function(Member) deliver) {
    if (crashed.contains(from) || simulation.random.nextDouble() < loss) return;
    simulation.after(5 + simulation.random.nextInt(40), () {
      if (!crashed.contains(to)) deliver(members[to]!);
    });
  }
}

class Member {
  Member(this.name, this.network);

  static const probeInterval = 1000, ackTimeout = 150, suspicionTime = 4000; // milliseconds
  static const rumoursPerMessage = 6;

  final String name;
  final Network network;
  final Map<String, Belief> view = {};
  final Map<String, int> _retransmissions = {};
  int _incarnation = 0;
  int _probe = 0;
  int? _acknowledged;

  Simulation get _sim => network.simulation;

  Iterable<String> get _peers => view.keys.where((n) => n != name && view[n]!.health != Health.dead);

  void start(Iterable<String> everyone) {
    for (final other in everyone) {
      view[other] = const Belief(Health.alive, 0);
    }
    _sim.after(_sim.random.nextInt(probeInterval), _probeSomeone);
  }

  void _probeSomeone() {
    _sim.after(probeInterval, _probeSomeone);
    if (network.crashed.contains(name)) return;
    final peers = _peers.toList()..shuffle(_sim.random);
    if (peers.isEmpty) return;
    final target = peers.first;
    final probe = ++_probe;
    _ping(target, onAck: () => _acknowledged = probe);
    _sim.after(ackTimeout, () {
      if (_acknowledged != probe) _believe(target, Belief(Health.suspect, view[target]!.incarnation));
    });
  }

  void _ping(String target, {required void Function() onAck}) {
    final rumours = _pickRumours();
    network.send(name, target, (receiver) {
      receiver._hear(rumours);
      final answer = receiver._pickRumours();
      network.send(target, name, (sender) {
        sender._hear(answer);
        onAck();
      });
    });
  }

  /// The least repeated rumours first; each is passed on about 3 log2(n) times.
  List<Rumour> _pickRumours() {
    final limit = 3 * (log(view.length) / ln2).ceil();
    _retransmissions.removeWhere((_, count) => count >= limit);
    final fresh = _retransmissions.keys.toList()
      ..sort((a, b) => _retransmissions[a]!.compareTo(_retransmissions[b]!));
    return [
      for (final about in fresh.take(rumoursPerMessage))
        if (_retransmissions.update(about, (n) => n + 1) > 0) (about: about, belief: view[about]!),
    ];
  }

  void _hear(List<Rumour> rumours) {
    for (final (:about, :belief) in rumours) {
      if (about == name && belief.health != Health.alive) {
        _incarnation = max(_incarnation, belief.incarnation) + 1;
        view[name] = Belief(Health.alive, _incarnation);
        _retransmissions[name] = 0;
      } else {
        _believe(about, belief);
      }
    }
  }

  void _believe(String about, Belief belief) {
    if (!belief.overrides(view[about]!)) return;
    view[about] = belief;
    _retransmissions[about] = 0;
    if (belief.health == Health.suspect) {
      _sim.after(suspicionTime, () {
        if (identical(view[about], belief)) _believe(about, Belief(Health.dead, belief.incarnation));
      });
    }
  }
}
