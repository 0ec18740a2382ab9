namespace Ledger;

use DomainException;
use InvalidArgumentException;

/**
 * An amount in the smallest unit of a currency. Immutable; every operation returns
 * a new object, and rounding never loses or invents a unit.
 */
final class Money
{
    // Currencies whose number of decimals is not two.
    private static decimals = ["JPY": 0, "KRW": 0, "ISK": 0, "KWD": 3, "TND": 3];

    private units { get };

    private currency { get };

    public function __construct(int units, string currency)
    {
        if unlikely !preg_match("/^[A-Z]{3}$/", currency) {
            throw new InvalidArgumentException("'" . currency . "' is not a currency code");
        }

        let this->units = units,
            this->currency = currency;
    }

    /**
     * Reads "1234.50"; more decimals than the currency has are an error.
     */
    public static function parse(string text, string currency) -> <Money>
    {
        array parts = [];
        int places;
        string fraction;

        let places = self::decimalsOf(currency);
        if !preg_match("/^(-?)([0-9]+)[.]?([0-9]*)$/", text, parts) {
            throw new InvalidArgumentException("'" . text . "' is not an amount");
        }
        let fraction = (string) parts[3];
        if strlen(fraction) > places {
            throw new InvalidArgumentException(currency . " has only " . places . " decimals");
        }

        return new self(intval(parts[1] . parts[2] . str_pad(fraction, places, "0")), currency);
    }

    public function plus(<Money> other) -> <Money>
    {
        this->requireSameCurrency(other);
        return new self(this->units + other->getUnits(), this->currency);
    }

    /**
     * Multiplies by a ratio such as 19/100; an exact half goes to the even neighbour.
     */
    public function times(int numerator, int denominator = 1) -> <Money>
    {
        int product, quotient, rest;

        if unlikely denominator <= 0 {
            throw new DomainException("The denominator must be positive");
        }

        let product = this->units * numerator,
            quotient = intdiv(product, denominator),
            rest = abs(product % denominator) * 2;

        if rest > denominator || (rest == denominator && quotient % 2 != 0) {
            let quotient = quotient + (product < 0 ? -1 : 1);
        }

        return new self(quotient, this->currency);
    }

    /**
     * Splits by weights. Units left over go one each to the parts whose exact share
     * was cut most, so that the parts always add up to the whole.
     *
     * @return Money[] under the keys of the weights
     */
    public function allocate(array weights) -> array
    {
        var key, weight, total, share, step;
        array shares = [], rests = [], parts = [];
        int left;

        let total = array_sum(weights);
        if unlikely total <= 0 || min(weights) < 0 {
            throw new DomainException("Weights must not be negative, nor all zero");
        }

        let left = (int) this->units;
        for key, weight in weights {
            let share = intdiv(this->units * weight, total),
                shares[key] = share,
                rests[key] = abs(this->units * weight % total),
                left = left - share;
        }

        arsort(rests);
        for key, _ in rests {
            let step = left == 0 ? 0 : (left > 0 ? 1 : -1),
                shares[key] = shares[key] + step,
                left = left - step;
        }
        for key, share in shares {
            let parts[key] = new self(share, this->currency);
        }

        return parts;
    }

    public function compareTo(<Money> other) -> int
    {
        this->requireSameCurrency(other);
        return this->units == other->getUnits() ? 0 : (this->units < other->getUnits() ? -1 : 1);
    }

    public function __toString() -> string
    {
        int places;
        string digits;

        let places = self::decimalsOf(this->currency),
            digits = str_pad((string) abs(this->units), places + 1, "0", STR_PAD_LEFT);
        if places > 0 {
            let digits = substr(digits, 0, -places) . "." . substr(digits, -places);
        }

        return (this->units < 0 ? "-" : "") . digits . " " . this->currency;
    }

    private static function decimalsOf(string currency) -> int
    {
        var known;

        let known = self::decimals;
        return isset known[currency] ? (int) known[currency] : 2;
    }

    private function requireSameCurrency(<Money> other) -> void
    {
        if unlikely this->currency !== other->getCurrency() {
            throw new DomainException(this->currency . " and " . other->getCurrency() . " do not mix");
        }
    }
}
