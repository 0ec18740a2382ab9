"""Run each programming language's own compiler, interpreter or parser over the programs of the starter corpus.

What is not on the machine is reported as such, not failed; ``--install`` prints how to get it. A tree-sitter grammar stands in for a
compiler that Debian, PyPI and npm do not have. Where a grammar is older than the language, what it does not know is rewritten to what
it does before it parses (``REWRITES``), so that the rest of the program is still checked.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from curator import languages

CODE = Path(__file__).resolve().parent.parent / "sources" / "starter" / "code"
LIMIT = 120  # seconds a file; the slowest compilers need ten on an old machine
Function = Callable[[Path], str]  # gives what is wrong with the file, or nothing


@cache
def has_header(compiler: str, header: str) -> bool:
    """Whether a C compiler finds a header."""
    told = subprocess.run([compiler, "-E", "-x", "c", "-"], input=f"#include <{header}>\n", capture_output=True, text=True)
    return told.returncode == 0


@dataclass(frozen=True, slots=True)
class Checker:
    """One way to check programs of a language: a command with {file}, {stem}, {folder} and {out}, or a function."""

    language: str
    run: str | Function
    package: str  # "apt:NAME", "pip:NAME" or "npm:NAME", several with spaces; empty where none of the three has it
    tool: str = ""  # the executable, or the module for a function; the command's first word if empty
    note: str = ""
    suffixes: tuple[str, ...] = ()  # of the files this is for; all if empty
    when: str = ""  # a pattern that the program must have
    unless: str = ""  # and one that it must not have
    header: str = ""  # of C that the programs include, from a package beside the compiler

    @property
    def name(self) -> str:
        tool = self.tool or shlex.split(str(self.run))[0]
        return f"{tool.replace('_language_pack', '').replace('_', '-')} ({self.note})" if self.note else tool

    def available(self) -> bool:
        """Whether the tool is on this machine."""
        tool = self.tool or shlex.split(str(self.run))[0]
        found = shutil.which(tool) is not None or (not isinstance(self.run, str) and importlib.util.find_spec(tool) is not None)
        return found and (not self.header or has_header(tool, self.header))

    def fits(self, file: Path) -> bool:
        """Whether the file is one that this can judge."""
        text = file.read_text(encoding="utf-8")
        return (
            (not self.suffixes or file.suffix in self.suffixes)
            and (not self.when or re.search(self.when, text, re.MULTILINE) is not None)
            and (not self.unless or re.search(self.unless, text, re.MULTILINE) is None)
        )

    def check(self, file: Path) -> str:
        """What is wrong with the file, or an empty string."""
        return command(self.run, file) if isinstance(self.run, str) else self.run(file)


def command(template: str, file: Path) -> str:
    """Run a command over a file, in a folder of its own so that nothing is written beside the program."""
    with tempfile.TemporaryDirectory() as out:
        places = {"{file}": str(file), "{stem}": file.stem, "{folder}": str(file.parent), "{out}": out}
        words = [re.sub(r"\{(file|stem|folder|out)\}", lambda m: places[m[0]], w) for w in shlex.split(template)]
        try:
            done = subprocess.run(words, cwd=out, capture_output=True, text=True, errors="replace", timeout=LIMIT, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return f"no answer in {LIMIT} seconds"
    said = (done.stderr + done.stdout).strip()
    return (said or f"exit status {done.returncode}") if done.returncode else ""


def python(file: Path) -> str:
    """Python's own compiler; not ast.parse, which fails at times when several threads are in it (CPython 3.11)."""
    try:
        compile(file.read_text(encoding="utf-8"), str(file), "exec", dont_inherit=True)
    except SyntaxError as error:
        return str(error)
    return ""


def javascript_module(file: Path) -> str:
    """Node takes .js for CommonJS; a module is checked under the name that says so."""
    with tempfile.TemporaryDirectory() as out:
        copy = Path(out) / f"{file.stem}.mjs"
        shutil.copyfile(file, copy)
        return command("node --check {file}", copy)


