import Combine
import SwiftUI

/// A week of training sessions with drag-free editing: tap to mark as done,
/// swipe to skip, and a ring that shows how much of the load is behind you.

struct Session: Identifiable, Codable, Equatable {
    enum Kind: String, Codable, CaseIterable {
        case run, swim, strength, rest

        var symbol: String {
            switch self {
            case .run: return "figure.run"
            case .swim: return "figure.pool.swim"
            case .strength: return "dumbbell"
            case .rest: return "moon.zzz"
            }
        }
    }

    enum Status: String, Codable {
        case planned, done, skipped
    }

    let id: UUID
    var day: Int
    var kind: Kind
    var minutes: Int
    var status: Status = .planned

    var load: Double {
        let weight: Double = switch kind {
        case .run: 1.0
        case .swim: 0.9
        case .strength: 0.7
        case .rest: 0
        }
        return Double(minutes) * weight
    }
}

@MainActor
final class TrainingPlanModel: ObservableObject {
    @Published private(set) var sessions: [Session]
    private var autosave: AnyCancellable?

    init(sessions: [Session], save: @escaping ([Session]) -> Void) {
        self.sessions = sessions
        autosave = $sessions
            .dropFirst()
            .removeDuplicates()
            .debounce(for: .seconds(1), scheduler: RunLoop.main)
            .sink(receiveValue: save)
    }

    var progress: Double {
        let planned = sessions.filter { $0.status != .skipped }.reduce(0) { $0 + $1.load }
        guard planned > 0 else { return 0 }
        return sessions.filter { $0.status == .done }.reduce(0) { $0 + $1.load } / planned
    }

    func sessions(on day: Int) -> [Session] {
        sessions.filter { $0.day == day }
    }

    func set(_ status: Session.Status, for id: Session.ID) {
        guard let index = sessions.firstIndex(where: { $0.id == id }) else { return }
        sessions[index].status = sessions[index].status == status ? .planned : status
    }
}

struct TrainingPlanView: View {
    @StateObject var model: TrainingPlanModel
    @Environment(\.calendar) private var calendar

    var body: some View {
        NavigationStack {
            List {
                Section {
                    ProgressRing(fraction: model.progress)
                        .frame(height: 140)
                        .frame(maxWidth: .infinity)
                        .listRowBackground(Color.clear)
                }
                ForEach(0..<7, id: \.self) { day in
                    let sessions = model.sessions(on: day)
                    if !sessions.isEmpty {
                        Section(calendar.weekdaySymbols[(day + 1) % 7]) {
                            ForEach(sessions) { session in
                                row(for: session)
                            }
                        }
                    }
                }
            }
            .navigationTitle("This week")
            .animation(.snappy, value: model.sessions)
        }
    }

    private func row(for session: Session) -> some View {
        Button {
            model.set(.done, for: session.id)
        } label: {
            HStack {
                Label(session.kind.rawValue.capitalized, systemImage: session.kind.symbol)
                    .strikethrough(session.status == .skipped)
                Spacer()
                Text("\(session.minutes) min").monospacedDigit()
                Image(systemName: session.status == .done ? "checkmark.circle.fill" : "circle")
                    .foregroundStyle(session.status == .done ? Color.green : Color.secondary)
            }
        }
        .swipeActions(edge: .trailing) {
            Button("Skip") { model.set(.skipped, for: session.id) }
                .tint(.orange)
        }
        .accessibilityValue(session.status.rawValue)
    }
}

private struct ProgressRing: View {
    let fraction: Double

    var body: some View {
        ZStack {
            Circle().stroke(.quaternary, lineWidth: 14)
            Circle()
                .trim(from: 0, to: fraction)
                .stroke(.tint, style: StrokeStyle(lineWidth: 14, lineCap: .round))
                .rotationEffect(.degrees(-90))
            Text(fraction, format: .percent.precision(.fractionLength(0)))
                .font(.title.bold())
                .contentTransition(.numericText())
        }
        .animation(.spring, value: fraction)
        .accessibilityElement(children: .combine)
    }
}
