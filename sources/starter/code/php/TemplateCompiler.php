<?php

declare(strict_types=1);

namespace Press\Template;

use Closure;
use RuntimeException;

final class TemplateError extends RuntimeException {}

/**
 * Compiles small text templates to PHP closures.
 *
 *   Dear {{ customer.name }},
 *   {% for line in order.lines %}  {{ line.title | upper }}: {{ line.price | money }}
 *   {% else %}  (no items)
 *   {% end %}{% if order.gift %}Wrapped, as you asked.{% end %}
 *
 * Output is escaped unless a filter says otherwise. Templates cannot call
 * functions or methods; only public properties and array keys are reachable.
 */
final class TemplateCompiler
{
    private const TAG = '/(\{\{.*?\}\}|\{%.*?%\}\n?|\{#.*?#\})/s';
    private const PATH = '[a-z_]\w*(?:\.\w+)*';

    /** @var array<string, Closure(mixed): mixed> */
    private array $filters;

    /** @param array<string, Closure> $extra filters of the application's own */
    public function __construct(array $extra = [])
    {
        $this->filters = $extra + [
            'upper' => static fn (mixed $v): string => mb_strtoupper((string) $v),
            'trim' => static fn (mixed $v): string => trim((string) $v),
            'count' => static fn (mixed $v): int => count($v),
            'json' => static fn (mixed $v): string => json_encode($v, JSON_THROW_ON_ERROR | JSON_HEX_TAG),
        ];
    }

    /** @return Closure(array<string, mixed>): string */
    public function compile(string $source): Closure
    {
        $body = '';
        $line = 1;
        /** @var list<array{string, int}> $open blocks not closed yet, with their lines */
        $open = [];

        foreach (preg_split(self::TAG, $source, -1, PREG_SPLIT_DELIM_CAPTURE) as $index => $piece) {
            // Odd positions are tags, even ones the text between them.
            if ($index % 2 === 0) {
                $body .= $piece === '' ? '' : '$out .= ' . var_export($piece, true) . ";\n";
            } elseif ($piece[1] === '{') {
                $body .= '$out .= ' . $this->expression(trim(substr($piece, 2, -2)), $line) . ";\n";
            } elseif ($piece[1] === '%') {
                $body .= $this->statement(trim(substr(rtrim($piece), 2, -2)), $open, $line);
            }
            $line += substr_count($piece, "\n");
        }
        if ($open !== []) {
            [$keyword, $openedAt] = array_pop($open);
            throw new TemplateError("\"$keyword\" on line $openedAt is never closed");
        }

        $runtime = new Runtime($this->filters);
        // Only var_export()ed literals and validated paths reach this string.
        $function = eval("return static function (array \$scope) use (\$runtime): string {\n"
            . "\$out = '';\n$body return \$out;\n};");
        assert($function instanceof Closure);
        return $function;
    }

    private function expression(string $text, int $line): string
    {
        $steps = array_map(trim(...), explode('|', $text));
        $code = $this->path(array_shift($steps), $line);
        $raw = false;
        foreach ($steps as $filter) {
            if ($filter === 'raw') {
                $raw = true;
            } elseif (isset($this->filters[$filter])) {
                $code = '$runtime->filter(' . var_export($filter, true) . ", $code)";
            } else {
                throw new TemplateError("unknown filter \"$filter\" on line $line");
            }
        }
        return $raw ? "(string) $code" : "htmlspecialchars((string) $code, ENT_QUOTES | ENT_SUBSTITUTE)";
    }

    /** @param list<array{string, int}> $open */
    private function statement(string $text, array &$open, int $line): string
    {
        $path = self::PATH;
        if (preg_match("/^for (\w+) in ($path)$/", $text, $m)) {
            $open[] = ['for', $line];
            $items = $this->path($m[2], $line);
            $depth = count($open);
            return "\$saved$depth = \$scope; \$empty$depth = true;\n"
                . "foreach ($items ?? [] as \$item) { \$empty$depth = false; \$scope['$m[1]'] = \$item;\n";
        }
        if (preg_match("/^(if|unless) ($path)$/", $text, $m)) {
            $open[] = ['if', $line];
            return ($m[1] === 'if' ? 'if (' : 'if (!') . $this->path($m[2], $line) . ") {\n";
        }
        [$block] = end($open) ?: [null];
        $depth = count($open);
        if ($text === 'else' && $block === 'if') {
            return "} else {\n";
        }
        if ($text === 'else' && $block === 'for') {
            $open[$depth - 1][0] = 'for-else';
            return "} \$scope = \$saved$depth; if (\$empty$depth) {\n";
        }
        if ($text === 'end' && $block !== null) {
            array_pop($open);
            return $block === 'for' ? "} \$scope = \$saved$depth;\n" : "}\n";
        }
        throw new TemplateError("cannot understand \"$text\" on line $line");
    }

    private function path(string $path, int $line): string
    {
        if (preg_match('/^' . self::PATH . '$/', $path) !== 1) {
            throw new TemplateError("\"$path\" on line $line is not a variable");
        }
        return '$runtime->get($scope, ' . var_export(explode('.', $path), true) . ')';
    }
}

final readonly class Runtime
{
    /** @param array<string, Closure> $filters */
    public function __construct(private array $filters) {}

    public function filter(string $name, mixed $value): mixed
    {
        return ($this->filters[$name])($value);
    }

    /** @param list<string> $path */
    public function get(mixed $value, array $path): mixed
    {
        foreach ($path as $step) {
            $value = is_object($value) ? $value->{$step} ?? null : $value[$step] ?? null;
        }
        return $value;
    }
}
