namespace Worldgen;

use InvalidArgumentException;
use UnderflowException;

/**
 * Invents names that resemble those in a list: a Markov chain over letters with
 * back-off. When a context of three letters was never seen, two are tried, then one.
 *
 * The generator owns its random numbers, so that a world built from the same seed
 * has the same names on every machine.
 */
class MarkovNames
{
    const BOUNDARY = "^";

    /**
     * Counts of successors by context: ["an": ["d": 3, "n": 1]]
     */
    protected chains = [];

    protected sources = [];

    protected order { get };

    protected state;

    public function __construct(array examples, int order = 3, int seed = 1)
    {
        var name;

        if unlikely order < 1 || order > 5 {
            throw new InvalidArgumentException("The order must lie between 1 and 5");
        }
        let this->order = order,
            this->state = (seed & 0x7fffffff) | 1;

        for name in examples {
            this->learn(mb_strtolower(trim(name)));
        }
        if count(this->sources) == 0 {
            throw new InvalidArgumentException("No examples were given");
        }
    }

    /**
     * A new name: not in the examples, and within the bounds of length.
     */
    public function next(int shortest = 4, int longest = 10, int attempts = 200) -> string
    {
        string name;
        int length;

        loop {
            if attempts <= 0 {
                throw new UnderflowException("The examples do not allow for such names");
            }
            let attempts--, name = this->walk(longest), length = (int) mb_strlen(name);
            if length >= shortest && length <= longest && !isset this->sources[name] {
                break;
            }
        }
        return mb_convert_case(name, MB_CASE_TITLE);
    }

    /**
     * Several different names, sorted.
     */
    public function take(int wanted) -> array
    {
        array names = [];
        string name;
        int tries;

        for tries in range(1, 20 * wanted) {
            if count(names) < wanted {
                let name = this->next(), names[name] = true;
            }
        }
        ksort(names);
        return array_keys(names);
    }

    private function learn(string name) -> void
    {
        string padded, context, letter;
        int i, size, depth;

        let this->sources[name] = true,
            padded = str_repeat(self::BOUNDARY, this->order) . name . self::BOUNDARY,
            size = (int) mb_strlen(padded);

        // Contexts of every length are counted at once; the walk picks the longest.
        for i in range(this->order, size - 1) {
            let letter = (string) mb_substr(padded, i, 1);
            for depth in range(1, this->order) {
                let context = (string) mb_substr(padded, i - depth, depth);
                if !isset this->chains[context][letter] {
                    let this->chains[context][letter] = 0;
                }
                let this->chains[context][letter] = this->chains[context][letter] + 1;
            }
        }
    }

    private function walk(int longest) -> string
    {
        string text, letter;

        let text = str_repeat(self::BOUNDARY, this->order);
        do {
            let letter = this->pick(text),
                text = text . letter;
        } while letter != self::BOUNDARY && mb_strlen(text) <= longest + this->order;
        return trim(text, self::BOUNDARY);
    }

    private function pick(string text) -> string
    {
        var successors, letter, weight;
        int depth, ticket;

        let depth = (int) this->order;
        while depth > 1 && !isset this->chains[mb_substr(text, -depth)] {
            let depth--;
        }
        if !fetch successors, this->chains[mb_substr(text, -depth)] {
            return self::BOUNDARY;
        }

        let ticket = this->random() % (int) array_sum(successors);
        for letter, weight in successors {
            let ticket -= weight;
            if ticket < 0 {
                return letter;
            }
        }

        return self::BOUNDARY;
    }

    /**
     * Park-Miller minimal standard generator.
     */
    private function random() -> int
    {
        let this->state = this->state * 48271 % 2147483647;
        return (int) this->state;
    }
}