def haxe_macro(file: Path) -> str:
    """Haxe knows the macro context only from inside a macro, so one that names the class is run."""
    with tempfile.TemporaryDirectory() as out:
        (Path(out) / "Check.hx").write_text(f"class Check {{ public static function run() {{ var named = {file.stem}; }} }}", encoding="utf-8")
        return command(f"haxe --no-output -cp {shlex.quote(str(file.parent))} -cp {out} --macro Check.run()", file)


def postgres(file: Path) -> str:
    """PostgreSQL's own parser, and PL/pgSQL's for the functions."""
    pglast: Any = importlib.import_module("pglast")
    text = file.read_text(encoding="utf-8")
    try:
        statements = pglast.split(text)
        for statement in statements:
            pglast.parse_sql(statement)
            if re.search(r"LANGUAGE\s+plpgsql", statement, re.IGNORECASE):
                pglast.parse_plpgsql(statement)
    except pglast.parser.ParseError as error:
        return str(error)
    return ""


def sqlite(file: Path) -> str:
    """Run the script in a database in memory."""
    lines = file.read_text(encoding="utf-8").splitlines()
    try:
        sqlite3.connect(":memory:").executescript("\n".join(line for line in lines if not line.startswith(".")))  # those are the shell's
    except sqlite3.Error as error:
        return str(error)
    return ""


def css_errors(rules: list[Any]) -> Iterator[str]:
    """The parse errors in rules, nested ones too."""
    tinycss2: Any = importlib.import_module("tinycss2")
    for rule in rules:
        if rule.type == "error":
            yield f"line {rule.source_line}: {rule.message}"
        elif getattr(rule, "content", None) is not None:
            yield from css_errors(tinycss2.parse_blocks_contents(rule.content, skip_comments=True, skip_whitespace=True))


def css(text: str) -> str:
    """Errors of a style sheet."""
    tinycss2: Any = importlib.import_module("tinycss2")
    return "\n".join(css_errors(tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)))


def html_css(file: Path) -> str:
    """The HTML standard's parser in strict mode, and the style sheets inside."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".css":
        return css(text)
    html5lib: Any = importlib.import_module("html5lib")
    parser = html5lib.HTMLParser()
    tree = parser.parse(text)
    wrong = [f"line {line}: {code} {values}" for (line, _), code, values in parser.errors]
    styles = tree.iter("{http://www.w3.org/1999/xhtml}style")
    return "\n".join([*wrong, *filter(None, (css(style.text or "") for style in styles))])


# Syntax that a grammar does not know, as (pattern, what it knows that stands in the same place).
REWRITES: Mapping[str, tuple[tuple[str, str], ...]] = {
    # Unnamed libraries, object patterns in switches and the short form of named fields in patterns.
    "dart": (
        (r"^library;", ""),
        (r"^( *case \w+)\(.*\):$", r"\1:"),
        (r"\(:key, :value\)", "(key: key, value: value)"),
        (r"^( +)[A-Z]\w*\(\) (when|=>)", r"\1_ \2"),
    ),
    # The line that makes a script executable, units of measure, and operators of parser combinators.
    "fsharp": (
        (r"^#!.*", ""),
        (r"^\[<Measure>\] type \w+$", ""),
        (r"(?<=\d)<[\w/^]+>", ""),
        (r"<[lms]+(\^\d)?(/\w+(\^\d)?)?>", ""),
        (r"\.>>\.?|>>\.", ">>="),
    ),
    # `open` is a keyword in some places only.
    "kotlin": ((r"\bopen\.", "opened."),),
    # Metal is C++ with address spaces, function kinds and attributes.
    "metal": ((r"\[\[.*?\]\]", ""), (r"\b(kernel|vertex|fragment|device|constant|threadgroup|thread)\b(?= *[\w*&(])", "")),
    # The last enumerator may have a comma, and some macros are declarations.
    "objective-c": ((r",(?=\s*\n\})", ""), (r"^typedef NS_ENUM\(\w+, (\w+)\)", r"enum \1"), (r"^NS_ASSUME_NONNULL_\w+", "")),
    # A cmdlet whose name begins like a keyword.
    "powershell": ((r"\bForEach-Object(?= -)", "Select-Each"),),
    # The interpolator `$`, and arguments after a colon.
    "scala": (
        (r'\$"', 's"'),
        (r"^(\s*)property\((.*)\):$", r"\1def p() ="),
        (r"forAll: \((.*)\) =>", r"forAll { (\1) => () }"),
        (r"\.forall: n =>", ".forall { n => true }"),
    ),
    # A condition for each pattern of a case.
    "swift": ((r"case \.weekdays where weekend, ", "case "),),
}


def grammar(name: str, rewrites: tuple[tuple[str, str], ...] = ()) -> Function:
    """A checker that parses with a tree-sitter grammar."""

    def check(file: Path) -> str:
        pack: Any = importlib.import_module("tree_sitter_language_pack")
        text = file.read_text(encoding="utf-8")
        for unknown, known in rewrites:
            text = re.sub(unknown, known, text, flags=re.MULTILINE)
        return next(syntax_errors(pack.get_parser(name).parse(text.encode()).root_node), "")

    return check


def syntax_errors(root: Any) -> Iterator[str]:
    """The nodes of a tree that the grammar could not place."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            yield f"line {node.start_point[0] + 1}: unexpected {node.type} {node.text[:60].decode(errors='replace')!r}"
        elif node.has_error:
            waiting.extend(reversed(node.children))


