import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Runs a provisioning plan and, when a step fails, undoes what was done so far in
 * reverse order.
 *
 * <p>A step is a pair of an action and its compensation. Compensations may fail too;
 * then the sequencer goes on with the rest and reports everything that a person has to
 * clean up. Progress goes to a journal, from which a crashed run can be undone later.
 */
public final class StepSequencer<C> {

    /** An action on a shared context, and how to take it back. */
    public record Step<C>(String name, Action<C> action, Action<C> compensation, int attempts) {
        public Step {
            if (name.isBlank()) throw new IllegalArgumentException("a step needs a name");
            if (attempts < 1) throw new IllegalArgumentException(name + ": attempts must be positive");
        }
    }

    @FunctionalInterface
    public interface Action<C> {
        void run(C context) throws Exception;
    }

    /** How a run ended. */
    public sealed interface Outcome {
        record Completed(Duration took) implements Outcome {}

        record RolledBack(String failedStep, Exception cause) implements Outcome {}

        /** Some compensations failed as well; the map says which, and why. */
        record Stuck(String failedStep, Exception cause, Map<String, Exception> leftovers) implements Outcome {}
    }

    /** What the journal records; enough to know which steps need compensation. */
    public sealed interface Event {
        String step();

        record Started(String step) implements Event {}

        record Finished(String step) implements Event {}

        record Compensated(String step) implements Event {}
    }

    private final List<Step<C>> steps;
    private final Consumer<Event> journal;
    private final Pause pause;

    /** Sleeping, as something that tests can replace. */
    @FunctionalInterface
    public interface Pause {
        void before(int attempt) throws InterruptedException;

        Pause EXPONENTIAL = attempt -> Thread.sleep(250L << Math.min(attempt, 6));
    }

    public StepSequencer(List<Step<C>> steps, Consumer<Event> journal, Pause pause) {
        Set<String> names = new HashSet<>();
        for (var step : steps) {
            if (!names.add(step.name())) throw new IllegalArgumentException("two steps called " + step.name());
        }
        this.steps = List.copyOf(steps);
        this.journal = journal;
        this.pause = pause;
    }

    public Outcome run(C context) {
        long started = System.nanoTime();
        Deque<Step<C>> done = new ArrayDeque<>();
        for (var step : steps) {
            journal.accept(new Event.Started(step.name()));
            // Pushed before it runs: a step that fails halfway may have left something behind.
            done.push(step);
            try {
                attempt(step, context);
            } catch (Exception cause) {
                if (cause instanceof InterruptedException) Thread.currentThread().interrupt();
                return rollBack(step, cause, done, context);
            }
            journal.accept(new Event.Finished(step.name()));
        }
        return new Outcome.Completed(Duration.ofNanos(System.nanoTime() - started));
    }

    /** Undoes a run that was cut short, from its journal. */
    public Map<String, Exception> undo(List<Event> recorded, C context) {
        Set<String> pending = new HashSet<>();
        for (var event : recorded) {
            if (event instanceof Event.Started started) {
                pending.add(started.step());
            } else if (event instanceof Event.Compensated compensated) {
                pending.remove(compensated.step());
            }
        }
        Deque<Step<C>> stack = new ArrayDeque<>();
        steps.stream().filter(step -> pending.contains(step.name())).forEach(stack::push);
        return compensate(stack, context);
    }

    private void attempt(Step<C> step, C context) throws Exception {
        for (int attempt = 1; ; attempt++) {
            try {
                step.action().run(context);
                return;
            } catch (InterruptedException | RuntimeException fatal) {
                throw fatal; // a bug or a request to stop is not worth repeating
            } catch (Exception failure) {
                if (attempt == step.attempts()) throw failure;
                pause.before(attempt);
            }
        }
    }

    private Outcome rollBack(Step<C> failed, Exception cause, Deque<Step<C>> done, C context) {
        var leftovers = compensate(done, context);
        return leftovers.isEmpty()
                ? new Outcome.RolledBack(failed.name(), cause)
                : new Outcome.Stuck(failed.name(), cause, leftovers);
    }

    private Map<String, Exception> compensate(Deque<Step<C>> done, C context) {
        Map<String, Exception> leftovers = new LinkedHashMap<>();
        for (var step : done) { // iterates from the most recent
            try {
                step.compensation().run(context);
                journal.accept(new Event.Compensated(step.name()));
            } catch (Exception failure) {
                leftovers.put(step.name(), failure);
            }
        }
        return leftovers;
    }
}
