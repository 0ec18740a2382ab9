namespace Scheduling;

use Countable;
use InvalidArgumentException;

/**
 * An augmented AVL tree of half-open intervals [from, until).
 *
 * Every node knows the latest end in its subtree, so that a search for overlaps
 * can skip subtrees that end too early: O(log n + k) for k results.
 */
class IntervalTree implements Countable
{
    protected root = null { get };

    protected size = 0;

    public function count() -> int
    {
        return (int) this->size;
    }

    /**
     * Adds an interval; several may share the same bounds.
     */
    public function add(int from, int until, var payload) -> <IntervalTree>
    {
        if unlikely from >= until {
            throw new InvalidArgumentException("Interval [" . from . ", " . until . ") is empty");
        }

        let this->root = this->insertInto(this->root, new IntervalNode(from, until, payload)),
            this->size = this->size + 1;

        return this;
    }

    /**
     * Payloads of all intervals that share at least one instant with [from, until).
     */
    public function overlapping(int from, int until) -> array
    {
        var stack, node, child;
        array found = [];

        if this->root === null {
            return found;
        }

        let stack = [this->root];
        while count(stack) > 0 {
            let node = array_pop(stack);
            if node->latest <= from {
                continue; // everything below has ended by then
            }
            let child = node->left;
            if child !== null {
                let stack[] = child;
            }
            if node->from < until {
                if node->until > from {
                    let found[] = node->payload;
                }
                let child = node->right;
                if child !== null {
                    let stack[] = child;
                }
            }
        }

        return found;
    }

    /**
     * Start of the first gap of the given length, at or after the given instant.
     */
    public function firstGap(int earliest, int length) -> int
    {
        var node;
        int candidate;

        let candidate = earliest;
        for node in iterator(new IntervalCursor(this->root)) {
            if node->until <= candidate {
                continue;
            }
            if node->from - candidate >= length {
                break;
            }
            let candidate = (int) node->until;
        }

        return candidate;
    }

    private function insertInto(var node, <IntervalNode> fresh) -> <IntervalNode>
    {
        if node === null {
            return fresh;
        }

        if fresh->from < node->from {
            let node->left = this->insertInto(node->left, fresh);
        } else {
            let node->right = this->insertInto(node->right, fresh);
        }

        return this->balance(node);
    }

    private function balance(<IntervalNode> node) -> <IntervalNode>
    {
        var child;

        node->refresh();
        switch node->slope() {
            case 2:
                let child = node->left;
                if child->slope() < 0 {
                    let node->left = this->rotate(child, false);
                }
                return this->rotate(node, true);
            case -2:
                let child = node->right;
                if child->slope() > 0 {
                    let node->right = this->rotate(child, true);
                }
                return this->rotate(node, false);
        }

        return node;
    }

    private function rotate(<IntervalNode> node, bool clockwise) -> <IntervalNode>
    {
        var pivot;

        if clockwise {
            let pivot = node->left, node->left = pivot->right, pivot->right = node;
        } else {
            let pivot = node->right, node->right = pivot->left, pivot->left = node;
        }
        node->refresh();
        pivot->refresh();

        return pivot;
    }
}