def parsed(language: str, name: str = "", *, suffixes: tuple[str, ...] = ()) -> Checker:
    """The record of a language that is parsed by a grammar."""
    name = name or language
    return Checker(language, grammar(name, REWRITES.get(language, ())), GRAMMARS, "tree_sitter_language_pack", f"{name} grammar", suffixes)


GRAMMARS = "pip:tree-sitter-language-pack<1"
GROOVY = "def u = new org.codehaus.groovy.control.CompilationUnit(); u.addSource(new File(args[0])); u.compile(org.codehaus.groovy.control.Phases.CONVERSION)"
LISP = '(multiple-value-bind (f w bad) (compile-file "{file}" :output-file "{out}/x.fasl") (declare (ignore f w)) (sb-ext:exit :code (if bad 1 0)))'
CLOJURE = (
    '(with-open [r (java.io.PushbackReader. (clojure.java.io/reader "{file}"))] (loop [] (when-not (= ::end (read {:eof ::end :read-cond :allow} r)) (recur))))'
)
TYPESCRIPT = "tsc --noEmit --strict --target es2022 --lib es2023,dom,esnext.disposable --module nodenext"

# The first record that fits a file and whose tool is there is the one that judges it.
CHECKERS: tuple[Checker, ...] = (
    Checker("prolog", "swipl -q --on-error=halt -g halt -c {file}", "apt:swi-prolog-nox"),
    Checker("cobol", "cobc -fsyntax-only -free {file}", "apt:gnucobol"),
    parsed("apex"),
    Checker("crystal", "crystal build --no-codegen --no-color {file}", "apt:crystal"),
    Checker("fortran", "gfortran -fsyntax-only -std=f2018 -J{out} {file}", "apt:gfortran"),
    Checker("nim", "nim check --hints:off --nimcache:{out} {file}", "apt:nim"),
    Checker("delphi", "fpc -Mdelphi -v0e -FE{out} -FU{out} {file}", "apt:fp-compiler fp-units-fcl"),
    Checker("ada", "gcc -c -gnatc -gnat2022 -x ada {file}", "apt:gnat", tool="gnat"),
    parsed("objective-c", "objc"),  # GNUstep's headers are older than ARC and blocks
    Checker("perl", "perl -c {file}", "apt:perl"),
    Checker("groovy", f"groovy -e '{GROOVY}' {{file}}", "apt:groovy", note="parse"),
    Checker("matlab", "octave-cli --no-gui --quiet --norc --eval \"__parse_file__('{file}')\"", "apt:octave", note="parse"),
    Checker("solidity", "solcjs --bin -o {out} --base-path {folder} {file}", "npm:solc"),
    Checker("ocaml", "ocamlfind ocamlc -package unix,str,threads.posix -thread -c -o {out}/{stem}.cmo {file}", "apt:ocaml ocaml-findlib"),
    Checker("erlang", "erlc -o {out} {file}", "apt:erlang-base"),
    parsed("julia"),
    Checker("common-lisp", f"sbcl --noinform --non-interactive --no-userinit --eval '{LISP}'", "apt:sbcl"),
    parsed("fsharp"),
    Checker("clojure", f"clojure -e '{CLOJURE}'", "apt:clojure", note="read"),
    parsed("gdscript"),
    parsed("scala"),
    Checker("r", "Rscript --vanilla -e \"invisible(parse('{file}'))\"", "apt:r-base-core", note="parse"),
    Checker("haskell", "ghc -fno-code -outputdir {out} {file}", "apt:ghc"),
    Checker("ruby", "ruby -wc {file}", "apt:ruby"),
    Checker("elixir", "elixir -e 'Code.string_to_quoted!(File.read!(\"{file}\"))'", "apt:elixir", note="parse"),
    Checker("lua", "luac5.4 -p {file}", "apt:lua5.4"),
    Checker("zig", "zig ast-check {file}", ""),
    parsed("zig"),
    Checker("dart", "dart analyze --format=machine {file}", "", unless=r"^import 'package:"),
    parsed("dart"),
    parsed("swift"),
    parsed("metal", "cpp"),
    parsed("powershell"),
    Checker("php", "php -l {file}", "apt:php-cli"),
    parsed("kotlin"),
    Checker("c", "gcc -std=gnu17 -Wall -fsyntax-only {file}", "apt:gcc"),
    Checker("java", "javac -d {out} {file}", "apt:default-jdk-headless", unless=r"^import (static )?(?!java\.|static java\.)"),
    Checker("java", "javac -proc:none -XDshould-stop.ifNoError=PARSE -XDshould-stop.ifError=PARSE -d {out} {file}", "apt:default-jdk-headless", note="parse"),
    Checker("cpp", "g++ -std=c++20 -Wall -fsyntax-only -x c++ {file}", "apt:g++"),
    parsed("csharp"),
    Checker("bash", "bash -n {file}", "apt:bash"),
    Checker("go", "gofmt -e {file}", "apt:golang-go", note="parse"),
    Checker("rust", "rustc --edition 2021 --crate-type lib --emit=metadata --out-dir {out} {file}", "apt:rustc"),
    Checker("typescript", f"{TYPESCRIPT} {{file}}", "npm:typescript", unless=r"from \"[^.]"),
    Checker("typescript", "tsc --noEmit --noCheck --noResolve --jsx preserve --target es2022 {file}", "npm:typescript", note="parse"),
    parsed("typescript", suffixes=(".ts",)),
    parsed("typescript", "tsx", suffixes=(".tsx",)),
    Checker("html-css", html_css, "pip:html5lib tinycss2", tool="html5lib"),
    Checker("sql", postgres, "pip:pglast", tool="pglast", when="(?i)postgresql|plpgsql"),
    Checker("sql", sqlite, "", tool="sqlite3"),
    Checker("javascript", javascript_module, "apt:nodejs", tool="node", suffixes=(".js",), when=r"^(import|export) "),
    Checker("javascript", "node --check {file}", "apt:nodejs"),
    Checker("python", python, "", tool="py_compile"),
    Checker("lean", "lean {file}", ""),
    Checker("coq", "coqc -q -noglob -o {out}/{stem}.vo {file}", "apt:coq"),
    Checker("pony", "ponyc --pass=expr -o {out} {folder}", ""),
    parsed("pony"),
    Checker("d", "gdc -fsyntax-only {file}", "apt:gdc"),
    Checker("racket", "raco expand {file}", "apt:racket"),
    Checker("haxe", haxe_macro, "apt:haxe", tool="haxe", when=r"^import haxe\.macro\."),
    Checker("haxe", "haxe --no-output -cp {folder} {stem}", "apt:haxe"),
    Checker("x86-64-asm", "nasm -f elf64 -o {out}/x.o {file}", "apt:nasm", suffixes=(".asm",)),
    Checker("x86-64-asm", "gcc -c -o {out}/x.o {file}", "apt:gcc"),
    Checker("arm64-asm", "aarch64-linux-gnu-gcc -march=armv8.2-a -c -o {out}/x.o {file}", "apt:gcc-aarch64-linux-gnu"),
    Checker("llvm-ir", "llvm-as-16 -o {out}/x.bc {file}", "apt:llvm-16"),
    Checker("glsl", "glslangValidator -V -o {out}/x.spv {file}", "apt:glslang-tools", when=r"push_constant|constant_id|\bset = \d"),
    Checker("glsl", "glslangValidator {file}", "apt:glslang-tools"),
    Checker("cuda", "nvcc -std=c++17 -ptx -o {out}/x.ptx {file}", "apt:nvidia-cuda-toolkit"),
    parsed("cuda"),
    Checker("vulkan", "gcc -std=gnu17 -fsyntax-only {file}", "apt:gcc libvulkan-dev", suffixes=(".c", ".h"), header="vulkan/vulkan.h"),
    Checker("vulkan", "g++ -std=c++20 -fsyntax-only -x c++ {file}", "apt:g++ libvulkan-dev", header="vulkan/vulkan.h"),
)

