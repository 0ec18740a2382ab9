import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Compares two text files by patience: lines that occur exactly once in both files are
 * matched first, which keeps functions together where a shortest edit script would pair
 * their closing braces.
 *
 * <pre>java TextDiff.java old.txt new.txt</pre>
 */
public final class TextDiff {

    private static final int CONTEXT = 3;

    enum Kind {
        SAME(' '), REMOVED('-'), ADDED('+');

        final char sign;

        Kind(char sign) {
            this.sign = sign;
        }
    }

    record Edit(Kind kind, int oldLine, int newLine, String text) {}

    /** A half-open pair of ranges that still has to be aligned. */
    private record Region(int oldFrom, int oldTo, int newFrom, int newTo) {}

    private final List<String> before;
    private final List<String> after;
    private final List<Edit> edits = new ArrayList<>();

    private TextDiff(List<String> before, List<String> after) {
        this.before = before;
        this.after = after;
    }

    public static List<Edit> compare(List<String> before, List<String> after) {
        var diff = new TextDiff(before, after);
        diff.align(new Region(0, before.size(), 0, after.size()));
        return diff.edits;
    }

    private void align(Region r) {
        int oldFrom = r.oldFrom, newFrom = r.newFrom, oldTo = r.oldTo, newTo = r.newTo;
        while (oldFrom < oldTo && newFrom < newTo && before.get(oldFrom).equals(after.get(newFrom))) {
            same(oldFrom++, newFrom++);
        }
        int tail = 0;
        while (oldFrom < oldTo && newFrom < newTo && before.get(oldTo - 1).equals(after.get(newTo - 1))) {
            oldTo--;
            newTo--;
            tail++;
        }

        List<int[]> anchors = anchors(new Region(oldFrom, oldTo, newFrom, newTo));
        if (anchors.isEmpty()) {
            for (int i = oldFrom; i < oldTo; i++) edits.add(new Edit(Kind.REMOVED, i, -1, before.get(i)));
            for (int j = newFrom; j < newTo; j++) edits.add(new Edit(Kind.ADDED, -1, j, after.get(j)));
        } else {
            for (int[] anchor : anchors) {
                align(new Region(oldFrom, anchor[0], newFrom, anchor[1]));
                same(anchor[0], anchor[1]);
                oldFrom = anchor[0] + 1;
                newFrom = anchor[1] + 1;
            }
            align(new Region(oldFrom, oldTo, newFrom, newTo));
        }
        for (int i = 0; i < tail; i++) same(oldTo + i, newTo + i);
    }

    private void same(int oldLine, int newLine) {
        edits.add(new Edit(Kind.SAME, oldLine, newLine, before.get(oldLine)));
    }

    /** Lines that are unique on both sides, thinned out to a longest increasing sequence. */
    private List<int[]> anchors(Region r) {
        Map<String, int[]> seen = new HashMap<>(); // {count in old, line, count in new, line}
        for (int i = r.oldFrom; i < r.oldTo; i++) {
            int[] entry = seen.computeIfAbsent(before.get(i), k -> new int[4]);
            entry[0]++;
            entry[1] = i;
        }
        List<int[]> candidates = new ArrayList<>();
        for (int j = r.newFrom; j < r.newTo; j++) {
            int[] entry = seen.get(after.get(j));
            if (entry == null) continue;
            entry[2]++;
            entry[3] = j;
            if (entry[0] == 1) candidates.add(entry);
        }
        int[][] unique = candidates.stream().filter(e -> e[2] == 1).map(e -> new int[] {e[1], e[3]}).toArray(int[][]::new);

        // Patience sorting: piles[k] is the candidate that ends the best chain of length k + 1.
        int[] piles = new int[unique.length];
        int[] previous = new int[unique.length];
        int length = 0;
        for (int c = 0; c < unique.length; c++) {
            int low = 0, high = length;
            while (low < high) {
                int mid = (low + high) >>> 1;
                if (unique[piles[mid]][0] < unique[c][0]) low = mid + 1; else high = mid;
            }
            previous[c] = low > 0 ? piles[low - 1] : -1;
            piles[low] = c;
            if (low == length) length++;
        }
        int[][] chain = new int[length][];
        for (int c = length > 0 ? piles[length - 1] : -1, k = length - 1; k >= 0; c = previous[c], k--) {
            chain[k] = unique[c];
        }
        return Arrays.asList(chain);
    }

    static void printUnified(List<Edit> edits, PrintStream out) {
        for (int i = 0; i < edits.size(); i++) {
            if (edits.get(i).kind() == Kind.SAME) continue;
            int from = Math.max(0, i - CONTEXT), to = i, quiet = 0;
            for (int j = i; j < edits.size() && quiet <= 2 * CONTEXT; j++) {
                quiet = edits.get(j).kind() == Kind.SAME ? quiet + 1 : 0;
                if (quiet == 0) to = j + 1;
            }
            var hunk = edits.subList(from, Math.min(edits.size(), to + CONTEXT));
            out.printf("@@ -%s +%s @@%n", span(hunk.stream().mapToInt(Edit::oldLine)), span(hunk.stream().mapToInt(Edit::newLine)));
            hunk.forEach(e -> out.println(e.kind().sign + e.text()));
            i = from + hunk.size() - 1;
        }
    }

    private static String span(IntStream lines) {
        var present = lines.filter(n -> n >= 0).summaryStatistics();
        return present.getCount() == 0 ? "0,0" : (present.getMin() + 1) + "," + present.getCount();
    }

    public static void main(String[] args) throws IOException {
        var edits = compare(Files.readAllLines(Path.of(args[0])), Files.readAllLines(Path.of(args[1])));
        printUnified(edits, System.out);
    }
}
