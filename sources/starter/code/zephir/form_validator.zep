namespace Intake\Validation;

/**
 * Checks submitted forms against declarative rules.
 *
 *   let validator = new FormValidator([
 *       "email":   ["required", "matches": "/^[^@ ]+@[^@ ]+$/"],
 *       "arrival": ["required", "date": "Y-m-d"],
 *       "leaving": ["date": "Y-m-d", "after": "arrival"],
 *       "guests":  ["integer", "between": [1, 12]]
 *   ]);
 *
 * A field stops at its first failure. Fields that are empty and not required are
 * skipped by all other rules.
 */
class FormValidator
{
    protected rules = [] { get };

    protected messages = [
        "required": "Please fill in this field",
        "integer": "Please enter a whole number",
        "between": "Please enter a number from :0 to :1",
        "matches": "This does not look right",
        "oneOf": "Please choose one of the options",
        "date": "Please enter a date",
        "after": "This must be later than ':0'"
    ];

    protected extensions = [];

    public function __construct(array rules, array messages = [])
    {
        let this->rules = rules,
            this->messages = array_merge(this->messages, messages);
    }

    /**
     * Adds a rule of the application's own: function (value, argument, input) -> bool.
     */
    public function extend(string rule, callable check, string message) -> <FormValidator>
    {
        let this->extensions[rule] = check,
            this->messages[rule] = message;

        return this;
    }

    /**
     * @return array error messages by field; empty when the input is valid
     */
    public function validate(array input) -> array
    {
        var field, rules, rule, argument, value, swap;
        array errors = [];

        for field, rules in this->rules {
            let value = isset input[field] ? input[field] : "";
            if typeof value == "string" {
                let value = trim(value);
            }
            if value === "" || value === [] {
                if in_array("required", rules, true) {
                    let errors[field] = this->messages["required"];
                }
                continue;
            }

            for rule, argument in rules {
                if typeof rule == "integer" {
                    let swap = argument, argument = null, rule = swap; // a rule without argument
                }
                if !this->passes(rule, value, argument, input) {
                    let errors[field] = this->describe(rule, argument);
                    break;
                }
            }
        }

        return errors;
    }

    private function passes(string rule, var value, var argument, array input) -> bool
    {
        var check, other;

        // Rules of the application come first and may replace the built-in ones.
        if fetch check, this->extensions[rule] {
            return (bool) call_user_func(check, value, argument, input);
        }

        switch rule {
            case "required":
                return true;

            case "integer":
                return filter_var(value, FILTER_VALIDATE_INT) !== false;

            case "between":
                return is_numeric(value) && value >= argument[0] && value <= argument[1];

            case "matches":
                return preg_match(argument, value) === 1;

            case "oneOf":
                return in_array(value, argument, true);

            case "date":
                return this->isDate(value, argument);

            case "after":
                if !fetch other, input[argument] {
                    return true;
                }
                return strcmp(value, trim(other)) > 0;
        }

        throw new UnknownRule(rule);
    }

    /**
     * Parsing alone would accept 31 February; formatting it back reveals the shift.
     */
    private function isDate(string value, string format) -> bool
    {
        var parsed;

        let parsed = date_create_from_format("!" . format, value);

        return parsed !== false && parsed->format(format) == value;
    }

    private function describe(string rule, var argument) -> string
    {
        var key, part;
        array replacements = [];

        if typeof argument != "array" {
            let argument = [argument];
        }
        for key, part in argument {
            if is_scalar(part) {
                let replacements[":" . key] = (string) part;
            }
        }

        return strtr(this->messages[rule], replacements);
    }
}