# Why a language has no record above, or what else would check it.
ELSEWHERE = {
    "zephir": "its parser is a PHP extension outside Debian",
    "vba": "its parser is in the Office applications",
    "visual-basic": "its compiler is in the .NET SDK, outside Debian",
    "lean": "Lean 4 is outside Debian; elan installs it",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a file's checker said; no checker, no verdict."""

    file: Path
    checker: Checker | None
    error: str = ""


def judge(file: Path) -> Verdict:
    """Check a file with the first checker that fits it and is there."""
    language = file.parent.name
    checker = next((c for c in CHECKERS if c.language == language and c.available() and c.fits(file)), None)
    return Verdict(file, checker, checker.check(file) if checker else "")


def result(language: str, verdicts: list[Verdict]) -> str:
    """The last column of a language's line."""
    checked = [v for v in verdicts if v.checker]
    failing = sum(bool(v.error) for v in checked)
    if not checked:
        missing = ELSEWHERE.get(language) or "needs " + " or ".join(dict.fromkeys(c.package for c in CHECKERS if c.language == language and c.package))
        return f"not checkable here: {missing if verdicts else 'no programs yet'}"
    rest = len(verdicts) - len(checked)
    return f"checked {len(checked)}, failing {failing}" + (f", not judged {rest}" if rest else "")


def report(verdicts: Mapping[str, list[Verdict]]) -> tuple[int, int]:
    """Print the table and what fails; gives how many languages were checked and how many files failed."""
    print(f"{'language':<16}{'files':>5}  {'tool':<34}result")
    for language, judged in verdicts.items():
        tools = ", ".join(dict.fromkeys(v.checker.name for v in judged if v.checker)) or "-"
        print(f"{language:<16}{len(judged):>5}  {tools:<34}{result(language, judged)}")
    everything = [v for judged in verdicts.values() for v in judged]
    failing = [v for v in everything if v.error]
    for verdict in failing:
        print(f"\nfailing: {verdict.file.parent.name}/{verdict.file.name}\n{verdict.error[:2000]}")
    count = sum(any(v.checker is not None for v in judged) for judged in verdicts.values())
    print(
        f"\n{count} of {len(verdicts)} languages checked, {sum(v.checker is not None for v in everything)} of {len(everything)} files, {len(failing)} failing"
    )
    return count, len(failing)


def install() -> str:
    """The lines that provide every tool which Debian, PyPI or npm has."""
    packages = sorted({(c.package.partition(":")[0], name) for c in CHECKERS for name in c.package.partition(":")[2].split()})
    lines = {"apt": "apt-get install --no-install-recommends", "pip": "pip install", "npm": "npm install --global"}
    return "\n".join(f"{line} {' '.join(shlex.quote(name) for source, name in packages if source == key)}" for key, line in lines.items())


def main() -> int:
    """Check the languages that were asked for, or all."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("language", nargs="*", help="only these")
    parser.add_argument("--require", type=int, default=0, metavar="N", help="fail when fewer than N languages were checked")
    parser.add_argument("--install", action="store_true", help="print how to install the tools, and stop")
    options = parser.parse_args()
    if options.install:
        print(install())
        return 0
    chosen = options.language or languages.ids(languages.PROGRAMMING)
    files = [file for language in chosen for file in sorted((CODE / language).glob("*")) if file.is_file()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        judged = list(pool.map(judge, files))
    count, failing = report({language: [v for v in judged if v.file.parent.name == language] for language in chosen})
    return int(failing > 0 or count < options.require)


if __name__ == "__main__":
    sys.exit(main())
